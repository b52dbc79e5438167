#include "protocol/fast_http.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/http.h"
#include "storage/base/random.h"

using namespace dhrt;

namespace {

std::string describe(const http::FastRequest& request) {
  std::string out = request.puts ? "PUT " : "GET ";
  for (const Bytes part : {request.collection, request.key, request.host, request.accept,
                           request.content_type, request.body})
    out += std::string(part) + "|";
  return out;
}

std::string recognised(Bytes input, const ProtocolLimits& limits = {}) {
  const auto request = http::recognise(input, limits);
  return request ? describe(*request) : "";
}

// The same as the parser reads it.
std::string parsed(Bytes input, std::size_t& consumed) {
  http::Fed fed = http::Parser(ProtocolLimits{}).feed(input);
  consumed = fed.consumed;
  if (!fed.request || !fed.request->keep_alive || !fed.request->query.empty()) return "";
  const auto segments = http::path_segments(fed.request->path);
  if (!segments || segments->size() > 2) return "";
  http::FastRequest request{.puts = fed.request->method == "PUT"};
  if (segments->size() == 2) request.collection = (*segments)[0];
  request.key = segments->back();
  request.host = fed.request->header("host");
  request.accept = fed.request->header("accept");
  request.content_type = fed.request->header("content-type");
  request.body = fed.request->body;
  return describe(request);
}

}  // namespace

TEST_CASE("fast http: plain requests are recognised, all others are left to the parser") {
  const std::string host = "Host: h\r\n";
  struct Case {
    const char* why;
    std::string input;
    std::string expected;  // Empty: left.
  };
  for (const Case& c : {
           Case{"one word", "GET /k HTTP/1.1\r\n" + host + "\r\n", "GET |k|h||||"},
           Case{"two", "GET /c/k HTTP/1.1\r\n" + host + "\r\n", "GET c|k|h||||"},
           Case{"headers in any case, spaces around values",
                "GET /k HTTP/1.1\r\nhOsT:h \r\nACCEPT:  */*\r\nUser-Agent: x\r\n\r\n",
                "GET |k|h|*/*|||"},
           Case{"a body", "PUT /c/k HTTP/1.1\r\n" + host + "Content-Length: 2\r\n\r\nabGET",
                "PUT c|k|h|||ab|"},
           Case{"an empty body", "PUT /k HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n",
                "PUT |k|h||||"},
           Case{"a type",
                "PUT /k HTTP/1.1\r\n" + host + "Content-Type: a/b\r\nContent-Length: 1\r\n\r\nx",
                "PUT |k|h||a/b|x|"},
           Case{"keep-alive said", "GET /k HTTP/1.1\r\nConnection: Keep-Alive\r\n" + host + "\r\n",
                "GET |k|h||||"},
           Case{"another method", "POST /k HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"lower case", "get /k HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"HTTP/1.0", "GET /k HTTP/1.0\r\n" + host + "\r\n", ""},
           Case{"the root", "GET / HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"a slash at the end", "GET /c/ HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"an empty collection", "GET //k HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"three segments", "GET /a/b/c HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"an escape", "GET /%6b HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"a query", "PUT /k?ttl=1 HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", ""},
           Case{"no host", "GET /k HTTP/1.1\r\n\r\n", ""},
           Case{"two hosts", "GET /k HTTP/1.1\r\n" + host + host + "\r\n", ""},
           Case{"a header with a meaning", "GET /k HTTP/1.1\r\n" + host + "Origin: x\r\n\r\n", ""},
           Case{"the connection is to close",
                "GET /k HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", ""},
           Case{"a folded header", "GET /k HTTP/1.1\r\n" + host + " h\r\n\r\n", ""},
           Case{"a tab", "GET /k HTTP/1.1\r\nHost:\th\r\n\r\n", ""},
           Case{"a byte beyond ASCII", "GET /k HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n", ""},
           Case{"a line feed alone", "GET /k HTTP/1.1\r\nHost: h\nAccept: x\r\n\r\n", ""},
           Case{"a carriage return alone", "GET /k HTTP/1.1\r\nHost: h\rx\r\n\r\n", ""},
           Case{"a space before the colon", "GET /k HTTP/1.1\r\nHost : h\r\n\r\n", ""},
           Case{"a body of a GET", "GET /k HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", ""},
           Case{"no length", "PUT /k HTTP/1.1\r\n" + host + "\r\n", ""},
           Case{"two lengths",
                "PUT /k HTTP/1.1\r\n" + host + "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
                ""},
           Case{"a signed length", "PUT /k HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\nx",
                ""},
           Case{"a length that overflows",
                "PUT /k HTTP/1.1\r\n" + host + "Content-Length: 18446744073709551617\r\n\r\nx", ""},
           Case{"chunks", "PUT /k HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", ""},
       }) {
    CAPTURE(c.why);
    CHECK(recognised(c.input) == c.expected);
  }
}

TEST_CASE("fast http: a request that is not all there is left, at every split point") {
  const std::string input =
      "PUT /c/k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nAccept: */*\r\n\r\nabc";
  for (std::size_t split = 0; split < input.size(); ++split) {
    CAPTURE(split);
    CHECK(recognised(Bytes(input).substr(0, split)).empty());
  }
  CHECK(recognised(input) == "PUT c|k|h|*/*||abc|");
}

TEST_CASE("fast http: what is over a limit is left, so that it is refused as it should be") {
  const std::string input = "PUT /k HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc";
  CHECK(!recognised(input, {.value_bytes_max = 3}).empty());
  CHECK(recognised(input, {.value_bytes_max = 2}).empty());
  CHECK(!recognised(input, {.header_bytes_max = input.size() - 3}).empty());
  CHECK(recognised(input, {.header_bytes_max = input.size() - 4}).empty());
}

TEST_CASE("fast http: what is recognised is what the parser reads") {
  Random random(1);
  const std::vector<std::string> headers{"Host: h\r\n",
                                         "hOST:  a:1 \r\n",
                                         "Accept: */*\r\n",
                                         "Content-Length: 3\r\n",
                                         "Content-Type: t\r\n",
                                         "User-Agent: u\r\n",
                                         "Host: \r\n",
                                         "Connection: keep-alive\r\n",
                                         "Accept:\r\n",
                                         "Cache-Control: x\r\n",
                                         "Content-Length: 03\r\n",
                                         "X: y\r\n",
                                         "Accept: a b\r\n",
                                         "\r\n",
                                         "Accept\r\n",
                                         ": x\r\n"};
  std::size_t found = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string input = random.chance(0.5) ? "GET /k" : "PUT /c/k";
    if (random.chance(0.1)) input += random.chance(0.5) ? "/" : "~";
    input += " HTTP/1.1\r\n";
    if (random.chance(0.8)) input += headers[0];
    for (std::uint64_t i = random.below(4); i > 0; --i)
      input += headers[random.below(headers.size())];
    input += "\r\nabcdef";
    CAPTURE(input);
    const auto request = http::recognise(input, {});
    if (!request) continue;
    ++found;
    std::size_t consumed = 0;
    CHECK(describe(*request) == parsed(input, consumed));
    CHECK(request->end == consumed);
  }
  CHECK(found > 1000);
}
