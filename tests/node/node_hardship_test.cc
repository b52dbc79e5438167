// What clients do wrong, to a real node: nothing ends it, nobody else notices.
#include "node/descriptors.h"
#include "storage/base/random.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

NODE_TEST_CASE("hardship: every dialect may arrive one byte at a time") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  struct Case {
    const char* why;
    std::string bytes, begins;
  };
  for (const Case& c : {
           Case{"text", "\r\nset a b\nget a\n", "+OK\r\n$1\r\nb\r\n"},
           Case{"HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
                "HTTP/1.1 200 OK\r\n"},
           Case{"arrays", "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n",
                "+PONG\r\n$1\r\nx\r\n"},
           Case{"lines and arrays", "ping\r\n*1\r\n$4\r\nPING\r\nping a\n*1\r\n$4\r\nPING\r\n",
                "+PONG\r\n+PONG\r\n$1\r\na\r\n+PONG\r\n"},
           Case{"TLS", std::string("\x16\x03\x01\x00\x05hello", 10), "\x15\x03\x03"},
       }) {
    CAPTURE(c.why);
    TestClient client(node.port());
    for (const char byte : c.bytes)
      client.send(std::string(1, byte));
    client.end_sending();
    CHECK(client.receive_all().substr(0, c.begins.size()) == c.begins);
  }
}

NODE_TEST_CASE("hardship: garbage ends its own connection at most") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--handshake-timeout", "300ms"}));
  REQUIRE(node.error() == "");
  Random random(1);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    // Every other one pretends to be a peer, so that frames meet garbage, too.
    if (round % 2 == 0) bytes = std::string("\0dhrt\1\0", 7);
    for (std::uint64_t i = random.between(1, 300); i > 0; --i)
      bytes += static_cast<char>(random.next());
    TestClient client(node.port());
    client.send(bytes);
  }
  TestClient client(node.port());
  CHECK(client.line("ping") == "+PONG\r\n");
}

NODE_TEST_CASE("hardship: who begins and does not go on is dropped, who is silent is not") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--handshake-timeout", "200ms"}));
  REQUIRE(node.error() == "");
  TestClient silent(node.port());
  TestClient undecided(node.port());
  undecided.send("GET /");
  TestClient half_peer(node.port());
  half_peer.send(std::string("\0dhrt\1\0", 7));
  CHECK(undecided.closed());
  CHECK(half_peer.closed());
  CHECK(silent.line("ping") == "+PONG\r\n");
}

NODE_TEST_CASE("hardship: the head of an HTTP request must come in time, byte by byte or not") {
  const TemporaryDirectory directory;
  const RunningNode node(
      node_options(directory.path(), {"--memory", "--handshake-timeout", "200ms"}));
  REQUIRE(node.error() == "");
  for (const bool sends_more : {true, false}) {
    for (const bool is_second : {true, false}) {
      CAPTURE(sends_more);
      CAPTURE(is_second);
      TestClient client(node.port());
      if (is_second) REQUIRE(client.http("GET", "/_/health/live").substr(0, 4) == "200 ");
      client.send("GET /k HTTP/1.1\r\nHost: localhost\r\nX: ");
      while (sends_more && client.send_some("x") > 0 && !client.anything_within(5)) {
      }
      CHECK(client.receive_until("\r\n\r\n").find("HTTP/1.1 408 ") != std::string::npos);
      CHECK(client.closed());
    }
  }
}

NODE_TEST_CASE("hardship: a body may take its time, and so may what lies between requests") {
  const TemporaryDirectory directory;
  const RunningNode node(
      node_options(directory.path(), {"--memory", "--handshake-timeout", "200ms"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  client.send("PUT /k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\na");
  // Another one that does exceed the same time shows that it is over.
  TestClient late(node.port());
  late.send("GET /k HTTP/1.1\r\nX: ");
  REQUIRE(late.receive_until("\r\n").substr(0, 12) == "HTTP/1.1 408");
  client.send("b");
  CHECK(client.receive_until("\r\n").substr(0, 12) == "HTTP/1.1 201");
  TestClient later(node.port());
  later.send("GET /k HTTP/1.1\r\nX: ");
  REQUIRE(later.receive_until("\r\n").substr(0, 12) == "HTTP/1.1 408");
  client.send("GET /k HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(client.receive_until("HTTP/1.1 200").find("HTTP/1.1 200") != std::string::npos);
}

NODE_TEST_CASE("hardship: a caller that has not greeted cannot announce a large frame") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path()));
  REQUIRE(node.error() == "");
  // A head alone: its payload would have to be waited for until the greeting is overdue.
  const auto head = [](std::size_t payload_bytes) {
    std::string bytes;
    append_frame(bytes, {.type = 1}, std::string(payload_bytes, 'x'));
    return bytes.substr(0, frame_head_bytes);
  };
  TestClient large(node.port());
  large.send(std::string("\0dhrt\1\0", 7) + head(greeting_bytes_max + 1));
  CHECK(large.closed());
  TestClient small(node.port());
  small.send(std::string("\0dhrt\1\0", 7) + head(greeting_bytes_max));
  CHECK_FALSE(small.anything_within(100));
}

NODE_TEST_CASE("hardship: an idle client is dropped only if it is asked for") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--timeout", "200ms"}));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  REQUIRE(client.line("ping") == "+PONG\r\n");
  CHECK(client.closed());
}

NODE_TEST_CASE("hardship: a line that never ends is refused") {
  const TemporaryDirectory directory;
  const RunningNode node(with_value_limit(node_options(directory.path()), 1000));
  REQUIRE(node.error() == "");
  TestClient client(node.port());
  client.send("set k " + std::string(100000, 'v'));
  CHECK(client.receive_until("\r\n").substr(0, 5) == "-ERR ");
  CHECK(client.closed());
}

NODE_TEST_CASE("hardship: a client that never reads is not listened to, and others do not notice") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  TestClient good(node.port());
  REQUIRE(good.line("set big " + std::string(100000, 'x')) == "+OK\r\n");
  TestClient bad(node.port());
  const std::string line = "get big\n";
  // Until the node takes no more; what it owes is then bounded by its limit.
  std::size_t sent = 0;
  while (sent < (std::size_t{64} << 20)) {
    const std::size_t now = bad.send_some(line);
    if (now == 0 && good.line("ping") == "+PONG\r\n" && bad.send_some(line) == 0) break;
    sent += now;
  }
  CHECK(sent < (std::size_t{64} << 20));
  CHECK(good.line("ping") == "+PONG\r\n");
}

NODE_TEST_CASE("hardship: a client that owes too much reading is disconnected and counted") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(
      directory.path(), {"--memory", "--max-value-bytes", "64mb", "--output-buffer-max", "1mb",
                         "--handshake-timeout", "200ms"}));
  REQUIRE(node.error() == "");
  TestClient good(node.port());
  // More than the system takes on its own for two sockets.
  REQUIRE(good.line("set big " + std::string(std::size_t{48} << 20, 'x')) == "+OK\r\n");
  TestClient bad(node.port());
  bad.send("get big\n");
  const std::string counted = "\"slow_clients_disconnected\":1,";
  const Time patience = monotonic_now() + Duration(TestClient::patience_milliseconds);
  std::string stats;
  while (stats.find(counted) == std::string::npos && monotonic_now() < patience)
    stats = good.bulk("stats");
  CHECK(stats.find(counted) != std::string::npos);
  CHECK(bad.closed());
}

NODE_TEST_CASE("hardship: a thousand idle connections cost nothing") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory"}));
  REQUIRE(node.error() == "");
  raise_descriptor_limit(4096);
  std::vector<TestClient> idle;
  for (int i = 0; i < 1000; ++i)
    idle.emplace_back(node.port());
  TestClient client(node.port());
  CHECK(client.line("ping") == "+PONG\r\n");
  CHECK(idle[999].line("ping") == "+PONG\r\n");
}

NODE_TEST_CASE("hardship: more clients than allowed are told so") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path(), {"--memory", "--max-clients", "2"}));
  REQUIRE(node.error() == "");
  TestClient first(node.port());
  TestClient second(node.port());
  REQUIRE(first.line("ping") == "+PONG\r\n");
  REQUIRE(second.line("ping") == "+PONG\r\n");
  TestClient third(node.port());
  CHECK(third.line("ping").substr(0, 5) == "-BUSY");
  TestClient fourth(node.port());
  CHECK(fourth.http("GET", "/").substr(0, 4) == "503 ");
  CHECK(first.line("ping") == "+PONG\r\n");
}

NODE_TEST_CASE("hardship: a port in use and an unusable directory are told in one line") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(directory.path() + "/a"));
  REQUIRE(node.error() == "");
  const RunningNode same_port(node_options(directory.path() + "/b", {"--bind", node.address()}));
  CHECK(same_port.error().find("is in use") != std::string::npos);
  const RunningNode no_directory(node_options("/dev/null/data"));
  CHECK(no_directory.error().find("/dev/null/data") != std::string::npos);
}

}  // namespace dhrt
