// Nodes whose disk has damaged a value: it is never shown, and comes back from another node.
#include <fstream>
#include <iterator>

#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

const std::string precious = "precious" + std::string(60, 'p');

enum class Damage { value, everything };

// Damages the record of key `a` in whichever file has it. The node does not run.
void damage(const std::string& data_dir, Damage how) {
  int damaged = 0;
  for (const auto& entry : std::filesystem::directory_iterator(data_dir + "/collections")) {
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    for (auto at = bytes.find(precious); at != std::string::npos;
         at = bytes.find(precious, at + 1)) {
      // Before the value: format (1), flags, hlc, origin, sequence; and before those the key.
      const std::size_t record = at - 13;
      REQUIRE(bytes.substr(record - 1, 2) == "a\1");
      bytes[how == Damage::value ? at + 3 : record] ^= 0x20;
      ++damaged;
    }
    file.seekp(0);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  REQUIRE(damaged > 0);
}

bool says(TestClient& client, const std::string& figure) {
  return client.bulk("stats").find(figure) != std::string::npos;
}

// Asks for it until it is healed: what comes is right, or nothing.
void await_healed(std::uint16_t port) {
  TestClient client(port);
  TestClient reader(port);
  const Time patience = monotonic_now() + Duration(TestClient::patience_milliseconds);
  while (!says(client, "\"records_healed\":1,\"records_damaged\":0")) {
    REQUIRE(monotonic_now() < patience);
    const std::string reply = reader.http("GET", "/default/a");
    CHECK(!reply.starts_with("no response"));
    if (reply.starts_with("200"))
      CHECK(reply.find("\"Value\":\"" + precious + "\"") != std::string::npos);
  }
}

void check_healing(Damage how) {
  const TemporaryDirectory directory;
  RunningNode first(node_options(directory.path() + "/a"));
  REQUIRE(first.error() == "");
  {
    RunningNode second(join_options(directory.path() + "/b", first.address()));
    REQUIRE(second.error() == "");
    TestClient two(second.port());
    REQUIRE(ask_until(two, "set other intact", "+OK") == "+OK\r\n");
    REQUIRE(two.line("set a " + precious) == "+OK\r\n");
    REQUIRE(second.stop() == exit_code::done);
  }
  damage(directory.path() + "/b", how);
  RunningNode second(join_options(directory.path() + "/b", first.address()));
  REQUIRE(second.error() == "");
  await_healed(second.port());
  TestClient client(second.port());
  CHECK(says(client, "\"records_quarantined\":1"));
  REQUIRE(first.stop() == exit_code::done);
  // Its own copy again, also on the disk.
  CHECK(ask_until(client, "has a", ":1") == ":1\r\n");
  CHECK(client.bulk("get a") == precious);
  REQUIRE(second.stop() == exit_code::done);
  RunningNode again(node_options(directory.path() + "/b"));
  REQUIRE(again.error() == "");
  TestClient last(again.port());
  CHECK(ask_until(last, "has a", ":1") == ":1\r\n");
  CHECK(last.bulk("get a") == precious);
  CHECK(last.bulk("get other") == "intact");
  CHECK(says(last, "\"records_quarantined\":0"));
}

}  // namespace

NODE_TEST_CASE("repair: a damaged value is never shown and comes back from another node") {
  check_healing(Damage::value);
}

NODE_TEST_CASE("repair: so does a record that is nothing but damage") {
  check_healing(Damage::everything);
}

// A node alone, whose record of `a` was damaged while it was down.
class Bereft {
 public:
  explicit Bereft(Damage how) {
    {
      RunningNode node(node_options(directory_.path()));
      REQUIRE(node.error() == "");
      TestClient client(node.port());
      REQUIRE(client.line("set a " + precious) == "+OK\r\n");
      REQUIRE(client.line("set b intact") == "+OK\r\n");
      REQUIRE(node.stop() == exit_code::done);
    }
    damage(directory_.path(), how);
    node_.emplace(node_options(directory_.path()));
    REQUIRE(node_->error() == "");
    TestClient client(port());
    REQUIRE(ask_until(client, "get b", "$6") != "");
  }
  std::uint16_t port() const { return node_->port(); }

 private:
  TemporaryDirectory directory_;
  std::optional<RunningNode> node_;
};

void check_told(Damage how) {
  const Bereft bereft(how);
  TestClient client(bereft.port());
  const std::string told = client.line("get a");
  CHECK(told.starts_with("-ERR the value of key 'a' in collection 'default' is damaged"));
  CHECK(told.find("set or delete the key") != std::string::npos);
  CHECK(client.line("get default a").starts_with("-ERR the value of key 'a'"));
  CHECK(client.line("has a") == ":1\r\n");
  CHECK(client.line("count") == ":2\r\n");
  CHECK(client.bulk("get b") == "intact");
  CHECK(says(client, "\"records_damaged\":1"));
  TestClient web(bereft.port());
  for (const char* path : {"/default/a", "/a"}) {
    const std::string answer = web.http("GET", path);
    CHECK(answer.starts_with("500"));
    CHECK(answer.find("is damaged on this node's disk") != std::string::npos);
  }
  const std::string list = web.http("GET", "/default/");
  CHECK(list.find("{\"Key\":\"a\",\"error\":\"the value is damaged") != std::string::npos);
  CHECK(list.find("intact") != std::string::npos);
}

NODE_TEST_CASE("repair: a node alone says that a value is damaged, not that it is missing") {
  check_told(Damage::value);
}

NODE_TEST_CASE("repair: it says so of a record that is nothing but damage as well") {
  check_told(Damage::everything);
}

NODE_TEST_CASE("repair: whoever lists is told of a damaged value, in its place") {
  const Bereft bereft(Damage::value);
  TestClient client(bereft.port());
  client.send("scan default\n");
  CHECK(client.receive_until("-ERR the value is damaged").ends_with("is damaged"));
}

NODE_TEST_CASE("repair: a damaged value is gone when it was written again, or deleted") {
  const Bereft bereft(Damage::everything);
  TestClient client(bereft.port());
  REQUIRE(client.line("get a").starts_with("-ERR the value of key 'a'"));
  SUBCASE("written") {
    CHECK(client.line("set a anew") == "+OK\r\n");
    CHECK(client.bulk("get a") == "anew");
    CHECK(client.line("count") == ":2\r\n");
  }
  SUBCASE("deleted") {
    CHECK(client.line("del a") == ":1\r\n");
    CHECK(client.line("get a") == "$-1\r\n");
    CHECK(client.line("count") == ":1\r\n");
  }
  CHECK(says(client, "\"records_healed\":1,\"records_damaged\":0"));
}

NODE_TEST_CASE("repair: one that is written again before anybody met it is never damaged") {
  const Bereft bereft(Damage::everything);
  TestClient client(bereft.port());
  CHECK(client.line("set a anew") == "+OK\r\n");
  CHECK(client.bulk("get a") == "anew");
  CHECK(client.line("count") == ":2\r\n");
  CHECK(says(client, "\"records_damaged\":0"));
}

}  // namespace dhrt
