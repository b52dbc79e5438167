#include "node/maintenance.h"

#include <optional>

#include <doctest/doctest.h>

#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

using Microseconds = std::chrono::microseconds;

// A loop with a store whose steps take as long as the test says, by a clock that only they move.
struct Bench {
  explicit Bench(Microseconds step_costs, int steps) : costs(step_costs), left(steps) {}

  bool step() {
    ++in_turn;
    now += costs;
    return --left > 0;
  }
  void end_turn() {
    if (in_turn > 0) by_turn.push_back(std::exchange(in_turn, 0));
    if (left > 0) return;
    maintenance->stop();
    loop.stop();
  }
  // How many steps were done, by turn that did any.
  const std::vector<int>& run() {
    turn_end.emplace(loop, [this] { end_turn(); });
    maintenance.emplace(
        loop, Maintenance::Hooks{.step = [this] { return step(); }, .now = [this] { return now; }});
    maintenance->start();
    loop.run();
    maintenance.reset();
    turn_end.reset();
    return by_turn;
  }

  EventLoop loop;
  Microseconds costs;
  int left;
  Microseconds now{12345};
  int in_turn = 0;
  std::vector<int> by_turn;
  std::optional<TurnEnd> turn_end;
  std::optional<Maintenance> maintenance;
};

std::int64_t expired(TestClient& client) {
  const std::string name = "\"records_expired\":";
  const std::string stats = client.bulk("stats");
  const std::size_t at = stats.find(name);
  REQUIRE(at != std::string::npos);
  return std::strtoll(stats.c_str() + at + name.size(), nullptr, 10);
}

}  // namespace

TEST_CASE("maintenance: a turn does steps until its time is over, and the next one goes on") {
  CHECK(Bench(Microseconds(250), 10).run() == std::vector<int>{4, 4, 2});
  CHECK(Bench(Microseconds(1), 2500).run() == std::vector<int>{1000, 1000, 500});
}

TEST_CASE(
    "maintenance: a step that takes long is the only one of its turn, and ends all the same") {
  CHECK(Bench(Microseconds(1500), 3).run() == std::vector<int>{1, 1, 1});
  CHECK(Bench(Microseconds(5000), 3).run() == std::vector<int>{1, 1, 1});
}

TEST_CASE("maintenance: after a step that takes far too long the loop waits as long") {
  Bench bench(Microseconds(20'000), 4);
  const Time begin = monotonic_now();
  CHECK(bench.run().size() == 4);
  // The clock of libuv may be a millisecond behind.
  CHECK(monotonic_now() - begin >= Duration(100 + 3 * 19));
}

NODE_TEST_CASE("maintenance: a hundred thousand keys expire together, and clients are answered") {
  constexpr std::int64_t keys = 100'000;
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  std::string lines;
  for (std::int64_t i = 0; i < keys; ++i)
    lines += "set k" + std::to_string(i) + " v --ttl 3s\n";
  REQUIRE(client.line("set stays v") == "+OK\r\n");

  // Where others have the processors, all may expire between two questions: then once more.
  constexpr int rounds_max = 5;
  int answered_meanwhile = 0;
  for (int round = 0; round < rounds_max && answered_meanwhile == 0; ++round) {
    std::thread sending([&] { client.send(lines); });
    const std::string replies = client.receive(5 * keys);
    sending.join();
    REQUIRE(replies.size() == 5 * keys);
    const Time end = monotonic_now() + Duration(TestClient::patience_milliseconds);
    const std::int64_t gone_before = round * keys;
    std::int64_t gone = 0;
    while (gone < keys && monotonic_now() < end) {
      REQUIRE(client.line("has stays") == ":1\r\n");
      gone = expired(client) - gone_before;
      answered_meanwhile += gone > 0 && gone < keys ? 1 : 0;
    }
    CHECK(gone == keys);
    CHECK(client.line("count") == ":1\r\n");
  }
  CHECK(answered_meanwhile > 0);
}

}  // namespace dhrt
