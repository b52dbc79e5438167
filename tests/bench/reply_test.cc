#include "tests/bench/reply.h"

#include <string>

#include <doctest/doctest.h>

using dhrt::bench::read_reply;
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
