// Measures how far a node is with what it brings in from others, for people who wait for it.
//
// Of one collection at a time: how much the next one holds is known when it begins. What is left is
// reckoned from the speed so far, and not said before there is one.
// Threads: loop thread only.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "cluster/message.h"
#include "storage/base/time.h"

namespace dhrt {

class CatchUpMeter {
 public:
  // A collection, with so many behind it.
  void begin(Time now, std::size_t collections_left) {
    began_ = now;
    sum_ = {.collections_left = static_cast<std::uint32_t>(collections_left)};
  }
  void end() { began_.reset(); }
  // All in all, as far as the other side knows.
  void expect(std::uint64_t records) { sum_.records_expected = records; }
  void add(std::uint64_t records, std::uint64_t bytes) {
    sum_.records += records;
    sum_.bytes += bytes;
  }
  // Absent: nothing is under way.
  std::optional<CatchUp> read(Time now) const {
    if (!began_) return std::nullopt;
    CatchUp read = sum_;
    const auto passed = static_cast<std::uint64_t>((now - *began_).count());
    const bool is_known = sum_.records != 0 && sum_.records_expected > sum_.records;
    if (!is_known || passed < measured_milliseconds_min) return read;
    const double left = static_cast<double>(sum_.records_expected - sum_.records);
    const double seconds =
        static_cast<double>(passed) / 1000 * left / static_cast<double>(sum_.records);
    read.seconds_left = static_cast<std::uint32_t>(std::min(seconds, seconds_max)) + 1;
    return read;
  }

 private:
  // A speed that was measured for less is none.
  static constexpr std::uint64_t measured_milliseconds_min = 500;
  static constexpr double seconds_max = 1e9;

  std::optional<Time> began_;
  CatchUp sum_;
};

}  // namespace dhrt
