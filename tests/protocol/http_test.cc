#include "protocol/http.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;
using http::Fed;
using http::Header;
using http::Parser;
using http::Request;

namespace {

constexpr ProtocolLimits small_limits{
    .value_bytes_max = 10, .line_bytes_max = 64, .arguments_max = 4, .header_bytes_max = 128};

Fed parse(Bytes input, const ProtocolLimits& limits = {}) {
  return Parser(limits).feed(input);
}

std::string describe(const Request& request) {
  std::string out = request.method + " " + request.path + " ? " + request.query;
  for (const auto& [name, value] : request.headers)
    out += " | " + name + "=" + value;
  out += " | 1." + std::to_string(request.version_minor);
  out += request.keep_alive ? " keep" : " close";
  return out + " [" + request.body + "]";
}

struct Valid {
  std::string why;
  std::string input;
  std::string request;
};

std::vector<Valid> valid() {
  return {
      {"a plain request", "GET /k HTTP/1.1\r\nHost: h\r\n\r\n", "GET /k ?  | host=h | 1.1 keep []"},
      {"a query", "GET /set?k=a%20b&v= HTTP/1.1\r\nHost: h\r\n\r\n",
       "GET /set ? k=a%20b&v= | host=h | 1.1 keep []"},
      {"header names in lower case, values trimmed, empty ones kept",
       "GET / HTTP/1.1\r\nHOST:h\r\nX-A:  b c\t \r\nX-Empty:\r\nX-Last: 1\r\n\r\n",
       "GET / ?  | host=h | x-a=b c | x-empty= | x-last=1 | 1.1 keep []"},
      {"a body of known length", "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
       "PUT /k ?  | host=h | content-length=5 | 1.1 keep [hello]"},
      {"a body that begins with a blank",
       "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n \r\n",
       "PUT /k ?  | host=h | content-length=3 | 1.1 keep [ \r\n]"},
      {"an empty body", "POST /k/v HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
       "POST /k/v ?  | host=h | content-length=0 | 1.1 keep []"},
      {"a chunked body",
       "PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
       "3\r\nhel\r\n2;name=value\r\nlo\r\n0\r\n\r\n",
       "PUT /k ?  | host=h | transfer-encoding=chunked | 1.1 keep [hello]"},
      {"trailers are dropped",
       "PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
       "A\r\n0123456789\r\n0\r\nX-Trailer: t\r\n\r\n",
       "PUT /k ?  | host=h | transfer-encoding=Chunked | 1.1 keep [0123456789]"},
      {"HTTP/1.1 closes when asked", "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
       "GET / ?  | host=h | connection=close | 1.1 close []"},
      {"HTTP/1.0 closes", "GET / HTTP/1.0\r\n\r\n", "GET / ?  | 1.0 close []"},
      {"HTTP/1.0 stays when asked", "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
       "GET / ?  | connection=keep-alive | 1.0 keep []"},
      {"an absolute target, whose host wins",
       "GET http://node:7453/k?x=1 HTTP/1.1\r\nHost: other\r\n\r\n",
       "GET /k ? x=1 | host=node:7453 | 1.1 keep []"},
      {"an absolute target without path", "GET http://node?x HTTP/1.1\r\nHost: node\r\n\r\n",
       "GET / ? x | host=node | 1.1 keep []"},
      {"the asterisk", "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
       "OPTIONS * ?  | host=h | 1.1 keep []"},
      {"an upgrade is an ordinary request",
       "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
       "GET / ?  | host=h | upgrade=h2c | connection=Upgrade | 1.1 keep []"},
      {"CONNECT is an ordinary request, its body too",
       "CONNECT h:80 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab",
       "CONNECT h:80 ?  | host=h | content-length=2 | 1.1 keep [ab]"},
      {"blank lines in front", "\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
       "GET / ?  | host=h | 1.1 keep []"},
      {"an empty segment", "POST //v HTTP/1.1\r\nHost: h\r\n\r\n",
       "POST //v ?  | host=h | 1.1 keep []"},
  };
}

// What a connection does with bytes that come in two pieces.
std::vector<std::string> requests_in(Parser& parser, Bytes input) {
  std::vector<std::string> requests;
  while (!input.empty()) {
    const Fed fed = parser.feed(input);
    if (fed.error) requests.push_back(std::to_string(fed.error->status));
    if (fed.error) break;
    if (fed.request) requests.push_back(describe(*fed.request));
    input.remove_prefix(fed.consumed);
  }
  return requests;
}

}  // namespace

TEST_CASE("http: a request is read, and no byte behind it") {
  for (const Valid& c : valid()) {
    CAPTURE(c.why);
    const Fed fed = parse(c.input + "GET /next");
    if (fed.error) CAPTURE(fed.error->message);
    REQUIRE(fed.request);
    CHECK(describe(*fed.request) == c.request);
    CHECK(fed.consumed == c.input.size());
  }
}

TEST_CASE("http: every split of a request gives the same request") {
  for (const Valid& c : valid()) {
    CAPTURE(c.why);
    for (std::size_t split = 1; split < c.input.size(); ++split) {
      CAPTURE(split);
      Parser parser{ProtocolLimits{}};
      const Fed first = parser.feed(Bytes(c.input).substr(0, split));
      REQUIRE_FALSE(first.error);
      REQUIRE_FALSE(first.request);
      CHECK(first.consumed == split);
      const Fed second = parser.feed(Bytes(c.input).substr(split));
      REQUIRE(second.request);
      CHECK(describe(*second.request) == c.request);
      CHECK(second.consumed == c.input.size() - split);
    }
  }
}

TEST_CASE("http: a request that comes byte by byte") {
  for (const Valid& c : valid()) {
    CAPTURE(c.why);
    Parser parser{ProtocolLimits{}};
    std::vector<std::string> requests;
    for (const char& byte : c.input) {
      for (auto& request : requests_in(parser, Bytes(&byte, 1)))
        requests.push_back(request);
    }
    CHECK(requests == std::vector{c.request});
  }
}

TEST_CASE("http: pipelined requests come one by one") {
  std::string input;
  std::vector<std::string> expected;
  for (const Valid& c : valid()) {
    if (c.request.find(" close [") != std::string::npos) continue;
    input += c.input;
    expected.push_back(c.request);
  }
  Parser parser{ProtocolLimits{}};
  CHECK(requests_in(parser, input) == expected);
  CHECK(parser.idle());
}

TEST_CASE("http: nothing is read behind a request that ends the connection") {
  Parser parser{ProtocolLimits{}};
  const std::string input = "GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
  CHECK(requests_in(parser, input) == std::vector<std::string>{"GET /a ?  | 1.0 close []"});
}

TEST_CASE("http: idle means that nothing of a next request has come") {
  Parser parser{ProtocolLimits{}};
  CHECK(parser.idle());
  CHECK(parser.feed("\r\n").consumed == 2);
  CHECK(parser.idle());
  CHECK(parser.feed("G").consumed == 1);
  CHECK_FALSE(parser.idle());
}

TEST_CASE("http: a head is open from its first byte to its last, and each has its number") {
  Parser parser{ProtocolLimits{}};
  const std::string request = "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab";
  const std::size_t head_bytes = request.size() - 2;
  for (std::uint64_t number = 0; number < 3; ++number) {
    CHECK(parser.feed("\r\n").consumed == 2);
    CHECK_FALSE(parser.open_head());
    for (std::size_t i = 0; i < request.size(); ++i) {
      CAPTURE(i);
      CHECK(parser.feed(Bytes(request).substr(i, 1)).consumed == 1);
      CHECK(parser.open_head() ==
            (i + 1 < head_bytes ? std::optional<std::uint64_t>(number) : std::nullopt));
    }
  }
}

TEST_CASE("http: what cannot be answered is refused with the right status") {
  struct Case {
    std::string why;
    std::string input;
    int status;
  };
  const std::string host = "Host: h\r\n";
  const std::string put = "PUT /k HTTP/1.1\r\n" + host;
  for (const auto& c : {
           Case{"no HTTP at all", "hello\r\n\r\n", 400},
           Case{"an unknown method", "BREW / HTTP/1.1\r\n" + host + "\r\n", 501},
           Case{"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
           Case{"HTTP/2 with another method", "GET / HTTP/2.0\r\n" + host + "\r\n", 505},
           Case{"HTTP/1.2", "GET / HTTP/1.2\r\n" + host + "\r\n", 505},
           Case{"HTTP/0.9", "GET / HTTP/0.9\r\n\r\n", 505},
           Case{"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
           Case{"two Hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", 400},
           Case{"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\n" + host + host + "\r\n", 400},
           Case{"a target that is no path", "GET k HTTP/1.1\r\n" + host + "\r\n", 400},
           Case{"an asterisk of GET", "GET * HTTP/1.1\r\n" + host + "\r\n", 400},
           Case{"an unknown scheme", "GET ftp://h/ HTTP/1.1\r\n" + host + "\r\n", 400},
           Case{"an absolute target without host", "GET http:///k HTTP/1.1\r\n" + host + "\r\n",
                400},
           Case{"an unknown coding", put + "Transfer-Encoding: gzip\r\n\r\n", 501},
           Case{"a coding on top of chunked", put + "Transfer-Encoding: gzip, chunked\r\n\r\n",
                501},
           Case{"a coding behind chunked", put + "Transfer-Encoding: chunked, gzip\r\n\r\n", 501},
           Case{"a coding told twice",
                put + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 501},
           Case{"length, then coding",
                put + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
           Case{"coding, then length",
                put + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", 400},
           Case{"length in small letters, then coding",
                put + "content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n", 400},
           Case{"chunked in HTTP/1.0",
                "PUT / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
           Case{"two lengths", put + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n", 400},
           Case{"two equal lengths", put + "Content-Length: 3\r\nContent-Length: 3\r\n\r\n", 400},
           Case{"a list of lengths", put + "Content-Length: 3, 3\r\n\r\n", 400},
           Case{"a negative length", put + "Content-Length: -1\r\n\r\n", 400},
           Case{"a length with a sign", put + "Content-Length: +1\r\n\r\n", 400},
           Case{"a length of nothing", put + "Content-Length:\r\n\r\n", 400},
           Case{"a length of 2^64", put + "Content-Length: 18446744073709551616\r\n\r\n", 400},
           Case{"bare line feeds", "GET / HTTP/1.1\nHost: h\n\n", 400},
           Case{"a bare line feed behind the last header", put + "X-A: b\n\r\n", 400},
           Case{"a folded header", put + "X-A: b\r\n c\r\n\r\n", 400},
           Case{"a header in front of its name's colon", put + "X-A : b\r\n\r\n", 400},
           Case{"a header without name", put + ": b\r\n\r\n", 400},
           Case{"a carriage return alone", put + "X-A: b\rX-B: c\r\n\r\n", 400},
           Case{"a carriage return that ends the head", put + "\rX-B: c\r\n\r\n", 400},
           Case{"a zero byte", put + "X-A: b" + std::string(1, '\0') + "\r\n\r\n", 400},
           Case{"no chunk size", put + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400},
           Case{"a chunk longer than told",
                put + "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n", 400},
           Case{"a chunk size of 2^64",
                put + "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n", 400},
           Case{"chunks with bare line feeds",
                put + "Transfer-Encoding: chunked\r\n\r\n2\nab\n0\n\n", 400},
       }) {
    CAPTURE(c.why);
    Parser parser{ProtocolLimits{}};
    const Fed fed = parser.feed(c.input);
    REQUIRE(fed.error);
    CAPTURE(fed.error->message);
    CHECK(fed.error->status == c.status);
    CHECK_FALSE(fed.request);
    CHECK_FALSE(fed.wants_continue);
    CHECK_FALSE(fed.error->message.empty());
    // Nothing that follows is read.
    const Fed next = parser.feed("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(next.error);
    CHECK_FALSE(next.request);
    // And byte by byte it is the same.
    Parser slow{ProtocolLimits{}};
    std::string status;
    for (const char& byte : c.input) {
      const Fed piece = slow.feed(Bytes(&byte, 1));
      CHECK_FALSE(piece.request);
      if (piece.error) status = std::to_string(piece.error->status);
      if (piece.error) break;
    }
    CHECK(status == std::to_string(c.status));
  }
}

TEST_CASE("http: the head has a limit, and the status tells which part was too long") {
  const std::string line = "GET / HTTP/1.1\r\n";
  const std::string rest = "Host: h\r\nX-Long: ";
  const std::size_t room = small_limits.header_bytes_max - line.size() - rest.size() - 4;
  const std::string fits = line + rest + std::string(room, 'a') + "\r\n\r\n";
  CHECK(fits.size() == small_limits.header_bytes_max);
  CHECK(parse(fits, small_limits).request);
  const Fed longer = parse(line + rest + std::string(room + 1, 'a') + "\r\n\r\n", small_limits);
  REQUIRE(longer.error);
  CHECK(longer.error->status == 431);
  const Fed target = parse("GET /" + std::string(200, 'a') + " HTTP/1.1\r\n", small_limits);
  REQUIRE(target.error);
  CHECK(target.error->status == 414);
}

TEST_CASE("http: the body has a limit, in both framings") {
  const std::string put = "PUT /k HTTP/1.1\r\nHost: h\r\n";
  const std::string chunked = put + "Transfer-Encoding: chunked\r\n\r\n";
  CHECK(parse(put + "Content-Length: 10\r\n\r\n0123456789", small_limits).request);
  CHECK(parse(chunked + "6\r\n012345\r\n4\r\n6789\r\n0\r\n\r\n", small_limits).request);
  for (const auto& input : {put + "Content-Length: 11\r\n\r\n", chunked + "b\r\n0123456789a",
                            put + "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n"}) {
    CAPTURE(input);
    const Fed fed = parse(input, small_limits);
    REQUIRE(fed.error);
    CHECK(fed.error->status == 413);
    CHECK(fed.error->message.find("--max-value-bytes") != std::string::npos);
    CHECK_FALSE(fed.wants_continue);
  }
}

TEST_CASE("http: who may send more than a stranger is asked for once, and only if it does") {
  const std::string head = "PUT /k HTTP/1.1\r\nHost: h\r\nX-Token: good\r\n";
  const std::string bad_head = "PUT /k HTTP/1.1\r\nHost: h\r\nX-Token: bad\r\n";
  const auto sized = [](std::size_t bytes) {
    return "Content-Length: " + std::to_string(bytes) + "\r\n\r\n" + std::string(bytes, 'b');
  };
  const auto chunked = [](std::size_t bytes) {
    std::string text = "Transfer-Encoding: chunked\r\n\r\n";
    for (std::size_t sent = 0; sent < bytes; sent += 10)
      text += "a\r\n0123456789\r\n";
    return text + "0\r\n\r\n";
  };
  int asked = 0;
  Parser parser{ProtocolLimits{}};
  parser.ask_before_long_bodies([&](const Request& request) -> std::optional<http::ParseError> {
    ++asked;
    if (request.header("x-token") == "good") return std::nullopt;
    return http::ParseError{401, "not with this one"};
  });
  const std::size_t most = bytes_before_token_max;
  const auto takes = [&](const std::string& input, int times) {
    asked = 0;
    Fed fed = parser.feed(input);
    std::size_t consumed = fed.consumed;
    while (!fed.request && !fed.error && consumed < input.size()) {
      fed = parser.feed(Bytes(input).substr(consumed));
      consumed += fed.consumed;
    }
    CHECK(asked == times);
    return fed.error ? fed.error->status : 200;
  };
  CHECK(takes(bad_head + sized(most), 0) == 200);
  CHECK(takes(bad_head + chunked(most - 10), 0) == 200);
  CHECK(takes(head + sized(most + 1), 1) == 200);
  CHECK(takes(head + chunked(3 * most), 1) == 200);
  SUBCASE("by its head") {
    CHECK(takes(bad_head + "Content-Length: 65537\r\n\r\n", 1) == 401);
  }
  SUBCASE("while it comes") {
    CHECK(takes(bad_head + chunked(most + 10), 1) == 401);
  }
  SUBCASE("and the limit of all stays") {
    CHECK(takes(head + "Content-Length: 16777217\r\n\r\n", 1) == 413);
  }
}

TEST_CASE("http: chunk extensions and trailers have a limit") {
  const std::string chunked = "PUT /k HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string much(200, 'a');
  for (const auto& input : {chunked + "1;" + much, chunked + "0\r\nX-A: " + much}) {
    Parser parser(small_limits);
    std::optional<http::ParseError> error;
    for (const char& byte : input) {
      if (!error) error = parser.feed(Bytes(&byte, 1)).error;
    }
    REQUIRE(error);
    CHECK(error->status == 431);
  }
  // Chunks of one byte are wasteful, and legal.
  std::string ones = chunked;
  for (int i = 0; i < 10; ++i)
    ones += "1\r\na\r\n";
  CHECK(parse(ones + "0\r\n\r\n", small_limits).request);
}

TEST_CASE("http: a client that waits is told to go on, once") {
  const std::string head =
      "PUT /k HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nContent-Length: 5\r\n\r\n";
  Parser parser{ProtocolLimits{}};
  CHECK(parser.feed(head).wants_continue);
  const Fed fed = parser.feed("hello");
  CHECK_FALSE(fed.wants_continue);
  REQUIRE(fed.request);
  CHECK(fed.request->body == "hello");
  CHECK_FALSE(parse(head + "hello").wants_continue);
  CHECK_FALSE(
      parse("PUT /k HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n").wants_continue);
  CHECK_FALSE(parse("GET /k HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n").wants_continue);
}

TEST_CASE("http: who waits for word is refused by the head, if the body makes no difference") {
  const std::string head = "PUT /k HTTP/1.1\r\nHost: h\r\n";
  const std::string expects = "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n";
  int asked = 0;
  const auto fed_with = [&](const std::string& input) {
    asked = 0;
    Parser parser{ProtocolLimits{}};
    parser.ask_before_expected_bodies(
        [&](const Request& request) -> std::optional<http::ParseError> {
          ++asked;
          if (request.path == "/k" && request.header("x-token").empty())
            return http::ParseError{401, "not without a token"};
          return std::nullopt;
        });
    return parser.feed(input);
  };
  for (const std::string body : {"", "v", "vv"}) {
    const Fed refused = fed_with(head + expects + body);
    REQUIRE(refused.error);
    CHECK(refused.error->status == 401);
    CHECK_FALSE(refused.wants_continue);
    CHECK_FALSE(refused.request);
    CHECK(asked == 1);
  }
  const Fed welcome = fed_with(head + "X-Token: good\r\n" + expects);
  CHECK_FALSE(welcome.error);
  CHECK(welcome.wants_continue);
  CHECK(fed_with(head + "Content-Length: 2\r\n\r\nvv").request);
  CHECK(asked == 0);
}

TEST_CASE("http: the first of several equal headers is given, and all of a list") {
  const Fed fed = parse("GET / HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nX-A: 2\r\n\r\n");
  REQUIRE(fed.request);
  CHECK(fed.request->header("x-a") == "1");
  CHECK(fed.request->header("x-b").empty());
  CHECK(fed.request->list("x-a") == "1, 2");
  CHECK(fed.request->list("x-b").empty());
}

TEST_CASE("http: a path is split first and decoded then") {
  using Segments = std::vector<std::string>;
  CHECK(http::path_segments("/") == Segments{""});
  CHECK(http::path_segments("/a") == Segments{"a"});
  CHECK(http::path_segments("/a/") == Segments{"a", ""});
  CHECK(http::path_segments("//v") == Segments{"", "v"});
  CHECK(http::path_segments("/a%2Fb/c+d") == Segments{"a/b", "c+d"});
  CHECK(http::path_segments("/%00%ff") == Segments{std::string("\0\xff", 2)});
  CHECK(http::path_segments("*") == Segments{"*"});
  for (const std::string path : {"/%", "/%4", "/a%zz", "/%+1", "/%%41", "/% 1", "/%-1"}) {
    CAPTURE(path);
    CHECK_FALSE(http::path_segments(path));
  }
}

TEST_CASE("http: query fields keep their order and their malformed escapes") {
  using Fields = std::vector<std::pair<std::string, std::string>>;
  CHECK(http::query_fields("").empty());
  CHECK(http::query_fields("k=a+b&v=%2B&k=2") == Fields{{"k", "a b"}, {"v", "+"}, {"k", "2"}});
  CHECK(http::query_fields("k&&v==x&") == Fields{{"k", ""}, {"v", "=x"}});
  CHECK(http::query_fields("k=%zz%4&%6b=%") == Fields{{"k", "%zz%4"}, {"k", "%"}});
}

TEST_CASE("http: a response says how long it is and whether the connection stays") {
  const auto respond = [](const http::Response& response, const Request& request) {
    std::string out;
    http::append_response(out, response, request);
    return out;
  };
  const http::Response ok{.status = 200, .headers = {{"ETag", "\"1\""}}, .body = "{}"};
  const std::string head =
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nETag: \"1\"\r\nContent-Length: 2\r\n";
  CHECK(respond(ok, {.method = "GET"}) == head + "\r\n{}");
  CHECK(respond(ok, {.method = "HEAD"}) == head + "\r\n");
  CHECK(respond(ok, {.method = "GET", .keep_alive = false}) ==
        head + "Connection: close\r\n\r\n{}");
  CHECK(respond(ok, {.method = "GET", .version_minor = 0}) ==
        head + "Connection: keep-alive\r\n\r\n{}");
  CHECK(respond({.status = 204, .content_type = ""}, {.method = "GET"}) ==
        "HTTP/1.1 204 No Content\r\n\r\n");
  CHECK(respond({.status = 304, .content_type = "", .body = "x"}, {.method = "GET"}) ==
        "HTTP/1.1 304 Not Modified\r\n\r\n");
}

TEST_CASE("http: a header value cannot begin another header") {
  std::string out;
  http::append_response(out, {.status = 204, .content_type = "a\r\nX-Evil: 1"}, {});
  CHECK(out == "HTTP/1.1 204 No Content\r\nContent-Type: a  X-Evil: 1\r\n\r\n");
}

TEST_CASE("http: a streamed list is chunked, or lasts until the end of the connection") {
  const auto stream = [](const Request& request) {
    std::string out;
    http::append_chunked_head(out, {.status = 200}, request);
    http::append_chunk(out, "[1", request);
    http::append_chunk(out, "", request);
    http::append_chunk(out, ",22222222222222]", request);
    http::append_last_chunk(out, request);
    return out;
  };
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
  CHECK(stream({.method = "GET"}) ==
        head + "Transfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n10\r\n,22222222222222]\r\n0\r\n\r\n");
  CHECK(stream({.method = "HEAD"}) == head + "Transfer-Encoding: chunked\r\n\r\n");
  CHECK(stream({.method = "GET", .version_minor = 0}) ==
        head + "Connection: close\r\n\r\n[1,22222222222222]");
}

TEST_CASE("http: a status has its phrase") {
  CHECK(http::reason_phrase(200) == "OK");
  CHECK(http::reason_phrase(507) == "Insufficient Storage");
  CHECK(http::reason_phrase(299) == "Unknown");
}
