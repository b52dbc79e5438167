// The only place below node/ where the machine's clocks are read.
#pragma once

#include "storage/base/time.h"

namespace dhrt {

Time monotonic_now();
// The same clock, to measure how long something took.
std::chrono::microseconds monotonic_microseconds();
WallMilliseconds wall_now();

}  // namespace dhrt
