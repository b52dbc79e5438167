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
