// Ports and unix sockets beside the node's own address.
#include <filesystem>
#include <fstream>

#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

const std::string ping = "*1\r\n$4\r\nPING\r\n";

// A socket file that nobody listens at, as a process leaves it that was killed.
void leave_socket(const std::string& path) {
  const int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(::bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  REQUIRE(::listen(socket, 1) == 0);
  ::close(socket);
}

}  // namespace

NODE_TEST_CASE("listeners: each serves its dialect and no other") {
  const TemporaryDirectory directory;
  const RunningNode node(
      node_options(directory.path(), {"--listen", "resp://127.0.0.1:0", "--listen",
                                      "http://127.0.0.1:0", "--listen", "dhrt://127.0.0.1:0"}));
  REQUIRE(node.error() == "");
  TestClient own(node.port());
  CHECK(own.line("set k v") == "+OK\r\n");
  for (int i = 0; i < 6; ++i) {  // Each loop serves each listener.
    TestClient resp(node.port(Service::resp));
    resp.send(ping);
    CHECK(resp.receive_until("\r\n") == "+PONG\r\n");
    TestClient http(node.port(Service::http));
    CHECK(http.http("GET", "/default/k").starts_with("200 {\"Key\":\"k\",\"Value\":\"v\""));
  }
  TestClient not_resp(node.port(Service::resp));
  not_resp.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
  CHECK(not_resp.receive_all().starts_with("-ERR"));
  TestClient not_http(node.port(Service::http));
  not_http.send(ping);
  CHECK(not_http.receive_all().starts_with("HTTP/1.1 400"));
}

NODE_TEST_CASE("listeners: one of a single dialect takes no peers") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(
      directory.path(), {"--listen", "resp://127.0.0.1:0", "--listen", "http://127.0.0.1:0"}));
  REQUIRE(node.error() == "");
  const std::string hello("\0dhrt\1\0", 7);
  TestClient http(node.port(Service::http));
  http.send(hello);
  CHECK(http.receive_until("\r\n") != "");
  CHECK(http.closed());
  // To Redis it is a line that a zero byte ends: one without words.
  TestClient resp(node.port(Service::resp));
  resp.send(hello + "\r\n" + ping);
  CHECK(resp.receive_until("\r\n") == "+PONG\r\n");
}

NODE_TEST_CASE("listeners: a switch with its port, on the host of --bind") {
  const TemporaryDirectory directory;
  const RunningNode node(
      node_options(directory.path(), {"--resp", "--resp-port", "0", "--http", "--http-port", "0"}));
  REQUIRE(node.error() == "");
  TestClient resp(node.port(Service::resp));
  resp.send(redis_array({"SET", "k", "v"}) + ping);
  CHECK(resp.receive_until("PONG\r\n") == "+OK\r\n+PONG\r\n");
  TestClient http(node.port(Service::http));
  CHECK(http.http("GET", "/k").starts_with("200 "));
}

NODE_TEST_CASE("listeners: a unix socket serves, is there once, and is gone with its node") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/resp.sock";
  const std::string own = directory.path() + "/dhrt.sock";
  {
    const RunningNode node(
        node_options(directory.path() + "/data",
                     {"--listen", "resp+unix://" + path, "--listen", "dhrt+unix://" + own}));
    REQUIRE(node.error() == "");
    std::vector<TestClient> clients;
    for (int i = 0; i < 9; ++i) {  // They are spread over the loops.
      clients.emplace_back(path);
      const std::string key = "k" + std::to_string(i);
      clients.back().send(redis_array({"SET", key, std::string(100'000, 'v')}));
      CHECK(clients.back().receive_until("\r\n") == "+OK\r\n");
    }
    TestClient text(own);
    CHECK(text.bulk("get k8") == std::string(100'000, 'v'));
    CHECK(text.line("count") == ":9\r\n");
    TestClient http(own);
    CHECK(http.http("GET", "/_/health/live") == "200 {\"status\":\"live\"}");
    TestClient peer(own);
    peer.send(std::string("\0dhrt\1\0", 7));
    CHECK(peer.closed());

    const RunningNode second(
        node_options(directory.path() + "/other", {"--listen", "resp+unix://" + path}));
    CHECK(second.error() == "cannot listen on the socket " + path +
                                ": another process is there; end it, or choose another path");
    clients[0].send(ping);
    CHECK(clients[0].receive_until("\r\n") == "+PONG\r\n");
  }
  CHECK_FALSE(std::filesystem::exists(path));
  CHECK_FALSE(std::filesystem::exists(own));
}

TEST_CASE("listeners: the socket file of a dead process is replaced, another file is not") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/stale.sock";
  leave_socket(path);
  {
    const RunningNode node(
        node_options(directory.path() + "/data", {"--listen", "resp+unix://" + path}));
    REQUIRE(node.error() == "");
    TestClient client(path);
    client.send(ping);
    CHECK(client.receive_until("\r\n") == "+PONG\r\n");
  }
  std::ofstream(path) << "precious";
  const RunningNode refused(
      node_options(directory.path() + "/data", {"--listen", "resp+unix://" + path}));
  CHECK(refused.error().find("a file that is no socket") != std::string::npos);
  CHECK(std::filesystem::file_size(path) == 8);
}

TEST_CASE("listeners: a socket file that somebody else put there is left to him") {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/x.sock";
  RunningNode node(node_options(directory.path() + "/data", {"--listen", "resp+unix://" + path}));
  REQUIRE(node.error() == "");
  std::filesystem::remove(path);
  leave_socket(path);
  CHECK(node.stop() == exit_code::done);
  CHECK(std::filesystem::exists(path));
}

TEST_CASE("listeners: what cannot be had is told with the flag that moves it") {
  const TemporaryDirectory directory;
  const RunningNode first(node_options(directory.path() + "/a", {"--resp", "--resp-port", "0"}));
  REQUIRE(first.error() == "");
  const std::string taken = std::to_string(first.port(Service::resp));
  struct Case {
    std::vector<std::string> flags;
    std::string says;
  };
  for (const Case& c : {
           Case{{"--resp", "--resp-port", taken},
                "port " + taken + " is in use on 127.0.0.1; choose another one with --resp-port"},
           Case{{"--listen", "http://127.0.0.1:" + taken},
                "port " + taken + " is in use on 127.0.0.1; choose another one with --listen"},
           Case{{"--tcp", "--tcp-host", "192.0.2.1"}, "with --tcp-port"},
           Case{{"--listen", "resp://no-such-host.invalid"}, "give --listen an address"},
           Case{{"--listen", "resp+unix:///no/such/folder/x"}, "its folder exists"},
       }) {
    CAPTURE(c.says);
    const RunningNode node(node_options(directory.path() + "/b", c.flags));
    CAPTURE(node.error());
    CHECK(node.error().find(c.says) != std::string::npos);
  }
}

TEST_CASE("listeners: IPv6 and names") {
  const TemporaryDirectory directory;
  const RunningNode node(node_options(
      directory.path(), {"--listen", "resp://[::]:0", "--listen", "http://localhost:0"}));
  if (node.error().find("address family") != std::string::npos) return;  // A machine without IPv6.
  REQUIRE(node.error() == "");
  TestClient client(node.port(Service::resp));  // By IPv4, as a loopback client of ::.
  client.send(ping);
  CHECK(client.receive_until("\r\n") == "+PONG\r\n");
}

}  // namespace dhrt
