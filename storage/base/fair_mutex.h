// A mutex for one who takes it again and again, and others who need it once.
//
// Intuition: who unlocks a std::mutex and locks it again at once is nearly always first, for whom
// it woke takes tens of microseconds to come. Work in many short holds then keeps everybody out
// until its end. Here it can let in those who wait, between two holds.
//
// Threads: any.
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

namespace dhrt {

class FairMutex {
 public:
  void lock() {
    if (mutex_.try_lock()) return;
    waiting_.fetch_add(1, std::memory_order_relaxed);
    mutex_.lock();
    waiting_.fetch_sub(1, std::memory_order_relaxed);
  }
  void unlock() { mutex_.unlock(); }
  // Somebody waits in lock().
  bool is_wanted() const { return waiting_.load(std::memory_order_relaxed) > 0; }

  // Without the lock: sleeps until nobody waits for it. Not for long: there may always be somebody.
  void let_others_in(int naps_max = 200) const {
    constexpr std::chrono::microseconds nap{20};
    for (int naps = 0; naps < naps_max && is_wanted(); ++naps)
      std::this_thread::sleep_for(nap);
  }

 private:
  std::mutex mutex_;
  std::atomic<int> waiting_{0};
};

}  // namespace dhrt
