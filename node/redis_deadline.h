// Times as Redis commands give them, as deadlines.
#pragma once

#include <cstdint>
#include <optional>

#include "storage/base/bytes.h"
#include "storage/base/time.h"

namespace dhrt::redis {

struct TimeUnit {
  std::int64_t milliseconds;  // Of one.
  bool is_unix_time;          // Since 1970 instead of from now on.
};

// EX, PX, EXAT or PXAT in any case; absent: it is none of them.
std::optional<TimeUnit> time_unit(Bytes word);
// Absent: it is beyond what can be told. A time that is over is a deadline like any other, never 0.
std::optional<WallMilliseconds> deadline_of(std::int64_t number, TimeUnit unit,
                                            WallMilliseconds now);

}  // namespace dhrt::redis
