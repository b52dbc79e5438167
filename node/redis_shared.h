// What the Redis commands of all event loops of a node have in common.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>

#include "node/node_report.h"
#include "node/redis_events.h"
#include "node/redis_figures.h"
#include "node/redis_monitors.h"

namespace dhrt {

// What CONFIG SET changes while clients are served.
struct RedisSettings {
  std::atomic<std::int64_t> slow_microseconds{10000};  // Slower ones are noted; below 0: none.
  std::atomic<std::int64_t> slow_entries_max{128};
  std::atomic<std::int64_t> latency_milliseconds{0};  // Slower ones are sampled; 0: none.
  std::atomic<std::uint32_t> events{0};               // Which are told: node/redis_events.h.
};

struct RedisShared {
  explicit RedisShared(unsigned loops) : figures(loops) {}

  // Somebody wants to see each command alone: none is run in one go with others.
  bool watches_each() const {
    // Nobody can tell which command of a run took that little.
    constexpr std::int64_t run_microseconds = 1000;
    const std::int64_t slow = settings.slow_microseconds.load(std::memory_order_relaxed);
    const bool misses =
        (settings.events.load(std::memory_order_relaxed) & event_flags::missed) != 0;
    return misses || monitors.any() || (slow >= 0 && slow < run_microseconds);
  }

  // CONFIG RESETSTAT: what the node counted until now does not count any more.
  void reset_figures(const NodeReport::Figures& now);
  NodeReport::Figures since_reset(NodeReport::Figures now) const;

  RedisSettings settings;
  RedisMonitors monitors;
  RedisFigures figures;
  RedisSlowLog slow_log;
  RedisLatency latency;

 private:
  mutable std::mutex mutex_;
  NodeReport::Figures before_;
};

}  // namespace dhrt
