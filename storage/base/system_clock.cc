#include "storage/base/system_clock.h"

namespace dhrt {

Time monotonic_now() {
  return {
      std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch())};
}

std::chrono::microseconds monotonic_microseconds() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
      std::chrono::steady_clock::now().time_since_epoch());
}

WallMilliseconds wall_now() {
  return static_cast<WallMilliseconds>(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch())
          .count());
}

}  // namespace dhrt
