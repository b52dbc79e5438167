#include "tests/bench/reply.h"

#include <string>
#include <string_view>

#include <doctest/doctest.h>

#include "tests/bench/dialect.h"

using dhrt::bench::Dialect;
using dhrt::bench::read_reply;
using dhrt::bench::read_reply_of;
using dhrt::bench::ReplyKind;

namespace {

struct Case {
  const char* why;
  std::string input;
  ReplyKind kind;
  std::string text;
};

const Case replies[] = {
    {"a simple string", "+OK\r\n", ReplyKind::simple, "OK"},
    {"an error", "-ERR disk full\r\n", ReplyKind::error, "ERR disk full"},
    {"an integer", ":12\r\n", ReplyKind::integer, "12"},
    {"a bulk string", "$5\r\nhello\r\n", ReplyKind::bulk, "hello"},
    {"line breaks within it", "$4\r\n\r\n\r\n\r\n", ReplyKind::bulk, "\r\n\r\n"},
    {"an empty one", "$0\r\n\r\n", ReplyKind::bulk, ""},
    {"an absent one", "$-1\r\n", ReplyKind::nil, ""},
};

}  // namespace

TEST_CASE("reply: each kind is read whole, and nothing behind it") {
  for (const Case& c : replies) {
    CAPTURE(c.why);
    const auto reply = read_reply(c.input + "+next\r\n");
    CHECK(reply.kind == c.kind);
    CHECK(reply.consumed == c.input.size());
  }
}

TEST_CASE("reply: every split point asks for more, then reads the same") {
  for (const Case& c : replies) {
    CAPTURE(c.why);
    for (std::size_t bytes = 0; bytes < c.input.size(); ++bytes) {
      CAPTURE(bytes);
      const auto part = read_reply(std::string_view(c.input).substr(0, bytes));
      CHECK(part.kind == ReplyKind::need_more);
      CHECK(part.consumed == 0);
    }
    CHECK(read_reply(c.input).text == c.text);
  }
}

TEST_CASE("reply: bytes that are no reply are malformed") {
  for (const Case& c : {
           Case{"an unknown first byte", "OK\r\n", ReplyKind::malformed, ""},
           Case{"an array is never asked for", "*1\r\n$1\r\na\r\n", ReplyKind::malformed, ""},
           Case{"a line without CR", "+OK\n", ReplyKind::malformed, ""},
           Case{"a length that is no number", "$5x\r\nhello\r\n", ReplyKind::malformed, ""},
           Case{"no length", "$\r\nhello\r\n", ReplyKind::malformed, ""},
           Case{"a negative length", "$-2\r\n", ReplyKind::malformed, ""},
           Case{"a length beyond all values", "$536870913\r\n", ReplyKind::malformed, ""},
           Case{"a bulk string with another end", "$5\r\nhelloxx", ReplyKind::malformed, ""},
           Case{"an endless line", "+" + std::string(70000, 'a'), ReplyKind::malformed, ""},
       }) {
    CAPTURE(c.why);
    CHECK(read_reply(c.input).kind == c.kind);
  }
}

namespace {

struct Other {
  const char* why;
  Dialect dialect;
  std::string input;
  ReplyKind kind;
  std::string text;
};

const Other others[] = {
    {"stored", Dialect::memcached, "STORED\r\n", ReplyKind::simple, "OK"},
    {"absent", Dialect::memcached, "END\r\n", ReplyKind::nil, ""},
    {"a value", Dialect::memcached, "VALUE k 0 4\r\nEND\r\r\nEND\r\n", ReplyKind::bulk, "END\r"},
    {"refused", Dialect::memcached, "SERVER_ERROR out of memory\r\n", ReplyKind::error,
     "SERVER_ERROR out of memory"},
    {"found", Dialect::http, "HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length: 5\r\n\r\nhello",
     ReplyKind::bulk, "hello"},
    {"created", Dialect::http, "HTTP/1.1 201 Created\r\nContent-Length: 2\r\nETag: x\r\n\r\n{}",
     ReplyKind::simple, "OK"},
    {"no body", Dialect::http, "HTTP/1.1 204 No Content\r\n\r\n", ReplyKind::simple, "OK"},
    {"not found", Dialect::http, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
     ReplyKind::nil, ""},
    {"failed", Dialect::http, "HTTP/1.1 503 Wait\r\nContent-Length: 1\r\n\r\n.", ReplyKind::error,
     "503"},
};

}  // namespace

TEST_CASE("reply: memcached and HTTP are read whole, at every split point") {
  for (const Other& c : others) {
    CAPTURE(c.why);
    for (std::size_t bytes = 0; bytes < c.input.size(); ++bytes) {
      CAPTURE(bytes);
      const auto part = read_reply_of(c.dialect, std::string_view(c.input).substr(0, bytes));
      CHECK(part.kind == ReplyKind::need_more);
      CHECK(part.consumed == 0);
    }
    const std::string more = c.input + c.input;
    const auto reply = read_reply_of(c.dialect, more);
    CHECK(reply.kind == c.kind);
    CHECK(reply.text == c.text);
    CHECK(reply.consumed == c.input.size());
  }
}

TEST_CASE("reply: memcached and HTTP bytes that are no reply are malformed") {
  for (const Other& c : {
           Other{"a line without CR", Dialect::memcached, "STORED\n", ReplyKind::malformed, ""},
           Other{"no size", Dialect::memcached, "VALUE k 0 x\r\n", ReplyKind::malformed, ""},
           Other{"another end", Dialect::memcached, "VALUE k 0 1\r\na\r\nENDxx",
                 ReplyKind::malformed, ""},
           Other{"another version", Dialect::http, "HTTP/2 200\r\n\r\n", ReplyKind::malformed, ""},
           Other{"no length", Dialect::http, "HTTP/1.1 200 OK\r\nX: y\r\n\r\n",
                 ReplyKind::malformed, ""},
           Other{"an endless head", Dialect::http, "HTTP/1.1 200 " + std::string(70000, 'a'),
                 ReplyKind::malformed, ""},
       }) {
    CAPTURE(c.why);
    CHECK(read_reply_of(c.dialect, c.input).kind == c.kind);
  }
}
