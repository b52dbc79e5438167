#include "node/redis_delays.h"

#include <string>

#include <doctest/doctest.h>

#include "node/redis_waits.h"
#include "storage/base/system_clock.h"

using namespace dhrt;

namespace {

// Turns the loop until nothing is left to be done on it.
void turn(EventLoop& loop) {
  uv_run(loop.raw(), UV_RUN_DEFAULT);
}

}  // namespace

TEST_CASE("delays: what is due is done in the order of its time") {
  EventLoop loop;
  RedisDelays delays(loop);
  std::string done;
  const Time now = monotonic_now();
  delays.add(1, {.due = now + Duration{30}, .then = [&] { done += "1"; }});
  delays.add(2, {.due = now + Duration{10}, .then = [&] { done += "2"; }});
  delays.add(3, {.due = now + Duration{20}, .then = [&] { done += "3"; }});
  CHECK(delays.cancel(3));
  CHECK_FALSE(delays.cancel(3));
  turn(loop);
  CHECK(done == "21");
  CHECK(monotonic_now() - now >= Duration{30});
}

TEST_CASE("delays: of a session that ends only the end is told") {
  EventLoop loop;
  RedisDelays delays(loop);
  std::string done;
  delays.add(1, {.due = monotonic_now() + Duration{5},
                 .then = [&] { done += "then"; },
                 .ended = [&] { done += "ended"; }});
  delays.add(2, {.due = std::nullopt, .then = {}, .ended = [&] { done += " for ever"; }});
  delays.session_ended(1);
  delays.session_ended(2);
  delays.session_ended(3);
  turn(loop);
  CHECK(done == "ended for ever");
}

TEST_CASE(
    "waits: the core is asked when the writes are durable, and ends a wait with what it has") {
  EventLoop loop;
  RedisDelays delays(loop);
  std::string asked, ended, answers;
  RedisWaits waits(delays,
                   {[&](const WaitForPeers& wait) { asked += std::to_string(wait.request); },
                    [&](WaitEnds ends) { ended += std::to_string(ends.request); }});
  const auto done = [&](std::uint64_t peers) { answers += std::to_string(peers); };
  waits.begin(1, 2, 100, std::nullopt, done);
  waits.begin(2, 2, 200, monotonic_now() + Duration{5}, done);
  waits.begin(3, 2, 100, monotonic_now() + Duration{5}, done);
  waits.durable(99);
  CHECK(asked.empty());
  waits.durable(150);
  CHECK(asked == "1");  // The third waits behind the second.
  turn(loop);
  // What the core does not know of yet is on no other node.
  CHECK(answers == "00");
  CHECK(ended.empty());
  delays.session_ended(1);
  CHECK(ended == "1");
  waits.answered({.request = 1, .peers = 7});
  waits.answered({.request = 1, .peers = 7});
  CHECK(answers == "007");
  waits.durable(1000);
  CHECK(asked == "1");
}
