#include "tests/bench/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

using dhrt::bench::Histogram;

TEST_CASE("histogram: an empty one answers zero") {
  const Histogram histogram;
  CHECK(histogram.count() == 0);
  CHECK(histogram.max() == 0);
  CHECK(histogram.quantile(0.5) == 0);
}

TEST_CASE("histogram: small numbers are exact") {
  Histogram histogram;
  for (std::uint64_t value = 0; value < 256; ++value)
    histogram.record(value);
  CHECK(histogram.count() == 256);
  for (std::uint64_t value = 0; value < 256; ++value) {
    CAPTURE(value);
    CHECK(histogram.quantile((static_cast<double>(value) + 1) / 256) == value);
  }
}

TEST_CASE("histogram: a quantile is the number at its rank") {
  struct Case {
    const char* why;
    double share;
    std::uint64_t value;
  };
  Histogram histogram;
  histogram.record(10, 98);
  histogram.record(20);
  histogram.record(200);
  for (const Case& c : {
           Case{"no share at all is the smallest", 0.0, 10},
           Case{"the middle", 0.5, 10},
           Case{"the last of the many", 0.98, 10},
           Case{"one above them", 0.99, 20},
           Case{"the ranks are rounded up", 0.999, 200},
           Case{"all", 1.0, 200},
       }) {
    CAPTURE(c.why);
    CHECK(histogram.quantile(c.share) == c.value);
  }
}

TEST_CASE("histogram: recording a number zero times changes nothing") {
  Histogram histogram;
  histogram.record(7, 0);
  CHECK(histogram.count() == 0);
  CHECK(histogram.max() == 0);
}

// The bucket's end shows only when something larger was recorded, for the maximum is exact.
TEST_CASE("histogram: a large number is rounded up by at most 1/128") {
  std::vector<std::uint64_t> values;
  for (unsigned bit = 8; bit < 63; ++bit) {
    const std::uint64_t power = std::uint64_t{1} << bit;
    values.insert(values.end(), {power - 1, power, power + 1, power + power / 3});
  }
  for (const std::uint64_t value : values) {
    CAPTURE(value);
    Histogram histogram;
    histogram.record(value);
    histogram.record(std::numeric_limits<std::uint64_t>::max());
    const std::uint64_t answer = histogram.quantile(0.5);
    CHECK(answer >= value);
    CHECK(answer - value <= value / 128);
    CHECK(histogram.max() == std::numeric_limits<std::uint64_t>::max());
    CHECK(histogram.quantile(1.0) == histogram.max());
  }
}

TEST_CASE("histogram: quantiles of a random sample stay within the bound") {
  dhrt::Random random(7);
  std::vector<std::uint64_t> values;
  Histogram histogram;
  for (int i = 0; i < 20000; ++i) {
    values.push_back(random.next() >> random.below(60));  // All magnitudes occur.
    histogram.record(values.back());
  }
  std::ranges::sort(values);
  CHECK(histogram.max() == values.back());
  for (const double share : {0.01, 0.25, 0.5, 0.9, 0.99, 0.999}) {
    CAPTURE(share);
    const auto rank =
        static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
    const std::uint64_t exact = values[rank - 1];
    const std::uint64_t answer = histogram.quantile(share);
    CHECK(answer >= exact);
    CHECK(answer - exact <= exact / 128);
  }
}
