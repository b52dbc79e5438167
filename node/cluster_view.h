// What every event loop may know of the cluster without asking the core, which lives on one of
// them.
//
// Intuition: a few facts decide whether a client is served at once: a stale answer is as if the
// request had come a turn earlier.
// Threads: the loop of the core writes, all others read.
#pragma once

#include <atomic>
#include <cstdint>

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
  SharedFact fenced;   // This node's clock is too wrong for writes.

  // Of a fenced node; looked at by who refuses a write.
  alignas(64) std::atomic<std::int64_t> clock_offset_milliseconds{0};
  std::atomic<std::int64_t> max_clock_offset_milliseconds{0};
};

}  // namespace dhrt
