#include "protocol/fast_text.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/arguments.h"
#include "storage/base/random.h"

using namespace dhrt;

namespace {

// "get,collection,key" of each command recognised.
std::vector<std::string> recognised(Bytes input, const ProtocolLimits& limits = {}) {
  const auto batch = std::make_unique<FastBatch>();
  text::recognise(input, limits, *batch);
  std::vector<std::string> out;
  for (const FastCommand& command : *batch) {
    const bool sets = command.kind == FastCommand::Kind::set;
    out.push_back(std::string(sets ? "set," : "get,") + std::string(command.collection) + "," +
                  std::string(command.key) + (sets ? "," + std::string(command.value) : ""));
  }
  return out;
}

// The same as the general parser says it; empty: it is no get or set of two to four words.
std::string general(const std::string& line) {
  std::size_t searched = 0;
  auto parsed = text::parse_line(line, {}, searched);
  if (!parsed || parsed->error || parsed->tokens.empty()) return "";
  auto arguments = split_arguments(std::move(parsed->tokens), {"ttl", flags_without_value});
  if (!arguments || !arguments->flags.empty()) return "";
  auto words = arguments->words;
  for (char& c : words[0])
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  const std::size_t least = words[0] == "get" ? 2 : words[0] == "set" ? 3 : 99;
  if (words.size() < least || words.size() > least + 1) return "";
  if (words.size() == least) words.insert(words.begin() + 1, "");
  std::string joined;
  for (const std::string& word : words)
    joined += (joined.empty() ? "" : ",") + word;
  return joined;
}

}  // namespace

TEST_CASE("fast text: plain lines are recognised, all others are left to the parser") {
  struct Case {
    const char* why;
    std::string line;
    std::string expected;  // Empty: left.
  };
  for (const Case& c : {
           Case{"a read", "get k\r\n", "get,,k"},
           Case{"in any case", "GeT k\n", "get,,k"},
           Case{"a read by name", "get c k\n", "get,c,k"},
           Case{"a write", "set k v\r\n", "set,,k,v"},
           Case{"a write by name", "SET c k v\n", "set,c,k,v"},
           Case{"a CR belongs to the key", "get k\r\r\n", "get,,k\r"},
           Case{"any byte but space and LF", "get \t\x01\xff\"\n", "get,,\t\x01\xff\""},
           Case{"a dash is no flag", "set - -v\n", "set,,-,-v"},
           Case{"another command", "has k\n", ""},
           Case{"a longer name", "gets k\n", ""},
           Case{"a tab behind the name", "get\tk\n", ""},
           Case{"a zero behind the name", std::string("get\0k\n", 6), ""},
           Case{"no words", "get\n", ""},
           Case{"no words but a space", "get \n", ""},
           Case{"too few words", "set k\n", ""},
           Case{"too many words", "get a b c\n", ""},
           Case{"too many words to write", "set a b c d\n", ""},
           Case{"two spaces", "get  k\n", ""},
           Case{"two spaces within", "set k  v\n", ""},
           Case{"a space at the front", " get k\n", ""},
           Case{"a space at the end", "get k \n", ""},
           Case{"a quoted key", "get \"k\"\n", ""},
           Case{"a quoted value", "set k \"v\"\n", ""},
           Case{"a flag", "set k v --ttl\n", ""},
           Case{"the end of flags", "get -- k\n", ""},
           Case{"a flag in front", "get --read=one k\n", ""},
           Case{"not complete", "get k\r", ""},
           Case{"blank", "\r\n", ""},
           Case{"an array", "*1\r\n", ""},
       }) {
    CAPTURE(c.why);
    const auto found = recognised(c.line);
    CHECK(found ==
          (c.expected.empty() ? std::vector<std::string>{} : std::vector<std::string>{c.expected}));
  }
}

TEST_CASE("fast text: a run ends at the first line of another kind, and at every split point") {
  const std::string input = "get a\r\nSET b 1\nget c d\r\nset c d 22\nping\nget e\n";
  const std::vector<std::string> all{"get,,a", "set,,b,1", "get,c,d", "set,c,d,22"};
  CHECK(recognised(input) == all);
  for (std::size_t split = 0; split <= input.size(); ++split) {
    CAPTURE(split);
    const auto found = recognised(Bytes(input).substr(0, split));
    REQUIRE(found.size() <= all.size());
    CHECK(std::equal(found.begin(), found.end(), all.begin()));
  }
}

TEST_CASE("fast text: a batch holds no more than it may, and ends where its last line ends") {
  std::string input;
  for (std::size_t i = 0; i < fast_commands_max + 3; ++i)
    input += "get k\n";
  const auto batch = std::make_unique<FastBatch>();
  text::recognise(input, {}, *batch);
  CHECK(batch->full());
  CHECK((*batch)[0].end == 6);
  CHECK((*batch)[fast_commands_max - 1].end == fast_commands_max * 6);
}

TEST_CASE("fast text: a long line is left to the parser") {
  const ProtocolLimits limits{.value_bytes_max = 16, .line_bytes_max = 16};
  CHECK(recognised("get " + std::string(12, 'k') + "\n", limits).size() == 1);
  CHECK(recognised("get " + std::string(13, 'k') + "\n", limits).empty());
}

TEST_CASE("fast text: what is recognised means what the general parser says") {
  Random random(1);
  const std::vector<std::string> pieces{"get", "SET",   "set", "Get", " ", "  ", "k",  "v1", "\"",
                                        "--",  "--ttl", "\r",  "\t",  "c", "=",  "\\", "é",  "-"};
  std::size_t found = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string line = random.chance(0.8) ? pieces[random.below(4)] + " " : "";
    for (std::uint64_t i = random.below(7); i > 0; --i)
      line += pieces[random.below(pieces.size())];
    line += random.chance(0.5) ? "\r\n" : "\n";
    CAPTURE(line);
    const auto fast = recognised(line);
    if (fast.empty()) continue;
    ++found;
    CHECK(fast == std::vector<std::string>{general(line)});
  }
  CHECK(found > 1000);
}
