// Time as a value: it comes in as an argument, nobody below node/ reads a clock.
#pragma once

#include <chrono>
#include <cstdint>

namespace dhrt {

using Duration = std::chrono::milliseconds;

// A point on a monotonic clock with an arbitrary start. Timeouts are reckoned with it.
struct Time {
  Duration since_start{0};

  auto operator<=>(const Time&) const = default;
  Time operator+(Duration duration) const { return {since_start + duration}; }
  Duration operator-(Time other) const { return since_start - other.since_start; }
};

// Milliseconds since 1970 by the wall clock, which may jump. Deadlines of records and the
// hybrid logical clock are reckoned with it.
using WallMilliseconds = std::uint64_t;

}  // namespace dhrt
