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

NODE_TEST_CASE("repair: a node alone says that it has lost a record until it is written again") {
  const TemporaryDirectory directory;
  {
    RunningNode node(node_options(directory.path()));
    REQUIRE(node.error() == "");
    TestClient client(node.port());
    REQUIRE(client.line("set a " + precious) == "+OK\r\n");
    REQUIRE(node.stop() == exit_code::done);
  }
  damage(directory.path(), Damage::everything);
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  CHECK(ask_until(client, "get a", "-ERR").substr(0, 4) == "-ERR");
  CHECK(says(client, "\"records_damaged\":1"));
  CHECK(client.line("set a anew") == "+OK\r\n");
  CHECK(client.bulk("get a") == "anew");
  CHECK(says(client, "\"records_healed\":1,\"records_damaged\":0"));
}

}  // namespace dhrt
