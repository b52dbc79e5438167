// What every event loop may know of the cluster without asking the core, which lives on one of
// them.
//
// Intuition: three facts decide whether a client is served at once: a stale answer is as if the
// request had come a turn earlier.
// Threads: the loop of the core writes, all others read.
#pragma once

#include <atomic>

namespace dhrt {

// A fact that is told every turn and seldom changes: only a change is written, because a write
// takes the cache line away from everybody who reads it at each request.
class SharedFact {
 public:
  void set(bool holds) {
    if (holds != get()) holds_.store(holds, std::memory_order_release);
  }
  bool get() const { return holds_.load(std::memory_order_relaxed); }

 private:
  std::atomic<bool> holds_{false};
};

struct alignas(64) ClusterView {
  SharedFact belongs;  // To a cluster; before that no data is served.
  SharedFact healthy;  // What is held here is known to be current.
  SharedFact alone;    // Every other member has left: nobody else holds anything.
  SharedFact watched;  // Somebody wants to know of every write, also where there is no peer.
};

}  // namespace dhrt
