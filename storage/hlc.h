// The hybrid logical clock of a node (Kulkarni et al. 2014): wall-clock milliseconds with a
// counter, never going back, never behind a version that this node has overwritten.
#pragma once

#include <algorithm>
#include <cstdint>

#include "storage/base/time.h"
#include "storage/record.h"

namespace dhrt {

class HybridClock {
 public:
  // The hlc of a new write: above every earlier one, not behind the wall clock, and above
  // `stored`, the hlc of what the write replaces (the bump rule: whoever overwrites or deletes
  // what they can see wins, whatever the clocks say).
  std::uint64_t next(WallMilliseconds wall, std::uint64_t stored) {
    last_ = after(wall, stored);
    return last_;
  }
  // What next() would give, for a write that may not come to be: take() it when it did.
  std::uint64_t after(WallMilliseconds wall, std::uint64_t stored) const {
    return std::max({last_ + 1, wall << hlc_counter_bits, stored + 1});
  }
  void take(std::uint64_t hlc) { last_ = std::max(last_, hlc); }
  // Notes an hlc met elsewhere. It pulls our clock ahead of the wall by `offset_max` at most,
  // so that one wrong clock does not spread.
  void observe(std::uint64_t hlc, WallMilliseconds wall) {
    last_ = std::max(last_, std::min(hlc, (wall + offset_max) << hlc_counter_bits));
  }
  // Whoever is not above this may be overtaken by after() without pulling the clock ahead of the
  // wall more than observe() would.
  std::uint64_t reach(WallMilliseconds wall) const {
    return std::max(last_, (wall + offset_max) << hlc_counter_bits);
  }
  // Starts above `hlc`: what this node itself had written before a restart.
  void start_above(std::uint64_t hlc) { last_ = std::max(last_, hlc); }

  std::uint64_t last() const { return last_; }

  static constexpr WallMilliseconds offset_max = 500;

 private:
  std::uint64_t last_ = 0;
};

}  // namespace dhrt
