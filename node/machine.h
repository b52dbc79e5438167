// What this process may use of the machine: processors and memory, within its control group; and
// how its threads come by a processor.
//
// Errors: none; what cannot be found out is assumed to be without limit. Threads: any.
#pragma once

#include <cstdint>

namespace dhrt {

unsigned usable_processors();
// From now on the calling thread, when it wakes, waits for a processor until who runs there sleeps
// or has had its time, instead of interrupting it; so do threads that it starts from then on.
// Without effect where the system does not allow it, or somebody chose another way of scheduling
// for us.
void wake_without_interrupting();
std::uint64_t usable_memory_bytes();

// Event loops never are more.
inline constexpr unsigned event_loops_max = 64;
// --cpu-num and --cache-bytes, where 0 stands for "auto".
unsigned loop_count_for(std::uint64_t cpu_num);
std::uint64_t cache_bytes_for(std::uint64_t cache_bytes);

}  // namespace dhrt
