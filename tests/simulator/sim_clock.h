// The wall clock of a simulated node: it may be wrong, be set, and run too fast or too slow.
#pragma once

#include <algorithm>
#include <cstdint>

#include "storage/base/time.h"

namespace dhrt::simulator {

class SimClock {
 public:
  WallMilliseconds show(Time now) {
    const auto shown = static_cast<WallMilliseconds>(epoch + now.since_start.count() + ahead(now));
    highest_ = std::max(highest_, shown);
    return shown;
  }
  // The highest that it ever showed.
  WallMilliseconds highest() const { return highest_; }
  // Milliseconds ahead of the true time.
  std::int64_t ahead(Time now) const {
    return ahead_ + (now.since_start.count() - drifts_since_) * drift_per_mille_ / 1000;
  }
  void jump(std::int64_t milliseconds) { ahead_ += milliseconds; }
  void drift(Time now, std::int64_t per_mille) {
    ahead_ = ahead(now);
    drifts_since_ = now.since_start.count();
    drift_per_mille_ = per_mille;
  }
  void set_right(Time now) {
    drift(now, 0);
    ahead_ = 0;
  }

 private:
  static constexpr std::int64_t epoch = 1'700'000'000'000;  // Of the world.

  std::int64_t ahead_ = 0;
  std::int64_t drifts_since_ = 0;
  std::int64_t drift_per_mille_ = 0;
  WallMilliseconds highest_ = 0;
};

}  // namespace dhrt::simulator
