// Two real nodes, of one loop each and of several.
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

void wait_until_ready(std::uint16_t port) {
  TestClient client(port);
  const Time deadline = monotonic_now() + std::chrono::seconds(20);
  while (!client.http("GET", "/_/health/ready").starts_with("200"))
    REQUIRE(monotonic_now() < deadline);
}

}  // namespace

NODE_TEST_CASE("cluster: a joined node has what the other has, and what it is told later") {
  const TemporaryDirectory directory;
  RunningNode first(node_options(directory.path() + "/a"));
  REQUIRE(first.error() == "");
  TestClient one(first.port());
  REQUIRE(one.line("set before 1") == "+OK\r\n");
  RunningNode second(join_options(directory.path() + "/b", first.address()));
  REQUIRE(second.error() == "");
  TestClient two(second.port());
  CHECK(ask_until(two, "has before", ":1") == ":1\r\n");
  REQUIRE(one.line("set after 1") == "+OK\r\n");
  CHECK(ask_until(two, "has after", ":1") == ":1\r\n");
  REQUIRE(two.line("del before") == ":1\r\n");
  CHECK(ask_until(one, "has before", ":0") == ":0\r\n");
  CHECK(second.stop() == exit_code::done);
  CHECK(one.line("set alone 1") == "+OK\r\n");
  CHECK(first.stop() == exit_code::done);
}

NODE_TEST_CASE("cluster: the last one to stop is ready again when it starts alone") {
  const TemporaryDirectory directory;
  RunningNode first(node_options(directory.path() + "/a"));
  REQUIRE(first.error() == "");
  {
    RunningNode second(join_options(directory.path() + "/b", first.address()));
    REQUIRE(second.error() == "");
    TestClient two(second.port());
    CHECK(ask_until(two, "set x 1", "+OK") == "+OK\r\n");
    wait_until_ready(second.port());
    CHECK(first.stop() == exit_code::done);
    CHECK(second.stop() == exit_code::done);
  }
  RunningNode again(node_options(directory.path() + "/b"));
  REQUIRE(again.error() == "");
  wait_until_ready(again.port());
}

NODE_TEST_CASE("cluster: a read that misses here is answered by another node") {
  TwoNodes nodes;
  TestClient& one = nodes.one;
  TestClient& two = nodes.two;
  // Asked at once, before the write may have travelled: the answer is right either way.
  for (int i = 0; i < 200; ++i) {
    const std::string key = "k" + std::to_string(i);
    REQUIRE(one.line("set " + key + " v") == "+OK\r\n");
    CHECK(two.line("has " + key) == ":1\r\n");
  }
}

NODE_TEST_CASE("cluster: a node takes from its peers values that it would refuse its clients") {
  const TemporaryDirectory directory;
  RunningNode first(node_options(directory.path() + "/a", {"--max-value-bytes", "32mb"}));
  REQUIRE(first.error() == "");
  TestClient one(first.port());
  // More than a slice of records at the other node's own limit would be.
  const std::string large(std::size_t{17} << 20, 'x');
  REQUIRE(one.line("set pulled " + large) == "+OK\r\n");
  RunningNode second(
      join_options(directory.path() + "/b", first.address(), {"--max-value-bytes", "1kb"}));
  REQUIRE(second.error() == "");
  TestClient two(second.port());
  CHECK(ask_until(two, "has pulled --read one", ":1") == ":1\r\n");
  REQUIRE(one.line("set told " + large) == "+OK\r\n");
  CHECK(ask_until(two, "has told --read one", ":1") == ":1\r\n");
  CHECK(two.line("set own " + std::string(2000, 'x')).substr(0, 5) == "-ERR ");
}

NODE_TEST_CASE(
    "cluster: a node that belongs to none says whom it waits for, and gives up in time") {
  const TemporaryDirectory directory;
  // A port that nobody listens on: it was ours a moment ago.
  std::string seed;
  {
    RunningNode gone(node_options(directory.path() + "/gone"));
    REQUIRE(gone.error() == "");
    seed = gone.address();
  }
  RunningNode node(join_options(directory.path() + "/a", seed, {"--join-timeout", "1s"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(client.line("ping") == "+PONG\r\n");
  CHECK(client.line("get a") == "-ERR not a member of a cluster yet; waiting for " + seed + "\r\n");
  CHECK(client.line("set a 1").substr(0, 32) == "-ERR not a member of a cluster y");
  TestClient probe(node.port());
  CHECK(probe.http("GET", "/_/health/ready").substr(0, 4) == "503 ");
  CHECK(node.wait() == exit_code::cannot_connect);
}

}  // namespace dhrt
