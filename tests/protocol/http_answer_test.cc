#include "protocol/http_answer.h"

#include <string>

#include <doctest/doctest.h>

using namespace dhrt;
using http::Answer;
using http::AnswerParser;

namespace {

constexpr std::size_t body_max = 16;

// What is read of pieces, then of the end of the connection: status, a header, the body.
std::string read(const std::vector<Bytes>& pieces) {
  AnswerParser parser(body_max);
  const auto shown = [](const Answer& answer) {
    return std::to_string(answer.status) + " [" + std::string(answer.header("a")) + "] " +
           answer.body;
  };
  for (const Bytes piece : pieces) {
    const auto fed = parser.feed(piece);
    if (!fed) return "error: " + fed.error().message;
    if (*fed) return shown(**fed);
  }
  const auto last = parser.finish();
  return last ? "at the end " + shown(*last) : "error: " + last.error().message;
}

struct Case {
  const char* why;
  std::string input;
  std::string seen;
};

const std::vector<Case>& good() {
  static const std::vector<Case> cases{
      {"a length", "HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\n{}", "200 [b] {}"},
      {"chunks",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n1\r\n!\r\n0\r\n\r\n",
       "200 [] {}!"},
      {"no body", "HTTP/1.1 204 No Content\r\nA: c\r\n\r\n", "204 [c] "},
      {"the first of two headers", "HTTP/1.1 404 No\r\nA: 1\r\na: 2\r\nContent-Length: 0\r\n\r\n",
       "404 [1] "},
      {"an interim answer is passed over",
       "HTTP/1.1 100 Continue\r\nA: no\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
       "200 [] x"},
      {"trailers are dropped",
       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nA: late\r\n\r\n",
       "200 [] x"},
      {"until the end", "HTTP/1.1 200 OK\r\nA: z\r\n\r\nrest", "at the end 200 [z] rest"},
      {"as long as it may be", "HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n0123456789abcdef",
       "200 [] 0123456789abcdef"},
  };
  return cases;
}

}  // namespace

TEST_CASE("http answer: status, headers and body") {
  for (const Case& c : good()) {
    CAPTURE(c.why);
    CHECK(read({c.input}) == c.seen);
  }
}

TEST_CASE("http answer: every split gives the same answer") {
  for (const Case& c : good()) {
    CAPTURE(c.why);
    for (std::size_t split = 1; split < c.input.size(); ++split) {
      CAPTURE(split);
      CHECK(read({Bytes(c.input).substr(0, split), Bytes(c.input).substr(split)}) == c.seen);
    }
  }
}

TEST_CASE("http answer: what is none, or too much, is an error") {
  const std::string head = "HTTP/1.1 200 OK\r\n";
  for (const Case& c : {
           Case{"another protocol", "SSH-2.0-OpenSSH_9.2\r\n", ""},
           Case{"a request", "GET / HTTP/1.1\r\n\r\n", ""},
           Case{"nothing", "", ""},
           Case{"cut in the head", "HTTP/1.1 200 OK\r\nA: b\r\n", ""},
           Case{"cut in the body", head + "Content-Length: 3\r\n\r\nab", ""},
           Case{"cut in a chunk", head + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", ""},
           Case{"a body beyond the limit", head + "Content-Length: 17\r\n\r\n0123456789abcdefg",
                ""},
           Case{"the same in chunks",
                head + "Transfer-Encoding: chunked\r\n\r\n8\r\n01234567\r\n9\r\n012345678\r\n", ""},
           Case{"the same until the end", head + "\r\n0123456789abcdefg", ""},
           Case{"a long header", head + "A: " + std::string(20'000, 'x') + "\r\n\r\n", ""},
           Case{"many headers",
                head +
                    [] {
                      std::string many;
                      for (int i = 0; i < 5000; ++i)
                        many += "A: b\r\n";
                      return many;
                    }() +
                    "\r\n",
                ""},
       }) {
    CAPTURE(c.why);
    CHECK(read({c.input}).starts_with("error: "));
  }
}

TEST_CASE("http answer: a connection with more than the answer is not used again") {
  const std::string answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
  const auto keeps = [](const std::string& input) {
    AnswerParser parser(body_max);
    const auto fed = parser.feed(input);
    REQUIRE(fed);
    REQUIRE(*fed);
    return (*fed)->keep_alive;
  };
  CHECK(keeps(answer));
  CHECK_FALSE(keeps(answer + "H"));
  CHECK_FALSE(keeps("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"));
  CHECK_FALSE(keeps("HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"));
}

TEST_CASE("percent encoding: everything but the unreserved characters") {
  CHECK(http::percent_encoded("aZ09-._~") == "aZ09-._~");
  CHECK(http::percent_encoded(Bytes("a b&=+%/\0\xff", 10)) == "a%20b%26%3D%2B%25%2F%00%FF");
}
