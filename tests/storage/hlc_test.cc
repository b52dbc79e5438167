#include "storage/hlc.h"

#include <doctest/doctest.h>

namespace dhrt::test {
namespace {

constexpr WallMilliseconds noon = 1'000'000;

constexpr std::uint64_t at(WallMilliseconds wall) {
  return wall << hlc_counter_bits;
}

TEST_CASE("hybrid clock: it follows the wall clock, and counts while that stands still") {
  HybridClock clock;
  CHECK(clock.next(noon, 0) == at(noon));
  CHECK(clock.next(noon, 0) == at(noon) + 1);
  CHECK(clock.next(noon + 5, 0) == at(noon + 5));
}

TEST_CASE("hybrid clock: it never goes back") {
  HybridClock clock;
  clock.next(noon, 0);
  CHECK(clock.next(noon - 1000, 0) == at(noon) + 1);
  clock.start_above(at(noon + 7));
  CHECK(clock.next(noon, 0) == at(noon + 7) + 1);
  clock.start_above(at(noon));
  CHECK(clock.next(noon, 0) == at(noon + 7) + 2);
}

TEST_CASE("hybrid clock: a write beats what it replaces, however far ahead that is") {
  HybridClock clock;
  CHECK(clock.next(noon, at(noon + 100'000)) == at(noon + 100'000) + 1);
}

TEST_CASE("hybrid clock: one wrong clock pulls it ahead by a bounded offset") {
  for (const WallMilliseconds offset_max : {default_clock_offset_max, WallMilliseconds{20'000}}) {
    HybridClock clock(offset_max);
    clock.observe(at(noon + 10), noon);
    CHECK_MESSAGE(clock.last() == at(noon + 10), "a little ahead is adopted");
    clock.observe(at(noon + 1'000'000), noon);
    CHECK(clock.last() == at(noon + offset_max));
    clock.observe(at(noon), noon);
    CHECK(clock.last() == at(noon + offset_max));
  }
}

TEST_CASE("hybrid clock: to overwrite what is far ahead does not pull it along") {
  HybridClock clock;
  const std::uint64_t far = at(noon + 1'000'000);
  CHECK(clock.next(noon, far) == far + 1);
  const std::uint64_t other = clock.next(noon, 0);
  CHECK(other == at(noon + default_clock_offset_max) + 1);
  CHECK_MESSAGE(clock.next(noon, far + 1) == far + 2, "and it wins again");
}

TEST_CASE(
    "hybrid clock: when the wall clock was set back every write is above the last all the same") {
  HybridClock clock;
  const std::uint64_t before = clock.next(noon + 3'600'000, 0);
  for (std::uint64_t i = 1; i <= 3; ++i)
    CHECK(clock.next(noon, 0) == before + i);
}

TEST_CASE("hybrid clock: above the last version there is none") {
  HybridClock clock;
  CHECK(clock.after(noon, hlc_max - 1) == hlc_max);
  CHECK(clock.after(noon, hlc_max) == hlc_max);
}

}  // namespace
}  // namespace dhrt::test
