// The only place below node/ where the machine's clocks are read.
#pragma once

#include "storage/base/time.h"

namespace dhrt {

Time monotonic_now();
WallMilliseconds wall_now();

}  // namespace dhrt
