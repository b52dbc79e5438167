// The time as one turn of a loop sees it: each clock is read once, when it is first asked for.
//
// Intuition: what a turn does takes a millisecond or so; a request need not pay for a look at the
// clock to learn less than that.
// Threads: loop thread only.
#pragma once

#include <optional>

#include "storage/base/system_clock.h"
#include "storage/base/time.h"

namespace dhrt {

class TurnClock {
 public:
  Time now() {
    if (!now_) now_ = monotonic_now();
    return *now_;
  }
  WallMilliseconds wall() {
    if (!wall_) wall_ = wall_now();
    return *wall_;
  }
  // This turn goes by another clock than the system's.
  void show(WallMilliseconds wall) { wall_ = wall; }
  // Call at the end of every turn, before the loop waits.
  void turn_over() {
    now_.reset();
    wall_.reset();
  }

 private:
  std::optional<Time> now_;
  std::optional<WallMilliseconds> wall_;
};

}  // namespace dhrt
