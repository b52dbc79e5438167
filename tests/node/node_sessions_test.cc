// Sessions on one node, with tokens that say what no client was shown: whoever waits is asked again
// what it may see, and is answered in every end. What clients see is in tests/conformance and
// tests/nemesis.
#include <cstdlib>
#include <fstream>

#include "protocol/session_token.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

std::string get(const std::string& path, const SessionToken& session,
                const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: localhost\r\nX-Dhrt-Session: " + session.text() +
         "\r\n" + fields + "\r\n";
}

// As if it had been shown the first write of that collection.
SessionToken first_write_of(const std::string& collection, const Origin& origin) {
  SessionToken token;
  token.saw({collection, 1}, {origin, 1});
  return token;
}

// The loop has taken it: what it says from now on is read in the order in which it was said.
void greet(TestClient& client) {
  client.send("GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n");
  client.receive_until("{\"status\":\"live\"}");
}

// The node's own, of its only event loop; read in its figures.
Origin origin_of(TestClient& client) {
  const std::string stats = client.bulk("stats");
  const auto behind = [&](const std::string& name, int base) {
    const std::size_t at = stats.find(name);
    REQUIRE(at != std::string::npos);
    return std::strtoull(stats.c_str() + at + name.size(), nullptr, base);
  };
  return {.node = behind("\"node_id\":\"", 16),
          .epoch = static_cast<std::uint32_t>(behind("\"epoch\":", 10)),
          .loop = 0};
}

}  // namespace

TEST_CASE("sessions: what a path names after the wait is asked for as if it had come then") {
  const TemporaryDirectory directory;
  const std::string tokens = directory.path() + "/tokens.toml";
  std::ofstream(tokens) << "[[token]]\nname = \"a\"\ntoken = \"t-admin\"\nrole = \"admin\"\n"
                           "[[token]]\nname = \"r\"\ntoken = \"t-reader\"\nrole = \"read\"\n"
                           "collections = [\"default\"]\n";
  RunningNode node(node_options(directory.path() + "/a", {"--auth-file", tokens}));
  REQUIRE(node.error() == "");
  TestClient admin(node.port());
  admin.send("auth t-admin\n");
  REQUIRE(admin.reply() == "+OK\r\n");
  const Origin origin = origin_of(admin);
  TestClient reader(node.port());
  greet(reader);
  reader.send(
      get("/secret", first_write_of("secret", origin), "Authorization: Bearer t-reader\r\n"));
  // On the one loop there is the request comes before this.
  admin.send("ping\n");
  REQUIRE(admin.reply() == "+PONG\r\n");
  admin.send("set secret k v\n");
  REQUIRE(admin.reply() == "+OK\r\n");
  CHECK(reader.receive_until("\r\n") == "HTTP/1.1 403 Forbidden\r\n");
}

TEST_CASE("sessions: what a node that is not known here wrote is not said to be lost") {
  const TemporaryDirectory directory;
  RunningNode node(node_options(directory.path() + "/a", {"--read-timeout", "50ms"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  const Origin own = origin_of(client);
  client.send("set users k v\n");
  REQUIRE(client.reply() == "+OK\r\n");
  const auto answer = [&](const Origin& origin, std::uint64_t sequence) {
    SessionToken token;
    token.saw({"users", 1}, {origin, sequence});
    TestClient asking(node.port());
    asking.send(get("/users/k", token));
    return asking.receive_until("\r\n").substr(9, 3);
  };
  CHECK(answer(own, 1) == "200");
  CHECK(answer({own.node + 1, 1, 0}, 1) == "504");
  // Of this start it may come; of an earlier one it cannot.
  CHECK(answer(own, 2) == "504");
  CHECK(answer({own.node, own.epoch - 1, 0}, 1) == "410");
}

TEST_CASE("sessions: a node that leaves answers those that wait") {
  const TemporaryDirectory directory;
  RunningNode node(node_options(directory.path() + "/a", {"--read-timeout", "1h"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  greet(client);
  client.send(get("/users/k", first_write_of("users", {7, 1, 0})));
  TestClient other(node.port());
  other.send("ping\n");
  REQUIRE(other.reply() == "+PONG\r\n");
  CHECK(node.stop() == 0);
  CHECK(client.receive_until("\r\n") == "HTTP/1.1 503 Service Unavailable\r\n");
}

}  // namespace dhrt
