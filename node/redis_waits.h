// WAIT: replies that come when enough peers have what was written before.
//
// Intuition: a wait goes to the cluster core behind the writes of its loop, as soon as they are
// durable here. The core answers when enough peers have them; the time-out, or the end of the
// connection, makes it answer with what there is. Threads: loop thread only.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "cluster/actions.h"
#include "node/redis_delays.h"
#include "storage/store.h"

namespace dhrt {

class RedisWaits {
 public:
  struct Hooks {
    std::function<void(WaitForPeers)> ask;  // The core; answered() brings its answer.
    std::function<void(WaitEnds)> end;
  };
  RedisWaits(RedisDelays& delays, Hooks hooks) : delays_(delays), hooks_(std::move(hooks)) {}

  using Done = std::function<void(std::uint64_t peers)>;
  // `behind`: the last write that is waited for. Without a `due` it waits as long as it takes.
  void begin(SessionId session, std::uint64_t peers, Position behind, std::optional<Time> due,
             Done done);
  // Up to there everything is durable here, and the core was told of it.
  void durable(Position position);
  bool any_before(Position position) const {
    return !queued_.empty() && queued_.front().behind <= position;
  }
  void answered(const Waited& waited);

 private:
  struct Queued {
    Position behind = 0;
    WaitForPeers wait;
  };
  struct Open {
    SessionId session = 0;
    Done done;
  };
  void end(std::uint64_t request);

  RedisDelays& delays_;
  Hooks hooks_;
  std::uint64_t requests_ = 0;
  std::deque<Queued> queued_;
  std::map<std::uint64_t, Open> open_;
};

}  // namespace dhrt
