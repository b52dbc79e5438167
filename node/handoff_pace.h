// How fast a node hands what it holds to one that joins: as fast as its own clients allow.
//
// Intuition: reading a slice keeps a loop, and the CPUs, from clients. While slices are asked for,
// the loop has itself woken every few milliseconds, as a client's request would wake it. How much
// later than that it runs is what a client waits. If that is too long for more than one of a
// hundred looks, the pause between two slices doubles, else a quarter of it goes.
//
// The pause ends at pause_max: a join that never comes to an end helps nobody.
// Units: milliseconds. Threads: a value; not synchronised.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "storage/base/time.h"

namespace dhrt {

class HandoffPace {
 public:
  // How often the loop looks how late it is. A wait is known to a millisecond, as timers are.
  static constexpr Duration look_interval{2};
  // Looks that are judged together, so that one of them is a hundredth.
  static constexpr unsigned looks = 100;
  // Requests of clients in that time, below which nobody waits.
  static constexpr std::uint64_t requests_min = 20;
  // 100 slices per second, which are 25 MB/s. Half of it until it is known how clients fare.
  static constexpr Duration pause_max{10};
  static constexpr Duration pause_first{5};

  // `delay_max`: what clients may wait. 0: as long as it takes.
  explicit HandoffPace(Duration delay_max) : delay_max_(delay_max) { begin(0); }

  // The loop ran so long after it was told to, and its node has served so many requests of clients
  // since it started.
  void looked(Duration late, std::uint64_t requests) {
    if (late > delay_max_) ++late_;
    if (++looked_ < looks) return;
    const bool serves = requests - std::exchange(requests_, requests) >= requests_min;
    const bool too_late = std::exchange(late_, 0) > 1;
    looked_ = 0;
    if (!serves || delay_max_ == Duration{0})
      pause_ = Duration{0};
    else if (too_late)
      pause_ = std::clamp(pause_ * 2, Duration{1}, pause_max);
    else
      pause_ = pause_ * 3 / 4;
  }
  // There was nothing to hand over for a while; what was looked at before says nothing now.
  void begin(std::uint64_t requests) {
    pause_ = delay_max_ > Duration{0} ? pause_first : Duration{0};
    looked_ = late_ = 0;
    requests_ = requests;
  }
  // Between the end of one slice and the beginning of the next.
  Duration pause() const { return pause_; }

 private:
  Duration delay_max_;
  Duration pause_{};
  unsigned looked_ = 0;
  unsigned late_ = 0;
  std::uint64_t requests_ = 0;
};

}  // namespace dhrt
