#include "protocol/sniff.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/limits.h"

using namespace dhrt;
using namespace std::string_literals;

namespace {

struct Row {
  std::string why;
  std::string input;
  Dialect dialect;
};

std::vector<Row> rows() {
  return {
      {"nothing has come", "", Dialect::undecided},
      {"an array of a Redis client", "*1\r\n$4\r\nPING\r\n", Dialect::resp},
      {"blank lines first", "\r\n\n*1\r\n", Dialect::resp},
      {"a native command", "set k v\n", Dialect::text},
      {"upper case is no method without a target", "GET k\r\n", Dialect::text},
      {"a value that looks like a version", "set k HTTP/1.1\n", Dialect::text},
      {"the same in upper case", "SET k HTTP/1.1\n", Dialect::text},
      {"methods are upper-case", "get /x HTTP/1.1\r\n", Dialect::text},
      {"a key that looks like a path", "GET /x\r\n", Dialect::text},
      {"three words, the last no version", "SET /x HTTP/1.1.1\r\n", Dialect::text},
      {"four words", "SET /x HTTP/1.1 y\r\n", Dialect::text},
      {"a command of one word", "PING\r\n", Dialect::text},
      {"a negative number is no method", "- / HTTP/1.1\r\n", Dialect::text},
      {"a JSON body", "{\"method\":\"Storage.Get\"}\n", Dialect::text},
      {"http", "GET / HTTP/1.1\r\n", Dialect::http},
      {"http with a bare line feed", "GET /a?b=c HTTP/1.0\n", Dialect::http},
      {"blank lines before a request", "\r\nGET / HTTP/1.1\r\n", Dialect::http},
      {"a method with a dash", "M-SEARCH * HTTP/1.1\r\n", Dialect::http},
      {"absolute form", "GET http://node:7453/k HTTP/1.1\r\n", Dialect::http},
      {"absolute form with TLS", "GET https://node/k HTTP/1.1\r\n", Dialect::http},
      {"authority form", "CONNECT node:80 HTTP/1.1\r\n", Dialect::http},
      {"authority that begins like a scheme", "CONNECT http:80 HTTP/1.1\r\n", Dialect::http},
      {"authority in brackets", "CONNECT [::1]:80 HTTP/1.1\r\n", Dialect::http},
      {"asterisk form", "OPTIONS * HTTP/1.1\r\n", Dialect::http},
      {"HTTP/2 gets a 505", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Dialect::http},
      {"a carriage return within the line", "GET / HTTP/1.1\rx\n", Dialect::text},
      {"a control byte in the target", "GET /\x01 HTTP/1.1\r\n", Dialect::text},
      {"two spaces", "GET  / HTTP/1.1\r\n", Dialect::text},
      {"a method longer than any", std::string(33, 'A') + " / HTTP/1.1\r\n", Dialect::text},
      {"a host longer than any", "GET " + std::string(300, 'a') + ":1 HTTP/1.1\n", Dialect::text},
      {"TLS", "\x16\x03\x01"s, Dialect::tls},
      {"a control byte that is no TLS", "\x16\x02"s, Dialect::text},
      {"peer, control", "\0dhrt\x01\0"s, Dialect::peer_control},
      {"peer, bulk, any version", "\0dhrt\xff\x01"s, Dialect::peer_bulk},
      {"peer, unknown class", "\0dhrt\x01\x02"s, Dialect::text},
      {"a zero byte that is no peer", "\0dhrx"s, Dialect::text},
  };
}

}  // namespace

TEST_CASE("sniff: the first bytes tell the dialect") {
  for (const Row& row : rows()) {
    CAPTURE(row.why);
    CHECK(sniff(row.input).dialect == row.dialect);
  }
}

TEST_CASE("sniff: a decision never changes when more bytes come") {
  for (const Row& row : rows()) {
    CAPTURE(row.why);
    Dialect before = Dialect::undecided;
    for (std::size_t length = 0; length <= row.input.size(); ++length) {
      CAPTURE(length);
      const Sniffed sniffed = sniff(Bytes(row.input).substr(0, length));
      if (before != Dialect::undecided) CHECK(sniffed.dialect == before);
      before = sniffed.dialect;
    }
    CHECK(before == row.dialect);
  }
}

TEST_CASE("sniff: a decision is made as early as the bytes allow") {
  struct Case {
    std::string why;
    std::string shortest;
  };
  for (const auto& c : {
           Case{"a lower-case letter begins no method", "s"},
           Case{"an upper-case key begins no target", "GET k\r"},
           Case{"a line end behind a target", "GET /x\r"},
           Case{"a fourth word", "SET /x HTTP/1.1 "},
           Case{"an array", "*"},
           Case{"TLS needs two bytes", "\x16\x03"},
       }) {
    CAPTURE(c.why);
    CHECK(sniff(c.shortest).dialect != Dialect::undecided);
    CHECK(sniff(Bytes(c.shortest).substr(0, c.shortest.size() - 1)).dialect == Dialect::undecided);
  }
}

TEST_CASE("sniff: skipped line ends are counted") {
  CHECK(sniff("\r\n\n*").skipped == 3);
  CHECK(sniff("\r\n").skipped == 2);
  CHECK(sniff("\r\n").dialect == Dialect::undecided);
  CHECK(sniff("get k\r\n").skipped == 0);
}

TEST_CASE("sniff: a request line without an end within the limit is too long") {
  const std::string start = "GET /";
  const std::string at_limit = start + std::string(sniff_bytes_max - start.size(), 'a');
  CHECK(sniff(Bytes(at_limit).substr(0, sniff_bytes_max - 1)).dialect == Dialect::undecided);
  CHECK(sniff(at_limit).dialect == Dialect::http_too_long);
  CHECK(sniff(at_limit + " HTTP/1.1\r\n").dialect == Dialect::http_too_long);
  const std::string tail = " HTTP/1.1\r\n";
  std::string fits = start + std::string(sniff_bytes_max - start.size() - tail.size(), 'a') + tail;
  CHECK(fits.size() == sniff_bytes_max);
  CHECK(sniff(fits).dialect == Dialect::http);
  CHECK(sniff("GET http://h/" + std::string(sniff_bytes_max, 'a')).dialect ==
        Dialect::http_too_long);
}

TEST_CASE("HTTP elsewhere: the first bytes of a connection are no request of another dialect") {
  struct Case {
    std::string why;
    std::string input;
    Http decision;
  };
  const std::string endless(sniff_bytes_max, 'a');
  for (const Case& c : {
           Case{"what a form sends", "POST / HTTP/1.1\r\n", Http::yes},
           Case{"a path", "GET /a?b=%20c HTTP/1.1\r\n", Http::yes},
           Case{"by a proxy", "POST http://h:1/ HTTP/1.0\n", Http::yes},
           Case{"a method that a page made up", "set /x HTTP/1.1\r\n", Http::yes},
           Case{"another", "$x_y~1 /x HTTP/1.1\r\n", Http::yes},
           Case{"a longer one than there are", std::string(100, 'm') + " / HTTP/1.1\n", Http::yes},
           Case{"a path without end", "POST /" + endless, Http::yes},
           Case{"a method without end", endless, Http::yes},
           Case{"a line that is not over", "POST / HTTP/1.1\r", Http::undecided},
           Case{"Hati", "SET memory 0 k v\n", Http::no},
           Case{"a key like a version", "GET memory HTTP/1.1\n", Http::no},
           Case{"a value like a request", "SET memory 0 k GET / HTTP/1.1\n", Http::no},
           Case{"a value without end", "SET memory 0 k " + endless, Http::no},
           Case{"Hati, one word", "STATS\n", Http::no},
           Case{"a token of Hermod's", "auth: /x HTTP/1.1\n", Http::no},
           Case{"no token of Hermod's", "\n", Http::no},
           Case{"Hermod", "get k from t\4", Http::no},
           Case{"a key like a path", "set /k in t to GET / HTTP/1.1\n\4", Http::no},
           Case{"Hermod, one word", "ext\4", Http::no},
       }) {
    CAPTURE(c.why);
    CHECK(begins_with_http(c.input) == c.decision);
    // And it is the same whenever it can be made.
    if (c.input.size() < sniff_bytes_max) {
      for (std::size_t length = 0; length < c.input.size(); ++length) {
        CAPTURE(length);
        const Http before = begins_with_http(Bytes(c.input).substr(0, length));
        CHECK((before == Http::undecided || before == c.decision));
      }
    }
  }
  CHECK(begins_with_http("POST /" + endless + " HTTP/1.1\r\n") == Http::yes);
}

TEST_CASE("HTTP elsewhere: words that stand in front of its lines") {
  for (const Bytes word : {Bytes("POST"), Bytes("post"), Bytes("Host:"), Bytes("hOST:")})
    CHECK(is_word_of_http(word));
  for (const Bytes word : {Bytes("host"), Bytes("posts"), Bytes(""), Bytes("GET")})
    CHECK_FALSE(is_word_of_http(word));
}
