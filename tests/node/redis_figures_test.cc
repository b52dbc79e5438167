#include "node/redis_figures.h"

#include <doctest/doctest.h>

#include "node/redis_table.h"

using namespace dhrt;

namespace {

constexpr std::size_t get = 3;  // Any command.

RedisSlowLog::Entry took(std::uint64_t microseconds) {
  return {.microseconds = microseconds};
}

}  // namespace

TEST_CASE("figures: calls of all loops add up, by how long they took") {
  RedisFigures figures(2);
  figures.of_loop(0).ran(get, 1, 900, false);                // At most a microsecond,
  figures.of_loop(1).ran(get, 1, 1001, true);                // at most two,
  figures.of_loop(1).ran(get, 10, 10 * 5000, false);         // at most eight each,
  figures.of_loop(0).ran(get, 1, 3'600'000'000'000, false);  // an hour: in the last.
  figures.of_loop(0).rejected(get);
  const RedisCommandCounts counts = figures.commands()[get];
  CHECK(counts.calls == 13);
  CHECK(counts.failed == 1);
  CHECK(counts.rejected == 1);
  CHECK(counts.nanoseconds == 900 + 1001 + 50000 + 3'600'000'000'000);
  CHECK(counts.by_time[0] == 1);
  CHECK(counts.by_time[1] == 1);
  CHECK(counts.by_time[3] == 10);
  CHECK(counts.by_time[latency_buckets - 1] == 1);
}

TEST_CASE("figures: a reset forgets what was counted, and counting goes on") {
  RedisFigures figures(1);
  figures.of_loop(0).ran(get, 5, 5000, false);
  figures.failed_with("ERR no");
  figures.failed_with("WRONGPASS no");
  figures.failed_with("ERR again");
  CHECK(figures.errors() == std::map<std::string, std::uint64_t>{{"ERR", 2}, {"WRONGPASS", 1}});
  figures.reset();
  CHECK(figures.errors().empty());
  CHECK(figures.commands()[get].calls == 0);
  figures.of_loop(0).ran(get, 2, 2000, false);
  CHECK(figures.commands()[get].calls == 2);
  CHECK(figures.commands()[get].by_time[0] == 2);
}

TEST_CASE("slow log: the newest are kept, under numbers that are never used twice") {
  RedisSlowLog log;
  for (std::uint64_t i = 1; i <= 5; ++i)
    log.add(took(i), 3);
  CHECK(log.size() == 3);
  const auto newest = log.newest(2);
  REQUIRE(newest.size() == 2);
  CHECK(newest[0].microseconds == 5);
  CHECK(newest[0].id == 4);
  CHECK(newest[1].id == 3);
  log.clear();
  log.add(took(6), 3);
  CHECK(log.newest(10).front().id == 5);
  log.add(took(7), 0);
  CHECK(log.size() == 0);
}

TEST_CASE("latency: of each second the slowest counts, and old seconds are forgotten") {
  RedisLatency latency;
  latency.add("command", {.unix_seconds = 10, .milliseconds = 5});
  latency.add("command", {.unix_seconds = 10, .milliseconds = 9});
  latency.add("command", {.unix_seconds = 10, .milliseconds = 7});
  latency.add("command", {.unix_seconds = 12, .milliseconds = 3});
  const auto event = latency.events().at("command");
  REQUIRE(event.samples.size() == 2);
  CHECK(event.samples[0].milliseconds == 9);
  CHECK(event.milliseconds_max == 9);
  for (std::uint64_t second = 100; second < 500; ++second)
    latency.add("other", {.unix_seconds = second, .milliseconds = 1});
  CHECK(latency.events().at("other").samples.size() == 160);
  CHECK(latency.events().at("other").samples.back().unix_seconds == 499);
  CHECK(latency.reset({"command", "nosuch"}) == 1);
  CHECK(latency.reset({}) == 1);
  CHECK(latency.events().empty());
}
