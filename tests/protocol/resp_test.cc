#include "protocol/resp.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;
using namespace std::string_literals;

namespace {

std::string written(const Reply& reply) {
  std::string out;
  resp::append_reply(out, reply);
  return out;
}

struct Row {
  std::string why;
  Reply reply;
  std::string bytes;
};

std::vector<Row> rows() {
  return {
      {"ok", Reply::ok(), "+OK\r\n"},
      {"nil", Reply::nil(), "$-1\r\n"},
      {"an error", Reply::error("ERR no"), "-ERR no\r\n"},
      {"an integer", Reply::integer(42), ":42\r\n"},
      {"a negative integer", Reply::integer(INT64_MIN), ":-9223372036854775808\r\n"},
      {"a bulk string", Reply::bulk("hello"), "$5\r\nhello\r\n"},
      {"an empty bulk string", Reply::bulk(""), "$0\r\n\r\n"},
      {"any bytes", Reply::bulk("\r\n\0*"s), "$4\r\n\r\n\0*\r\n"s},
      {"an empty array", Reply::array({}), "*0\r\n"},
      {"a page of a scan",
       Reply::array({Reply::bulk("next"), Reply::array({Reply::bulk("k"), Reply::nil()})}),
       "*2\r\n$4\r\nnext\r\n*2\r\n$1\r\nk\r\n$-1\r\n"},
      {"an array that ends in arrays",
       Reply::array({Reply::array({Reply::array({Reply::integer(1)})}), Reply::array({})}),
       "*2\r\n*1\r\n*1\r\n:1\r\n*0\r\n"},
  };
}

}  // namespace

TEST_CASE("resp: replies are written as Redis does") {
  for (const Row& row : rows()) {
    CAPTURE(row.why);
    CHECK(written(row.reply) == row.bytes);
  }
}

TEST_CASE("resp: what is written is read back, and no byte more is taken") {
  for (const Row& row : rows()) {
    CAPTURE(row.why);
    const auto parsed = resp::parse_reply(row.bytes + "+OK\r\n");
    REQUIRE(parsed);
    REQUIRE(*parsed);
    CHECK((*parsed)->consumed == row.bytes.size());
    CHECK(written((*parsed)->reply) == row.bytes);
  }
}

TEST_CASE("resp: every beginning of a reply needs more") {
  for (const Row& row : rows()) {
    CAPTURE(row.why);
    for (std::size_t length = 0; length < row.bytes.size(); ++length) {
      CAPTURE(length);
      const auto parsed = resp::parse_reply(Bytes(row.bytes).substr(0, length));
      REQUIRE(parsed);
      CHECK_FALSE(*parsed);
    }
  }
}

TEST_CASE("resp: a line break cannot be smuggled into a line") {
  CHECK(written(Reply::error("ERR a\r\n+OK\n")) == "-ERR a  +OK \r\n");
  CHECK(written(Reply::simple("a\nb")) == "+a b\r\n");
}

TEST_CASE("resp: a null array is nil") {
  const auto parsed = resp::parse_reply("*-1\r\n");
  REQUIRE(parsed);
  CHECK((*parsed)->reply.is_nil());
}

TEST_CASE("resp: bytes that are no reply are an error") {
  for (const std::string bytes :
       {"hello\r\n", "\r\n", ":\r\n", ":x\r\n", ":1x\r\n", ": 1\r\n", ":9223372036854775808\r\n",
        "$-2\r\n", "*-2\r\n", "$1\r\nab\r\n", "*1\r\n!", "$+1\r\n"}) {
    CAPTURE(bytes);
    const auto parsed = resp::parse_reply(bytes);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == ErrorCode::corrupt);
  }
}

TEST_CASE("resp: arrays deeper than the limit are an error") {
  std::string bytes;
  for (std::size_t depth = 0; depth < resp::reply_depth_max; ++depth)
    bytes += "*1\r\n";
  CHECK(resp::parse_reply(bytes + ":1\r\n").has_value());
  CHECK_FALSE(resp::parse_reply(bytes + "*1\r\n:1\r\n").has_value());
}

TEST_CASE("resp: a claimed size reserves nothing") {
  for (const std::string bytes : {"*9223372036854775807\r\n", "$9223372036854775807\r\nabc"}) {
    const auto parsed = resp::parse_reply(bytes);
    REQUIRE(parsed);
    CHECK_FALSE(*parsed);
  }
}
