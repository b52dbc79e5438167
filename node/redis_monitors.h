// The clients of all event loops that sent MONITOR: they are shown what others ask for.
//
// Intuition: as long as nobody monitors, a command pays for a look at one number that nobody
// writes. Threads: any, but tell() on the loop whose `loops` it is given.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "node/client_roll.h"

namespace dhrt {

class RedisMonitors {
 public:
  bool any() const { return count_.load(std::memory_order_relaxed) > 0; }
  void add(unsigned loop, SessionId session) {
    const std::lock_guard lock(mutex_);
    monitors_.emplace(loop, session);
    count_ = monitors_.size();
  }
  void remove(unsigned loop, SessionId session) {
    const std::lock_guard lock(mutex_);
    monitors_.erase({loop, session});
    count_ = monitors_.size();
  }
  // Who does not read is cut off, as listeners to channels are.
  void tell(const EveryLoop& loops, std::string line) const;

 private:
  std::atomic<std::size_t> count_{0};
  mutable std::mutex mutex_;
  std::set<std::pair<unsigned, SessionId>> monitors_;
};

}  // namespace dhrt
