// The hybrid logical clock of a node (Kulkarni et al. 2014): wall-clock milliseconds with a
// counter, never going back, never behind a version that this node has overwritten.
//
// Two rules meet here. The bump rule: whoever overwrites or deletes what they can see wins,
// whatever the clocks say. The clamp: a record from the far future pulls this clock ahead of the
// wall by a bounded offset only, whether it was taken in (observe) or overwritten (take), or every
// other key written here would be in the future as well, and so on from node to node.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "storage/base/time.h"
#include "storage/record.h"

namespace dhrt {

// No version is above it, so that what has it cannot be overwritten: only a peer that lies has one.
inline constexpr std::uint64_t hlc_max = std::numeric_limits<std::uint64_t>::max();
// By how much versions may be ahead of the wall clock, unless told otherwise.
inline constexpr WallMilliseconds default_clock_offset_max = 500;

class HybridClock {
 public:
  explicit HybridClock(WallMilliseconds offset_max = default_clock_offset_max)
      : offset_max_(offset_max) {}

  // The hlc of a new write: above every earlier one, not behind the wall clock, and above
  // `stored`, the hlc of what the write replaces.
  std::uint64_t next(WallMilliseconds wall, std::uint64_t stored) {
    const std::uint64_t hlc = after(wall, stored);
    take(hlc, wall);
    return hlc;
  }
  // What next() would give, for a write that may not come to be: take() it when it did.
  std::uint64_t after(WallMilliseconds wall, std::uint64_t stored) const {
    const std::uint64_t bumped = mutate_no_bump_ ? 0 : stored + (stored < hlc_max ? 1 : 0);
    return std::max({last_ + 1, wall << hlc_counter_bits, bumped});
  }
  // What was bumped above a record from the future does not take the clock along.
  void take(std::uint64_t hlc, WallMilliseconds wall) {
    last_ = std::max(last_, std::min(hlc, std::max(last_ + 1, ahead_max(wall))));
  }
  // Notes an hlc met elsewhere, as far as the clamp lets it.
  void observe(std::uint64_t hlc, WallMilliseconds wall) {
    last_ = std::max(last_, std::min(hlc, ahead_max(wall)));
  }
  // Whoever is not above this may be overtaken by after() without pulling the clock ahead of the
  // wall more than observe() would.
  std::uint64_t reach(WallMilliseconds wall) const { return std::max(last_, ahead_max(wall)); }
  // Starts above `hlc`: what this node itself had written before a restart.
  void start_above(std::uint64_t hlc) { last_ = std::max(last_, hlc); }
  // The highest that the clock shows because of others.
  std::uint64_t ahead_max(WallMilliseconds wall) const {
    return (wall + offset_max_) << hlc_counter_bits;
  }

  std::uint64_t last() const { return last_; }
  void set_offset_max(WallMilliseconds offset_max) { offset_max_ = offset_max; }
  // A mistake on purpose, which only the simulator makes: what a write replaces is not looked at.
  void mutate_no_bump() { mutate_no_bump_ = true; }

 private:
  std::uint64_t last_ = 0;
  WallMilliseconds offset_max_;
  bool mutate_no_bump_ = false;
};

}  // namespace dhrt
