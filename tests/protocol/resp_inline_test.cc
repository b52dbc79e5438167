#include "protocol/resp_inline.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

using namespace dhrt;

namespace {

// "[a|b]" for a line, "!message" for a bad one; then what is left.
std::string read_in_pieces(const std::vector<Bytes>& pieces) {
  std::string input, seen;
  std::size_t searched = 0;
  for (const Bytes piece : pieces) {
    input += piece;
    while (const auto line = resp::read_inline(input, searched)) {
      CHECK(line->consumed <= input.size());
      if (!line->error.empty()) return seen + "!" + line->error;
      std::string words;
      for (const std::string& word : line->words)
        words += (words.empty() ? "" : "|") + word;
      seen += "[" + words + "]";
      input.erase(0, line->consumed);
    }
  }
  return seen + (input.empty() ? "" : "...");
}

// The same wherever the bytes are cut.
std::string read_all(const std::string& input) {
  const std::string whole = read_in_pieces({input});
  for (std::size_t cut = 0; cut <= input.size(); ++cut)
    CHECK(read_in_pieces({Bytes(input).substr(0, cut), Bytes(input).substr(cut)}) == whole);
  std::vector<Bytes> bytes;
  for (std::size_t i = 0; i < input.size(); ++i)
    bytes.push_back(Bytes(input).substr(i, 1));
  CHECK(read_in_pieces(bytes) == whole);
  return whole;
}

constexpr const char* unbalanced = "!Protocol error: unbalanced quotes in request";

}  // namespace

TEST_CASE("inline: words stand between blanks, and a line ends in LF or CRLF") {
  CHECK(read_all("PING\r\n") == "[PING]");
  CHECK(read_all("set k v\n") == "[set|k|v]");
  CHECK(read_all(" \t set  k\tv \r\n") == "[set|k|v]");
  CHECK(read_all("GET a\nGET b\r\nGET") == "[GET|a][GET|b]...");
  CHECK(read_all("\r\n\nPING\n  \n") == "[][][PING][]");
  CHECK(read_all("a\vb\fc \v d\n") == "[a\vb\fc|d]");
}

TEST_CASE("inline: double quotes hold anything, with escapes") {
  CHECK(read_all("set \"a b\" \"\"\n") == "[set|a b|]");
  CHECK(read_all("set k \"a\\\"b\\\\c\\n\\r\\t\\b\\a\"\n") == "[set|k|a\"b\\c\n\r\t\b\a]");
  CHECK(read_all("set k \"\\x41\\x0A\\x7f\"\n") == "[set|k|A\n\x7f]");
  CHECK(read_all("set k \"\\xZZ\\q\\x4\"\n") == "[set|k|xZZqx4]");
  CHECK(read_all("set k it\"s me\"\n") == "[set|k|its me]");
}

TEST_CASE("inline: single quotes hold anything but themselves") {
  CHECK(read_all("set 'a b' ''\n") == "[set|a b|]");
  CHECK(read_all("set k 'it\\'s \\n \"x\"'\n") == "[set|k|it's \\n \"x\"]");
}

TEST_CASE("inline: unbalanced quotes are an error, also where text touches a closing one") {
  for (const char* line : {"set \"k\n", "set k 'v\n", "set \"k\"v\n", "set 'k'\"v\"\n",
                           "set k \"\\\n", "'\n", "set k \"v\\\"\n"}) {
    CAPTURE(line);
    CHECK(read_all(line) == unbalanced);
  }
  CHECK(read_all("GET a\nGET \"b\n") == std::string("[GET|a]") + unbalanced);
}

TEST_CASE("inline: a zero byte ends what is read of a line") {
  CHECK(read_all(std::string("GET a\0b c\nPING\n", 15)) == "[GET|a][PING]");
  CHECK(read_all(std::string("GET \"a\0\"\n", 9)) == unbalanced);
}

TEST_CASE("inline: a line has its limit, whether its end has come or not") {
  const std::string longest(resp::inline_bytes_max, 'x');
  CHECK(read_in_pieces({longest}) == "...");
  CHECK(read_in_pieces({longest, "\n"}) == "[" + longest + "]");
  const std::string refused =
      "!Protocol error: too big inline request (the limit is 65536 bytes; send what is longer as "
      "an "
      "array)";
  CHECK(read_in_pieces({longest, "x"}) == refused);
  CHECK(read_in_pieces({longest + "x\n"}) == refused);
}

TEST_CASE("inline: whatever comes, the pieces it comes in change nothing") {
  Random random(7);
  constexpr Bytes letters = "ab \"'\\xn\t\r\n\v0f\0";
  for (int round = 0; round < 400; ++round) {
    std::string input;
    for (std::uint64_t i = random.below(30); i > 0; --i)
      input += letters[random.below(letters.size())];
    read_all(input);
  }
}
