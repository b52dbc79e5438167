#include "protocol/resp_command.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/fast_resp.h"
#include "storage/base/random.h"

using namespace dhrt;
using resp::CommandReader;
using Outcome = CommandReader::Read::Outcome;

namespace {

constexpr ProtocolLimits small{
    .value_bytes_max = 16, .line_bytes_max = 64, .arguments_max = 4, .header_bytes_max = 64};

std::string array_of(const std::vector<std::string>& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words)
    out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return out;
}

// "[a|b]" for a command, "<message>" for an error, "!message" for a fatal one; then what is left.
std::string described(const CommandReader::Read& read) {
  if (read.outcome == Outcome::error) return "<" + read.message + ">";
  if (read.outcome == Outcome::fatal) return "!" + read.message;
  std::string text = "[";
  for (std::size_t i = 0; i < read.words.size(); ++i)
    text += (i > 0 ? "|" : "") + std::string(read.words[i]);
  return text + "]";
}

// Gives the reader the bytes in pieces, as a session does, and tells all that was read.
std::string read_in_pieces(const std::vector<Bytes>& pieces, const ProtocolLimits& limits = small) {
  CommandReader reader;
  std::string input, seen;
  for (const Bytes piece : pieces) {
    input += piece;
    for (;;) {
      const CommandReader::Read read = reader.read(input, limits);
      CHECK(read.consumed <= input.size());
      if (read.outcome == Outcome::need_more) {
        input.erase(0, read.consumed);
        break;
      }
      seen += described(read);
      if (read.outcome == Outcome::fatal) return seen;
      input.erase(0, read.consumed);
    }
  }
  return seen + (input.empty() && !reader.midway() ? "" : "...");
}

std::string read_all(const std::string& input) {
  const std::string whole = read_in_pieces({input});
  for (std::size_t split = 0; split <= input.size(); ++split) {
    CAPTURE(split);
    CHECK(read_in_pieces({Bytes(input).substr(0, split), Bytes(input).substr(split)}) == whole);
  }
  std::vector<Bytes> bytes;
  for (std::size_t i = 0; i < input.size(); ++i)
    bytes.push_back(Bytes(input).substr(i, 1));
  CHECK(read_in_pieces(bytes) == whole);
  return whole;
}

}  // namespace

TEST_CASE("resp command: arrays of bulk strings, however they arrive") {
  struct Case {
    const char* why;
    std::string input, expected;
  };
  const std::string value(16, 'v');
  for (const Case& c : {
           Case{"a command", array_of({"GET", "k"}), "[GET|k]"},
           Case{"several", array_of({"GET", "k"}) + array_of({"PING"}), "[GET|k][PING]"},
           Case{"any bytes", array_of({"SET", "a\r\nb", std::string("\0$*", 3)}),
                std::string("[SET|a\r\nb|\0$*]", 14)},
           Case{"empty words", array_of({"", "", ""}), "[||]"},
           Case{"no words", "*0\r\n*-1\r\n*-5\r\n", "[][][]"},
           Case{"as many words as may be", array_of({"a", "b", "c", "d"}), "[a|b|c|d]"},
           Case{"as long as may be", array_of({"SET", "k", value}), "[SET|k|" + value + "]"},
           Case{"not complete", "*2\r\n$3\r\nGET\r\n$1\r\nk\r", "..."},
           Case{"too many words", "*5\r\n",
                "!Protocol error: invalid multibulk length: 5 words, the limit is 4; split the "
                "command"},
           Case{"no number", "*x\r\n", "!Protocol error: invalid multibulk length"},
           Case{"a plus", "*+1\r\n", "!Protocol error: invalid multibulk length"},
           Case{"a zero in front", "*01\r\n", "!Protocol error: invalid multibulk length"},
           Case{"minus nothing", "*-0\r\n", "!Protocol error: invalid multibulk length"},
           Case{"nothing", "*\r\n", "!Protocol error: invalid multibulk length"},
           Case{"a very long number", "*" + std::string(40, '1'),
                "!Protocol error: invalid multibulk length"},
           Case{"a number beyond 64 bits", "*99999999999999999999\r\n",
                "!Protocol error: invalid multibulk length"},
           Case{"CR without LF", "*1\rx", "!Protocol error: invalid multibulk length"},
           Case{"no bulk string", "*1\r\n:1\r\n", "!Protocol error: expected '$', got ':'"},
           Case{"an unprintable type", "*1\r\n\x01", "!Protocol error: expected '$', got '?'"},
           Case{"a negative length", "*1\r\n$-1\r\n", "!Protocol error: invalid bulk length"},
           Case{"a length above all limits", "*1\r\n$536870913\r\n",
                "!Protocol error: invalid bulk length"},
           Case{"no line end behind it", "*1\r\n$1\r\naXX",
                "!Protocol error: expected a line end behind a bulk string of 1 bytes"},
       }) {
    CAPTURE(c.why);
    CHECK(read_all(c.input) == c.expected);
  }
}

TEST_CASE("resp command: a string above the limit is dropped, and the next command is served") {
  const std::string input = array_of({"SET", "k", std::string(17, 'v')}) +
                            array_of({"SET", std::string(30, 'k'), "\r\n"}) + array_of({"PING"});
  CHECK(read_all(input) ==
        "<a string of 17 bytes is above the limit of 16; --max-value-bytes moves it>"
        "<a string of 30 bytes is above the limit of 16; --max-value-bytes moves it>[PING]");
}

TEST_CASE("resp command: what is dropped is not kept meanwhile") {
  CommandReader reader;
  const std::string head = "*2\r\n$1\r\na\r\n$1000\r\n";
  CommandReader::Read read = reader.read(head + "xxx", small);
  CHECK(read.outcome == Outcome::need_more);
  CHECK(read.consumed == head.size() + 3);
  read = reader.read(std::string(997, 'x') + "\r", small);
  CHECK(read.outcome == Outcome::need_more);
  CHECK(read.consumed == 998);
  read = reader.read("\n*1\r\n", small);
  CHECK(read.outcome == Outcome::error);
  CHECK(read.consumed == 1);
}

TEST_CASE("resp command: a whole command has a limit, too") {
  ProtocolLimits limits;
  limits.value_bytes_max = 1 << 20;
  CommandReader reader;
  std::string input = "*100\r\n";
  const std::string value = "$1048576\r\n" + std::string(1048576, 'v') + "\r\n";
  std::size_t consumed = 0;
  for (int i = 0; i < 99; ++i) {
    input += value;
    const CommandReader::Read read = reader.read(input, limits);
    CHECK(read.outcome == Outcome::need_more);
    consumed += read.consumed;
    input.erase(0, read.consumed);
    CHECK(input.size() <= resp::command_bytes_max(limits));
  }
  CHECK(consumed > 0);
  const CommandReader::Read read = reader.read(input + value, limits);
  CHECK(read.outcome == Outcome::error);
  CHECK(read.message.find("--max-value-bytes") != std::string::npos);
}

TEST_CASE("resp command: before a token a few long words are kept no more than one") {
  const ProtocolLimits limits = before_token({});
  CommandReader reader;
  std::string input = "*16\r\n";
  const std::string word = "$60000\r\n" + std::string(60000, 'w') + "\r\n";
  for (int i = 0; i < 15; ++i) {
    input += word;
    const CommandReader::Read read = reader.read(input, limits);
    CHECK(read.outcome == Outcome::need_more);
    input.erase(0, read.consumed);
    CHECK(input.size() <= bytes_before_token_max + 1024);
  }
  CHECK(reader.read(input + word, limits).outcome == Outcome::error);
}

TEST_CASE("fast resp: plain GET and SET are recognised, all others are left to the reader") {
  struct Case {
    const char* why;
    std::string input;
    std::string expected;  // Empty: left.
  };
  const std::string value(16, 'v');
  for (const Case& c : {
           Case{"a read", array_of({"GET", "k"}), "get,c,k"},
           Case{"in any case", array_of({"gEt", "k"}), "get,c,k"},
           Case{"a write", array_of({"SET", "k", "v"}), "set,c,k,v"},
           Case{"any bytes", array_of({"set", "\r\n", "\r\n$1"}), "set,c,\r\n,\r\n$1"},
           Case{"an empty key and value", array_of({"set", "", ""}), "set,c,,"},
           Case{"the longest value", array_of({"set", "k", value}), "set,c,k," + value},
           Case{"a longer value", array_of({"set", "k", value + "v"}), ""},
           Case{"a longer key", array_of({"get", value + "v"}), ""},
           Case{"options", array_of({"set", "k", "v", "NX"}), ""},
           Case{"too few words", array_of({"set", "k"}), ""},
           Case{"too many words", array_of({"get", "k", "k"}), ""},
           Case{"another command", array_of({"DEL", "k"}), ""},
           Case{"another length", array_of({"GETS", "k"}), ""},
           Case{"bit 5 of no letter", "*2\r\n$3\r\nGET-\n$1\r\nk\r\n", ""},
           Case{"bit 5 of a head",
                "*2\r\n\x04"
                "3\r\nGET\r\n$1\r\nk\r\n",
                ""},
           Case{"a zero in front", "*2\r\n$3\r\nGET\r\n$01\r\nk\r\n", ""},
           Case{"no length", "*2\r\n$3\r\nGET\r\n$\r\nk\r\n", ""},
           Case{"a negative length", "*2\r\n$3\r\nGET\r\n$-1\r\n", ""},
           Case{"a wrong line end", "*2\r\n$3\r\nGET\r\n$1\rXk\r\n", ""},
           Case{"a wrong end", "*2\r\n$3\r\nGET\r\n$1\r\nkXX", ""},
           Case{"a huge length", "*2\r\n$3\r\nGET\r\n$99999999999999999999\r\nk\r\n", ""},
           Case{"not complete", "*2\r\n$3\r\nGET\r\n$1\r\nk\r", ""},
           Case{"a line", "get k\r\n", ""},
       }) {
    CAPTURE(c.why);
    const auto batch = std::make_unique<FastBatch>();
    resp::recognise(c.input, "c", small, *batch);
    if (c.expected.empty()) {
      CHECK(batch->empty());
      continue;
    }
    REQUIRE(batch->size() == 1);
    const FastCommand& command = (*batch)[0];
    const bool sets = command.kind == FastCommand::Kind::set;
    CHECK((sets ? "set," : "get,") + std::string(command.collection) + "," +
              std::string(command.key) + (sets ? "," + std::string(command.value) : "") ==
          c.expected);
    CHECK(command.end == c.input.size());
  }
}

TEST_CASE("fast resp: every split point, and a batch holds no more than it may") {
  const std::string one = array_of({"SET", "key", "value"});
  std::string input;
  for (std::size_t i = 0; i < fast_commands_max + 3; ++i)
    input += one;
  const auto batch = std::make_unique<FastBatch>();
  resp::recognise(input, {}, small, *batch);
  CHECK(batch->full());
  CHECK((*batch)[fast_commands_max - 1].end == fast_commands_max * one.size());
  for (std::size_t split = 0; split <= 3 * one.size(); ++split) {
    batch->clear();
    resp::recognise(Bytes(input).substr(0, split), {}, small, *batch);
    CHECK(batch->size() == split / one.size());
  }
}

TEST_CASE("fast resp: what is recognised means what the reader says") {
  Random random(1);
  const std::vector<std::string> pieces{"*2\r\n", "*3\r\n", "$3\r\n", "$1\r\n", "GET",    "set",
                                        "\r\n",   "k",      "v",      "$0\r\n", "$2\r\n", "*1\r\n"};
  std::size_t found = 0;
  for (int round = 0; round < 40000; ++round) {
    std::string input = random.chance(0.5) ? "*2\r\n$3\r\nGET\r\n" : "*3\r\n$3\r\nSET\r\n";
    for (std::uint64_t i = random.below(8); i > 0; --i)
      input += pieces[random.below(pieces.size())];
    const auto batch = std::make_unique<FastBatch>();
    resp::recognise(input, {}, small, *batch);
    if (batch->empty()) continue;
    ++found;
    CAPTURE(input);
    CommandReader reader;
    const CommandReader::Read read = reader.read(input, small);
    REQUIRE(read.outcome == Outcome::command);
    CHECK(read.consumed == (*batch)[0].end);
    REQUIRE(read.words.size() == ((*batch)[0].kind == FastCommand::Kind::set ? 3 : 2));
    CHECK(read.words[1] == (*batch)[0].key);
    if (read.words.size() == 3) CHECK(read.words[2] == (*batch)[0].value);
  }
  CHECK(found > 100);
}
