#include "node/http_client.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/node/scripted_server.h"

using namespace dhrt;

namespace {

// What comes of one request.
Result<http::Answer> ask(EventLoop& loop, HttpClient& client, Duration timeout) {
  std::optional<Result<http::Answer>> got;
  client.get({.target = "/a", .body_bytes_max = 16, .timeout = timeout},
             [&](Result<http::Answer> result) {
               got = std::move(result);
               loop.stop();
             });
  CHECK_FALSE(got);  // Never from within.
  loop.run();
  REQUIRE(got);
  return *std::move(got);
}

constexpr Duration long_enough{20'000};

}  // namespace

TEST_CASE("http client: a name without a private address is not connected to") {
  EventLoop loop;
  HttpClient client(loop, {"192.0.2.1", 80}, Dial::Reach::private_addresses);
  const auto result = ask(loop, client, long_enough);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::unavailable);
  CHECK(result.error().message.find("--allow-public") != std::string::npos);
}

namespace {

// Answers each request, whose last line is empty, with the next of `replies`; then keeps silent.
class Server {
 public:
  explicit Server(std::vector<std::optional<std::string>> replies)
      : server_([replies = std::move(replies), next = std::size_t{0}](
                    const std::string& line) mutable -> std::optional<std::string> {
          if (line != "\r" && !line.empty()) return "";
          return next < replies.size() ? replies[next++] : "";
        }) {}
  Address address() const { return *parse_address(server_.address()); }
  std::size_t requests() const {
    const auto lines = server_.lines();
    return static_cast<std::size_t>(std::ranges::count_if(
        lines, [](const std::string& line) { return line.starts_with("GET /a "); }));
  }

 private:
  test::ScriptedServer server_;
};

const std::string good = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

}  // namespace

TEST_CASE("http client: a connection is kept, and replaced once it was closed") {
  // The third request meets a connection that is closed without an answer, then a new one.
  Server server({good, good, std::nullopt, good});
  EventLoop loop;
  HttpClient client(loop, server.address(), Dial::Reach::private_addresses);
  for (int i = 0; i < 3; ++i) {
    const auto result = ask(loop, client, long_enough);
    REQUIRE(result);
    CHECK(result->body == "{}");
  }
  CHECK(server.requests() == 4);
  CHECK(client.local_host() == "127.0.0.1");
}

TEST_CASE("http client: whatever comes, there is an end") {
  struct Case {
    const char* why;
    std::optional<std::string> reply;
    ErrorCode code;
  };
  for (const Case& c : {
           Case{"closed without an answer", std::nullopt, ErrorCode::unavailable},
           Case{"silence", "", ErrorCode::timeout},
           Case{"half an answer", "HTTP/1.1 200 OK\r\nContent-", ErrorCode::timeout},
           Case{"garbage", "garbage\r\n\r\n", ErrorCode::corrupt},
           Case{"too much", "HTTP/1.1 200 OK\r\n\r\n" + std::string(17, 'x'), ErrorCode::corrupt},
       }) {
    CAPTURE(c.why);
    Server server({c.reply});
    EventLoop loop;
    HttpClient client(loop, server.address(), Dial::Reach::private_addresses);
    const bool waits = c.code == ErrorCode::timeout;
    const auto result = ask(loop, client, waits ? Duration{50} : long_enough);
    REQUIRE_FALSE(result);
    CHECK(result.error().code == c.code);
  }
  EventLoop loop;
  HttpClient nobody(loop, *parse_address(test::closed_address()), Dial::Reach::private_addresses);
  const auto result = ask(loop, nobody, long_enough);
  REQUIRE_FALSE(result);
  CHECK(result.error().code == ErrorCode::unavailable);
}

TEST_CASE("http client: dropped with a request under way, it says nothing more") {
  Server server({""});
  EventLoop loop;
  bool called = false;
  {
    HttpClient client(loop, server.address(), Dial::Reach::private_addresses);
    client.get({.target = "/a", .body_bytes_max = 16, .timeout = long_enough},
               [&](const Result<http::Answer>&) { called = true; });
  }
  CHECK_FALSE(called);
}
