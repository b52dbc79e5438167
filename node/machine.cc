#include "node/machine.h"

#include <algorithm>
#include <fstream>
#include <sched.h>
#include <string>
#include <thread>
#include <unistd.h>

namespace dhrt {

namespace {

// The first line of a control group's file; empty if there is none, or it says "max".
std::string limit_in(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line.starts_with("max") ? std::string() : line;
}

// cpu.max is "<quota> <period>"; part of a processor counts as one.
unsigned processors_by_quota() {
  const std::string line = limit_in("/sys/fs/cgroup/cpu.max");
  const std::size_t space = line.find(' ');
  if (space == std::string::npos) return event_loops_max;
  const std::uint64_t quota = std::strtoull(line.c_str(), nullptr, 10);
  const std::uint64_t period = std::strtoull(line.c_str() + space, nullptr, 10);
  if (quota == 0 || period == 0) return event_loops_max;
  return static_cast<unsigned>(
      std::min<std::uint64_t>((quota + period - 1) / period, event_loops_max));
}

}  // namespace

unsigned usable_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  const bool known = sched_getaffinity(0, sizeof(set), &set) == 0;
  const unsigned allowed =
      known ? static_cast<unsigned>(CPU_COUNT(&set)) : std::thread::hardware_concurrency();
  return std::max(1U, std::min(allowed, processors_by_quota()));
}

void wake_without_interrupting() {
  if (sched_getscheduler(0) != SCHED_OTHER) return;
  const sched_param unused{};
  sched_setscheduler(0, SCHED_BATCH, &unused);
}

std::uint64_t usable_memory_bytes() {
  const auto pages = static_cast<std::uint64_t>(std::max(sysconf(_SC_PHYS_PAGES), 1L));
  const auto page_bytes = static_cast<std::uint64_t>(std::max(sysconf(_SC_PAGESIZE), 1L));
  const std::uint64_t machine = pages * page_bytes;
  const std::string limit = limit_in("/sys/fs/cgroup/memory.max");
  const std::uint64_t group = std::strtoull(limit.c_str(), nullptr, 10);
  return group == 0 ? machine : std::min(machine, group);
}

unsigned loop_count_for(std::uint64_t cpu_num) {
  // One processor stays free for the kernel's part of the work, the checkpoint and, here or there,
  // clients. On two, a second loop brought GETs at depth 16 and 64 up to a fifth more, and took a
  // fifth from SETs at depth 64, which then cost up to 1.9 times the CPU.
  const std::uint64_t wanted = cpu_num == 0 ? usable_processors() - 1 : cpu_num;
  return static_cast<unsigned>(std::clamp<std::uint64_t>(wanted, 1, event_loops_max));
}

std::uint64_t cache_bytes_for(std::uint64_t cache_bytes) {
  return cache_bytes == 0 ? usable_memory_bytes() / 4 : cache_bytes;
}

}  // namespace dhrt
