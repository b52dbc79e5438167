// A data directory does not care how many event loops wrote it, or how that process ended.
#include "protocol/json.h"
#include "tests/node/node_fixture.h"
#include "tests/storage/copied_files.h"

namespace dhrt {

namespace {

constexpr int keys_of_each = 60;

// Nothing goes to the files of itself: what a crash leaves is in the logs.
NodeOptions with_loops(const std::string& data_dir, unsigned loops) {
  NodeOptions options = node_options(data_dir, {"--checkpoint-age", "1h"});
  options.cpu_num = loops;
  return options;
}

// Through so many clients that every loop has some.
void write(const RunningNode& node, const std::string& prefix) {
  std::vector<TestClient> clients;
  for (int i = 0; i < 20; ++i)
    clients.emplace_back(node.port());
  for (int i = 0; i < keys_of_each; ++i) {
    TestClient& client = clients[static_cast<std::size_t>(i) % clients.size()];
    const std::string key = prefix + std::to_string(i);
    REQUIRE(client.line("set " + key + " v" + key) == "+OK\r\n");
    REQUIRE(client.line("set other " + key + " w" + key) == "+OK\r\n");
    // Every fourth is gone again, and another loop deletes it.
    TestClient& next = clients[static_cast<std::size_t>(i + 1) % clients.size()];
    if (i % 4 == 0) REQUIRE(next.line("del " + key) == ":1\r\n");
  }
}

// How many of the keys that write() leaves are not as it left them.
int wrong(const RunningNode& node, const std::string& prefix) {
  TestClient client(node.port());
  int count = 0;
  for (int i = 0; i < keys_of_each; ++i) {
    const std::string key = prefix + std::to_string(i);
    const bool kept = i % 4 != 0;
    if (client.line("has " + key) != (kept ? ":1\r\n" : ":0\r\n")) ++count;
    if (kept && client.bulk("get " + key) != "v" + key) ++count;
    if (client.bulk("get other " + key) != "w" + key) ++count;
  }
  return count;
}

std::int64_t replayed(const RunningNode& node) {
  TestClient client(node.port());
  const auto stats = json::Document::parse(client.bulk("stats"));
  REQUIRE(stats);
  const auto log = stats->root().member("log");
  REQUIRE(log);
  return log->member("replayed_records")->integer().value_or(-1);
}

std::string count_of(int rounds) {
  return ":" + std::to_string(rounds * keys_of_each * 3 / 4) + "\r\n";
}

}  // namespace

TEST_CASE("restart: what one loop wrote three loops have, and then two, after a clean stop") {
  const TemporaryDirectory directory;
  int rounds = 0;
  for (const unsigned loops : {1U, 3U, 2U, 1U}) {
    CAPTURE(loops);
    RunningNode node(with_loops(directory.path(), loops));
    REQUIRE(node.error() == "");
    CHECK(replayed(node) == 0);
    for (int before = 0; before < rounds; ++before)
      CHECK(wrong(node, "r" + std::to_string(before) + "-") == 0);
    write(node, "r" + std::to_string(rounds) + "-");
    ++rounds;
    CHECK(TestClient(node.port()).line("count") == count_of(rounds));
    CHECK(node.stop() == exit_code::done);
  }
}

TEST_CASE("restart: what one loop wrote three loops have, and then two, after crashes") {
  const TemporaryDirectory directory;
  std::string path = directory.path() + "/start";
  int rounds = 0;
  for (const unsigned loops : {1U, 3U, 2U, 1U}) {
    CAPTURE(loops);
    const RunningNode node(with_loops(path, loops));
    REQUIRE(node.error() == "");
    CHECK((replayed(node) > 0) == (rounds > 0));
    for (int before = 0; before < rounds; ++before)
      CHECK(wrong(node, "r" + std::to_string(before) + "-") == 0);
    write(node, "r" + std::to_string(rounds) + "-");
    ++rounds;
    CHECK(TestClient(node.port()).line("count") == count_of(rounds));
    const std::string next = directory.path() + "/crashed-" + std::to_string(rounds);
    test::copy_as_they_are(path, next);
    path = next;
  }
}

}  // namespace dhrt
