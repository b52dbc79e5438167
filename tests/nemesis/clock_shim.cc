// Preloaded into a node: its wall clock is ahead of the machine's by as many milliseconds as stand,
// as a 64-bit number, in the file named by CLOCK_SHIM_FILE. The file may be written at any time.
// The monotonic clock is left alone, as when somebody sets the time.
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

const volatile std::int64_t* map_offset() {
  static const std::int64_t none = 0;
  const char* const path = std::getenv("CLOCK_SHIM_FILE");
  if (path == nullptr) return &none;
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) std::abort();
  void* const mapped = ::mmap(nullptr, sizeof(std::int64_t), PROT_READ, MAP_SHARED, file, 0);
  ::close(file);
  if (mapped == MAP_FAILED) std::abort();
  return static_cast<const volatile std::int64_t*>(mapped);
}

}  // namespace

extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  constexpr std::int64_t milliseconds_per_second = 1000;
  constexpr std::int64_t nanoseconds_per_millisecond = 1'000'000;
  static const volatile std::int64_t* const offset = map_offset();
  const auto result = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  if (result != 0 || clock != CLOCK_REALTIME) return result;
  const std::int64_t milliseconds = *offset + time->tv_sec * milliseconds_per_second +
                                    time->tv_nsec / nanoseconds_per_millisecond;
  time->tv_nsec = milliseconds % milliseconds_per_second * nanoseconds_per_millisecond +
                  time->tv_nsec % nanoseconds_per_millisecond;
  time->tv_sec = milliseconds / milliseconds_per_second;
  return 0;
}
