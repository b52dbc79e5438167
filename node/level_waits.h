// Writes of one event loop that wait for other nodes.
//
// Intuition: a write goes to the cluster core when it is durable here, together with the others of
// its collection that became so in the same turn; the core says when their level is reached, or
// that time is up. Too many are refused before they are made: what waits here is promised to
// nobody, and a node that is cut off must not fill up with them.
//
// Bounds: level_waits_max writes, level_wait_bytes_max of keys and values. Threads: loop thread
// only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <vector>

#include "cluster/actions.h"
#include "storage/base/result.h"
#include "storage/store.h"

namespace dhrt {

inline constexpr std::size_t level_waits_max = 10000;
inline constexpr std::size_t level_wait_bytes_max = std::size_t{64} << 20;

class LevelWaits {
 public:
  // An error: the disk failed.
  using Done = std::function<void(Result<Tally>)>;
  // `ask` tells the core; answered() brings its answer.
  explicit LevelWaits(std::function<void(WaitForLevel)> ask) : ask_(std::move(ask)) {}

  // busy: there are too many already. Call before a write of so many bytes is made.
  Status admit(std::size_t bytes) const;
  struct Write {
    WriteLevel level = WriteLevel::quorum;
    WaitForLevel::Last last;
    Position position = 0;
    std::size_t bytes = 0;
  };
  // Positions rise from call to call.
  void begin(const Write& write, Done done);
  // Up to there everything is durable here, and the core was told of it.
  void durable(Position position);
  bool any_before(Position position) const {
    return !queued_.empty() && queued_.front().write.position <= position;
  }
  void answered(const LevelReached& reached);
  // Nothing that is queued will ever be durable.
  void disk_failed(const Error& error);

 private:
  struct Waiting {
    Write write;
    Done done;
  };
  void finish(std::vector<Waiting> group, const Result<Tally>& outcome);

  std::function<void(WaitForLevel)> ask_;
  std::uint64_t requests_ = 0;
  std::deque<Waiting> queued_;
  std::map<std::uint64_t, std::vector<Waiting>> asked_;
  std::size_t count_ = 0;
  std::size_t bytes_ = 0;
};

}  // namespace dhrt
