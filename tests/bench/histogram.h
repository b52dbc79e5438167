// Counts latencies in buckets of bounded relative width (HdrHistogram, Tene 2012, in one page).
//
// Intuition: numbers below 256 have a bucket each; above, every power of two is cut into 128
// equal buckets, so a bucket is never wider than 1/128 of the numbers in it.
//
// Units: any; the load generator records nanoseconds.   Bounds: 7,424 buckets, 58 KiB.
// Errors: none, every 64-bit number has a bucket.       Threads: one.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace dhrt::bench {

class Histogram {
 public:
  void record(std::uint64_t value, std::uint64_t times = 1) {
    buckets_[bucket_of(value)] += times;
    count_ += times;
    if (times > 0) max_ = std::max(max_, value);
  }

  std::uint64_t count() const { return count_; }
  std::uint64_t max() const { return max_; }  // Exact; 0 when empty.

  // The smallest number that `share` (0..1) of the recorded ones do not exceed, rounded up to the
  // end of its bucket: at most 1/128 too large, never too small. 0 when empty.
  std::uint64_t quantile(double share) const {
    if (count_ == 0) return 0;
    const auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    const std::uint64_t rank = std::clamp<std::uint64_t>(wanted, 1, count_);
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen >= rank) return std::min(last_of(i), max_);
    }
    return max_;
  }

 private:
  static constexpr unsigned precision_bits = 7;
  static constexpr std::size_t bucket_count = (64 - precision_bits + 1) << precision_bits;

  // How many low bits of `value` its bucket ignores.
  static unsigned shift_of(std::uint64_t value) {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    return width > precision_bits + 1 ? width - precision_bits - 1 : 0;
  }

  static std::size_t bucket_of(std::uint64_t value) {
    const unsigned shift = shift_of(value);
    return (std::size_t{shift} << precision_bits) + static_cast<std::size_t>(value >> shift);
  }

  // The largest number in bucket `index`.
  static std::uint64_t last_of(std::size_t index) {
    if (index < (std::size_t{2} << precision_bits)) return index;
    const std::size_t shift = (index >> precision_bits) - 1;
    const std::uint64_t top = index - (shift << precision_bits);
    return (top << shift) + ((std::uint64_t{1} << shift) - 1);
  }

  std::array<std::uint64_t, bucket_count> buckets_{};
  std::uint64_t count_ = 0;
  std::uint64_t max_ = 0;
};

}  // namespace dhrt::bench
