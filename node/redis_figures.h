// How often Redis commands were run on this node, how long they took, and what went wrong: the
// figures of INFO, LATENCY and SLOWLOG.
//
// Intuition: every event loop counts for itself, and whoever shows the figures adds them up. CONFIG
// RESETSTAT cannot stop a loop that counts, so it notes what has been counted, and from then on
// that is taken away. What is rare (errors, slow commands) is in one place for all loops.
// Units: nanoseconds unless the name says otherwise.
// Bounds: slow commands and samples by their limits, kinds of errors by error_kinds_max.
// Threads: the figures of a loop are written by that loop; everything else is for any.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "node/figures.h"
#include "storage/base/bytes.h"
#include "storage/base/time.h"

namespace dhrt {

// Calls by how long they took: the i-th counts those of at most 2^i microseconds.
inline constexpr std::size_t latency_buckets = 24;

struct RedisCommandCounts {
  std::uint64_t calls = 0;
  std::uint64_t nanoseconds = 0;
  std::uint64_t rejected = 0;  // Not run: wrong arity and the like.
  std::uint64_t failed = 0;    // Run, and answered with an error.
  std::array<std::uint64_t, latency_buckets> by_time{};
};

// Those of one loop, by the place of the command in redis_commands().
class RedisLoopFigures {
 public:
  explicit RedisLoopFigures(std::size_t commands) : commands_(commands) {}
  void ran(std::size_t command, std::uint64_t calls, std::uint64_t nanoseconds, bool failed);
  void rejected(std::size_t command) { ++commands_[command].rejected; }
  void add_to(std::span<RedisCommandCounts> sums) const;

 private:
  struct OfCommand {
    Counter calls;
    Counter nanoseconds;
    Counter rejected;
    Counter failed;
    std::array<Counter, latency_buckets> by_time;
  };
  std::vector<OfCommand> commands_;
};

class RedisFigures {
 public:
  explicit RedisFigures(unsigned loops);
  RedisLoopFigures& of_loop(unsigned loop) { return *loops_[loop]; }

  // Since the last reset.
  std::vector<RedisCommandCounts> commands() const;
  void failed_with(Bytes message);
  std::map<std::string, std::uint64_t> errors() const;
  void reset();

 private:
  static constexpr std::size_t error_kinds_max = 128;
  std::vector<RedisCommandCounts> counted() const;

  std::vector<std::unique_ptr<RedisLoopFigures>> loops_;
  mutable std::mutex mutex_;
  std::vector<RedisCommandCounts> before_;  // What was counted when it was reset.
  std::map<std::string, std::uint64_t> errors_;
};

// SLOWLOG.
class RedisSlowLog {
 public:
  struct Entry {
    std::uint64_t id = 0;
    std::uint64_t unix_seconds = 0;
    std::uint64_t microseconds = 0;
    std::vector<std::string> words;
    std::string address;  // Of the client.
    std::string name;
  };
  void add(Entry entry, std::size_t entries_max);
  // The newest first.
  std::vector<Entry> newest(std::size_t count) const;
  std::size_t size() const;
  void clear();

 private:
  mutable std::mutex mutex_;
  std::uint64_t ids_ = 0;
  std::deque<Entry> entries_;
};

// LATENCY: of each event the slowest of each second, and the slowest of all.
class RedisLatency {
 public:
  struct Sample {
    std::uint64_t unix_seconds = 0;
    std::uint64_t milliseconds = 0;
  };
  struct Event {
    std::deque<Sample> samples;  // The oldest first.
    std::uint64_t milliseconds_max = 0;
  };
  void add(const std::string& event, Sample sample);
  std::map<std::string, Event> events() const;
  // How many there were of these; of all if none is named.
  std::size_t reset(const std::vector<std::string>& names);

 private:
  static constexpr std::size_t samples_max = 160;
  mutable std::mutex mutex_;
  std::map<std::string, Event> events_;
};

}  // namespace dhrt
