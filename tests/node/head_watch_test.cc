#include "node/head_watch.h"

#include <doctest/doctest.h>

namespace dhrt {

namespace {

constexpr Duration patience{100};

Time at(Duration::rep milliseconds) {
  return Time{} + Duration(milliseconds);
}

}  // namespace

TEST_CASE("head watch: one head that is open for longer than it may is late") {
  HeadWatch watch;
  CHECK_FALSE(watch.is_late(0, at(1000), patience));
  CHECK_FALSE(watch.is_late(0, at(1050), patience));
  CHECK_FALSE(watch.is_late(0, at(1100), patience));
  CHECK(watch.is_late(0, at(1101), patience));
}

TEST_CASE("head watch: another head has its own time, and so has one behind a pause") {
  HeadWatch watch;
  for (std::uint64_t number = 0; number < 10; ++number)
    CHECK_FALSE(
        watch.is_late(number, at(1000 + 90 * static_cast<Duration::rep>(number)), patience));
  CHECK_FALSE(watch.is_late(std::nullopt, at(3000), patience));
  CHECK_FALSE(watch.is_late(std::nullopt, at(9000), patience));
  CHECK_FALSE(watch.is_late(10, at(9500), patience));
  CHECK(watch.is_late(10, at(9601), patience));
}

TEST_CASE("head watch: while nobody listens to a client no time passes for it") {
  HeadWatch watch;
  CHECK_FALSE(watch.is_late(0, at(1000), patience));
  CHECK_FALSE(watch.is_late(0, at(5000), Duration{}));
  CHECK_FALSE(watch.is_late(0, at(5100), patience));
  CHECK(watch.is_late(0, at(5101), patience));
}

}  // namespace dhrt
