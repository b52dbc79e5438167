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
  HybridClock clock;
  clock.observe(at(noon + 10), noon);
  CHECK_MESSAGE(clock.last() == at(noon + 10), "a little ahead is adopted");
  clock.observe(at(noon + 1'000'000), noon);
  CHECK(clock.last() == at(noon + HybridClock::offset_max));
  clock.observe(at(noon), noon);
  CHECK(clock.last() == at(noon + HybridClock::offset_max));
}

}  // namespace
}  // namespace dhrt::test
