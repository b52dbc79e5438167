// What a storage benchmark found, and how it is printed.
//
// Intuition: a figure has a name, a value and, where the design names one, a target. The groups of
// benchmarks are functions from options to figures, so that main() is a table of them.
//
// Units: as the figure says.   Errors: of the engine, as they come.   Threads: one.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/result.h"

namespace dhrt::bench {

struct Figure {
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double> target;  // Not to be exceeded.
  std::string note;
};

using Figures = std::vector<Figure>;

struct StorageBenchOptions {
  std::string directory;      // Empty when a group begins, and emptied after it.
  std::uint64_t records = 0;  // 0: what the group finds right.
  bool quick = false;
  std::size_t value_bytes = 100;  // Keys have 16 bytes.

  std::uint64_t records_or(std::uint64_t full) const {
    if (records != 0) return records;
    return quick ? 20000 : full;
  }
};

struct Group {
  const char* name;
  const char* what;
  Result<Figures> (*run)(const StorageBenchOptions& options);
};

// "engine" groups and the log's.
std::vector<Group> engine_groups();
std::vector<Group> log_groups();
std::vector<Group> loop_groups();
std::vector<Group> raw_groups();

// A stretch of wall time and of CPU time of all threads.
class Stopwatch {
 public:
  Stopwatch();
  double seconds() const;
  double cpu_seconds() const;

 private:
  std::chrono::steady_clock::time_point began_;
  double cpu_began_;
};

// The i-th of a sequence of different keys in no order: 16 bytes, made in a few nanoseconds.
void write_random_key(std::uint64_t number, std::string& key);

std::uint64_t resident_bytes();

void print_table(const Group& group, const Figures& figures);
// One object, in the form of the other benchmarks' JSON: {"title":…, "rows":[…]}.
std::string to_json(const Group& group, const Figures& figures);

}  // namespace dhrt::bench
