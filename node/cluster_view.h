// What every event loop may know of the cluster without asking the core, which lives on one of
// them.
//
// Intuition: three facts decide whether a client is served at once: a stale answer is as if the
// request had come a turn earlier.
// Threads: the loop of the core writes, all others read.
#pragma once

#include <atomic>

namespace dhrt {

struct ClusterView {
  std::atomic<bool> belongs{false};  // To a cluster; before that no data is served.
  std::atomic<bool> healthy{false};  // What is held here is known to be current.
  std::atomic<bool> alone{false};    // Every other member has left: nobody else holds anything.
};

}  // namespace dhrt
