#include "protocol/text.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;
using namespace std::string_literals;
using text::Line;
using text::Token;

namespace {

constexpr ProtocolLimits small_limits{
    .value_bytes_max = 16, .line_bytes_max = 16, .arguments_max = 4, .header_bytes_max = 64};

std::optional<Line> parse(Bytes input, const ProtocolLimits& limits = {}) {
  std::size_t searched = 0;
  return text::parse_line(input, limits, searched);
}

// What a connection does: everything that arrives is kept until a line is complete.
std::optional<Line> parse_in_two(const std::string& input, std::size_t split) {
  std::size_t searched = 0;
  if (auto line = text::parse_line(Bytes(input).substr(0, split), {}, searched)) return line;
  CHECK(searched == split);
  return text::parse_line(input, {}, searched);
}

Token bare(std::string text) {
  return {std::move(text), false};
}
Token quoted(std::string text) {
  return {std::move(text), true};
}

struct Valid {
  std::string why;
  std::string input;
  std::vector<Token> tokens;
};

std::vector<Valid> valid() {
  return {
      {"words", "set k v\n", {bare("set"), bare("k"), bare("v")}},
      {"CRLF", "get k\r\n", {bare("get"), bare("k")}},
      {"runs of spaces", "  get   k  \n", {bare("get"), bare("k")}},
      {"a blank line", "\r\n", {}},
      {"only spaces", "   \n", {}},
      {"quotes hold spaces", "set k \"a b\"\n", {bare("set"), bare("k"), quoted("a b")}},
      {"an empty token", "set k \"\"\n", {bare("set"), bare("k"), quoted("")}},
      {"escapes",
       R"("\"\\\n\r\t\x00\xFf")"
       "\n",
       {quoted("\"\\\n\r\t\0\xff"s)}},
      {"a value may contain line breaks",
       "set k \"a\\nb\"\n",
       {bare("set"), bare("k"), quoted("a\nb")}},
      {"quotes inside a word are bytes",
       "set k a\"b\"\n",
       {bare("set"), bare("k"), bare("a\"b\"")}},
      {"a backslash inside a word is a byte",
       "set k a\\n\n",
       {bare("set"), bare("k"), bare("a\\n")}},
      {"any byte but space and line feed",
       "set k \x01\t\xff\rz\n",
       {bare("set"), bare("k"), bare("\x01\t\xff\rz")}},
      {"only one carriage return belongs to the line end",
       "get k\r\r\n",
       {bare("get"), bare("k\r")}},
      {"a flag is a bare token",
       "set k v --ttl 5s\n",
       {bare("set"), bare("k"), bare("v"), bare("--ttl"), bare("5s")}},
      {"a quoted token is no flag", "set k \"--ttl\"\n", {bare("set"), bare("k"), quoted("--ttl")}},
  };
}

}  // namespace

TEST_CASE("text: a line is split into tokens") {
  for (const Valid& c : valid()) {
    CAPTURE(c.why);
    const auto line = parse(c.input);
    REQUIRE(line);
    CHECK_FALSE(line->error);
    CHECK_FALSE(line->closes);
    CHECK(line->tokens == c.tokens);
    CHECK(line->consumed == c.input.size());
  }
}

TEST_CASE("text: every split of a line gives the same tokens") {
  for (const Valid& c : valid()) {
    CAPTURE(c.why);
    for (std::size_t split = 0; split < c.input.size(); ++split) {
      const auto line = parse_in_two(c.input, split);
      REQUIRE(line);
      CHECK(line->tokens == c.tokens);
      CHECK(line->consumed == c.input.size());
    }
  }
}

TEST_CASE("text: pipelined lines come one by one") {
  std::string input;
  for (const Valid& c : valid())
    input += c.input;
  Bytes rest = input;
  std::size_t searched = 0;
  for (const Valid& c : valid()) {
    const auto line = text::parse_line(rest, {}, searched);
    REQUIRE(line);
    CHECK(line->tokens == c.tokens);
    CHECK(searched == 0);
    rest.remove_prefix(line->consumed);
  }
  CHECK(rest.empty());
}

TEST_CASE("text: a line without its end needs more") {
  CHECK_FALSE(parse(""));
  CHECK_FALSE(parse("set k v"));
  CHECK_FALSE(parse("set k \"v\r"));
}

TEST_CASE("text: a bad line is an error, is consumed, and the next one works") {
  struct Case {
    std::string why;
    std::string input;
    std::string told;
  };
  for (const auto& c : {
           Case{"no closing quote", "set k \"v\n", "unbalanced quotes"},
           Case{"an escaped closing quote", "set k \"v\\\"\n", "unbalanced quotes"},
           Case{"a lone backslash at the end", "set k \"v\\\n", "unbalanced quotes"},
           Case{"an unknown escape", "set k \"\\q\"\n", "unknown escape"},
           Case{"half a hexadecimal escape", "set k \"\\x4\"\n", "unknown escape"},
           Case{"no hexadecimal digit", "set k \"\\xg0\"\n", "unknown escape"},
           Case{"text behind a closing quote", "set k \"v\"w\n", "behind a closing quote"},
       }) {
    CAPTURE(c.why);
    const std::string input = c.input + "ping\n";
    const auto line = parse(input);
    REQUIRE(line);
    REQUIRE(line->error);
    CHECK(line->error->find(c.told) != std::string::npos);
    CHECK(line->tokens.empty());
    CHECK_FALSE(line->closes);
    CHECK(line->consumed == c.input.size());
    CHECK(parse(Bytes(input).substr(line->consumed))->tokens == std::vector{bare("ping")});
  }
}

TEST_CASE("text: too many arguments are an error") {
  CHECK_FALSE(parse("a b c d\n", small_limits)->error);
  const auto line = parse("a b c d e\n", small_limits);
  REQUIRE(line);
  CHECK(line->error == "more than 4 arguments; split the command");
  CHECK(line->consumed == 10);
}

TEST_CASE("text: a line of exactly the limit is read, a longer one closes") {
  const std::string longest(32, 'a');
  for (const std::string end : {"\n", "\r\n"}) {
    const auto line = parse(longest + end, small_limits);
    REQUIRE(line);
    CHECK_FALSE(line->error);
    CHECK(line->tokens == std::vector{bare(longest)});
  }
  CHECK_FALSE(parse(longest, small_limits));
  CHECK_FALSE(parse(longest + "\r", small_limits));
  for (const std::string more : {"a\n", "aa", "a\r\n", "aaaaaaaaaaaaaaaa\n"}) {
    CAPTURE(more);
    const auto line = parse(longest + more, small_limits);
    REQUIRE(line);
    REQUIRE(line->error);
    CHECK(*line->error == "line is longer than 32 bytes; raise --max-value-bytes (now 16)");
    CHECK(line->closes);
    CHECK(line->tokens.empty());
  }
}

TEST_CASE("text: bytes known to hold no line end are not searched again") {
  // A lie about them shows that they are skipped.
  std::size_t searched = 3;
  CHECK_FALSE(text::parse_line("a\nb", {}, searched));
  CHECK(searched == 3);
}

TEST_CASE("text: what is written is read back") {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte)
    every_byte += static_cast<char>(byte);
  for (const std::string& text : {"key"s, ""s, "a b"s, "\"quoted\""s, "a\"b"s, "--flag"s, "-"s,
                                  "\\"s, "tail\r"s, every_byte}) {
    CAPTURE(text);
    const auto tokens = text::tokenize(text::quote(text), {});
    REQUIRE(tokens);
    REQUIRE(tokens->size() == 1);
    CHECK(tokens->front().text == text);
    CHECK(text::quote(text).find('\n') == std::string::npos);
  }
}

TEST_CASE("text: a token is written bare if it can be") {
  CHECK(text::quote("key") == "key");
  CHECK(text::quote("a\"b") == "a\"b");
  CHECK(text::quote("\xc3\xa9") == "\xc3\xa9");
  CHECK(text::quote("--ttl") == "\"--ttl\"");
  CHECK(text::quote("a b\x01") == "\"a b\\x01\"");
}

TEST_CASE("text: flags stay bare in a written line") {
  CHECK(text::to_line({bare("set"), bare("k"), quoted("--v"), bare("--ttl=5s")}) ==
        "set k \"--v\" --ttl=5s");
  CHECK(text::to_line({bare("scan"), bare("--from=a b")}) == "scan --from \"a b\"");
  CHECK(text::to_line({bare("--a\nquit")}) == "\"--a\\nquit\"");
  const std::vector<Token> tokens{bare("set"), quoted("a b"), quoted("v"), bare("--if-absent")};
  CHECK(*text::tokenize(text::to_line(tokens), {}) == tokens);
}
