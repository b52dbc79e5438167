// Waits for what threads behind a store or a log bring about.
//
// Threads: wake on any, wait_until on one.
#pragma once

#include <condition_variable>
#include <mutex>

namespace dhrt::bench {

class Waiter {
 public:
  void wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    changed_.notify_one();
  }

  // Returns when `reached()` is true; it is asked again after each wake.
  template <typename Condition>
  void wait_until(Condition reached) {
    while (!reached()) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return woken_; });
      woken_ = false;
    }
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
};

}  // namespace dhrt::bench
