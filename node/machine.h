// What this process may use of the machine: processors and memory, within its control group.
//
// Errors: none; what cannot be found out is assumed to be without limit. Threads: any.
#pragma once

#include <cstdint>

namespace dhrt {

unsigned usable_processors();
std::uint64_t usable_memory_bytes();

// Event loops never are more.
inline constexpr unsigned event_loops_max = 64;
// --cpu-num and --cache-bytes, where 0 stands for "auto".
unsigned loop_count_for(std::uint64_t cpu_num);
std::uint64_t cache_bytes_for(std::uint64_t cache_bytes);

}  // namespace dhrt
