// Redis clients on real nodes: what a cluster changes for them. The exact bytes are the business of
// tests/conformance.
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

std::string ask(TestClient& client, const std::vector<std::string>& words) {
  client.send(redis_array(words));
  return client.reply();
}

// Until then a node gets what is written by pulls, too: to be healthy, and again to vote.
bool shows_of_both(const RunningNode& node, const std::string& what) {
  TestClient client(node.port());
  const auto end = monotonic_now() + std::chrono::milliseconds(TestClient::patience_milliseconds);
  do {
    const std::string nodes = client.bulk("nodes");
    // Of both nodes: the first and the last that is listed.
    if (nodes.find(what) != nodes.rfind(what)) return true;
  } while (monotonic_now() < end);
  return false;
}

}  // namespace

NODE_TEST_CASE("redis: a read of several keys asks the other nodes for those that miss here") {
  TwoNodes nodes;
  TestClient& one = nodes.one;
  TestClient& two = nodes.two;
  // Asked at once, before the write may have travelled: the answer is right either way.
  for (int i = 0; i < 100; ++i) {
    const std::string key = "k" + std::to_string(i);
    REQUIRE(ask(one, {"SET", key, "v"}) == "+OK\r\n");
    CHECK(ask(two, {"EXISTS", key, "x", "nothing"}) == ":2\r\n");
    REQUIRE(ask(one, {"SET", key + "b", "w"}) == "+OK\r\n");
    CHECK(ask(two, {"STRLEN", key + "b"}) == ":1\r\n");
    REQUIRE(ask(one, {"SET", key + "c", "value"}) == "+OK\r\n");
    CHECK(ask(two, {"GETRANGE", key + "c", "1", "2"}) == "$2\r\nal\r\n");
    REQUIRE(ask(one, {"SET", key + "d", "value"}) == "+OK\r\n");
    CHECK(ask(two, {"DEL", key + "d"}) == ":1\r\n");
  }
  CHECK(ask(two, {"DEL", "k0", "k1", "nothing"}) == ":2\r\n");
}

NODE_TEST_CASE("redis: what one node counts the other one has") {
  TwoNodes nodes;
  TestClient& one = nodes.one;
  TestClient& two = nodes.two;
  for (int i = 1; i <= 100; ++i)
    CHECK(ask(one, {"INCR", "n"}) == ":" + std::to_string(i) + "\r\n");
  CHECK(ask(one, {"SET", "k", "v", "EX", "1000"}) == "+OK\r\n");
  CHECK(ask(one, {"APPEND", "k", "w"}) == ":2\r\n");
  CHECK(ask(one, {"PERSIST", "k"}) == ":1\r\n");
  CHECK(ask(one, {"RENAME", "k", "l"}) == "+OK\r\n");
  CHECK(ask_until(two, "has l --read one", ":1") == ":1\r\n");
  CHECK(ask(two, {"GET", "n"}) == "$3\r\n100\r\n");
  CHECK(ask(two, {"GET", "l"}) == "$2\r\nvw\r\n");
  CHECK(ask(two, {"TTL", "l"}) == ":-1\r\n");
  CHECK(ask(two, {"EXISTS", "k"}) == ":0\r\n");
}

NODE_TEST_CASE("redis: a new node counts on from what the others have, synced or not") {
  const TemporaryDirectory directory;
  RunningNode first(node_options(directory.path() + "/a"));
  REQUIRE(first.error() == "");
  TestClient one(first.port());
  std::string keys;
  for (int i = 0; i < 2000; ++i)
    keys += "set n" + std::to_string(i) + " 41\n";
  one.send(keys);
  for (int i = 0; i < 2000; ++i)
    REQUIRE(one.reply() == "+OK\r\n");
  RunningNode second(join_options(directory.path() + "/b", first.address()));
  REQUIRE(second.error() == "");
  TestClient two(second.port());
  CHECK(ask_until(two, "has n0", ":1") == ":1\r\n");
  for (int i = 1999; i >= 0; --i)
    CHECK(ask(two, {"INCR", "n" + std::to_string(i)}) == ":42\r\n");
}

// With one loop each: clients of other loops may come between the records of a message.
TEST_CASE("redis: what EXEC wrote is on another node all at once") {
  TwoNodes nodes;
  TestClient& one = nodes.one;
  TestClient& two = nodes.two;
  // What is held here is not asked of others, one key after the other.
  CHECK(ask(one, {"SET", "a", "x"}) == "+OK\r\n");
  CHECK(ask(one, {"SET", "b", "x"}) == "+OK\r\n");
  CHECK(ask_until(two, "has b --read one", ":1") == ":1\r\n");
  // Who joined votes some time after the first write.
  for (const RunningNode* node : {&nodes.first, &nodes.second}) {
    REQUIRE(shows_of_both(*node, "\"state\":\"healthy\""));
    REQUIRE(shows_of_both(*node, "\"votes\":true"));
  }
  // More than the writes of a turn that go out in one message otherwise, and more than a turn of
  // the other node reads.
  const std::string large(6 << 20, 'v');
  std::string seen;
  for (int round = 0; round < 10; ++round) {
    const std::string number = std::to_string(round);
    one.send(redis_array({"SET", "before", "v"}) + redis_array({"MULTI"}) +
             redis_array({"SET", "a", number}) + redis_array({"SET", "large", large}) +
             redis_array({"SET", "b", number}) + redis_array({"EXEC"}));
    while (seen != number) {
      two.send(redis_array({"MGET", "a", "b"}));
      REQUIRE(two.receive_until("\r\n") == "*2\r\n");
      const std::string a = two.reply();
      REQUIRE(two.reply() == a);
      seen = a.substr(4, a.size() - 6);
    }
    for (int i = 0; i < 5; ++i)
      one.reply();
    REQUIRE(one.receive_until("\r\n") == "*3\r\n");
    for (int i = 0; i < 3; ++i)
      one.reply();
  }
}

TEST_CASE("redis: a node that belongs to no cluster yet says so") {
  const TemporaryDirectory directory;
  // A port that nobody listens on: it was ours a moment ago.
  std::string seed;
  {
    RunningNode gone(node_options(directory.path() + "/gone"));
    REQUIRE(gone.error() == "");
    seed = gone.address();
  }
  RunningNode node(join_options(directory.path() + "/a", seed, {"--join-timeout", "2s"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(ask(client, {"PING"}) == "+PONG\r\n");
  for (const auto& words : std::vector<std::vector<std::string>>{{"GET", "k"},
                                                                 {"SET", "k", "v"},
                                                                 {"INCR", "k"},
                                                                 {"DEL", "k"},
                                                                 {"DBSIZE"},
                                                                 {"KEYS", "*"},
                                                                 {"SCAN", "0"},
                                                                 {"RANDOMKEY"}}) {
    CAPTURE(words[0]);
    CHECK(ask(client, words).starts_with("-ERR not a member of a cluster yet"));
  }
  CHECK(node.wait() == exit_code::cannot_connect);
}

TEST_CASE("redis: a collection's time to live holds for keys that are made, not for others") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(client.line("create short --ttl 1h") == "+OK\r\n");
  CHECK(ask(client, {"SELECT", "short"}) == "+OK\r\n");
  CHECK(ask(client, {"INCR", "n"}) == ":1\r\n");
  CHECK(ask(client, {"TTL", "n"}) == ":3600\r\n");
  CHECK(ask(client, {"PERSIST", "n"}) == ":1\r\n");
  CHECK(ask(client, {"INCR", "n"}) == ":2\r\n");
  CHECK(ask(client, {"TTL", "n"}) == ":-1\r\n");
  CHECK(ask(client, {"SETEX", "n", "10", "v"}) == "+OK\r\n");
  CHECK(ask(client, {"TTL", "n"}) == ":10\r\n");
  CHECK(ask(client, {"SET", "n", "v"}) == "+OK\r\n");
  CHECK(ask(client, {"TTL", "n"}) == ":3600\r\n");
  CHECK(client.line("count short") == ":1\r\n");
}

}  // namespace dhrt
