#include "protocol/hati_text.h"

#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;
using hati::Request;
using hati::Verb;

namespace {

constexpr ProtocolLimits small{
    .value_bytes_max = 16, .line_bytes_max = 32, .arguments_max = 4, .header_bytes_max = 64};

std::string told(const Request& request) {
  static constexpr const char* names[] = {"-",     "SET",      "GET",   "HAS", "DELETE",
                                          "COUNT", "FLUSHALL", "STATS", "AUTH"};
  std::string text = names[static_cast<std::size_t>(request.verb)];
  for (const Bytes part : {request.type, request.key, request.value})
    text += "|" + std::string(part);
  if (request.ttl_milliseconds > 0) text += "|" + std::to_string(request.ttl_milliseconds);
  return text;
}

std::string parsed(Bytes line, const ProtocolLimits& limits = small) {
  return told(hati::parse_request(line, limits));
}

// All requests of these pieces, as a session hands them over; "..." if something is left.
std::string read_in_pieces(const std::vector<Bytes>& pieces) {
  hati::LineReader reader;
  std::string input, seen;
  for (const Bytes piece : pieces) {
    input += piece;
    for (;;) {
      const hati::LineReader::Read read = reader.read(input, small);
      REQUIRE(read.consumed <= input.size());
      if (read.complete) seen += told(read.request) + "; ";
      input.erase(0, read.consumed);
      if (!read.complete) break;
    }
  }
  return seen + (input.empty() ? "" : "...");
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

TEST_CASE("hati text: requests") {
  struct Case {
    const char* line;
    const char* expected;
  };
  for (const Case& c : {
           Case{"SET memory 0 k v", "SET|memory|k|v"},
           Case{"SET hdd 200 k v", "SET|hdd|k|v|200"},
           Case{"SET memory 0 k a  b   c ", "SET|memory|k|a  b   c"},
           Case{"SET memory 0 k  v", "SET|memory|k| v"},
           Case{"SET memory 0 k v\r", "SET|memory|k|v"},
           Case{"SET memory 0 k v\r\r", "SET|memory|k|v\r"},
           Case{"SET memory 0 k \t", "SET|memory|k|\t"},
           Case{"  GET memory k  ", "GET|memory|k|"},
           Case{"GET memory k \r", "GET|memory|k|"},
           Case{"GET MEMORY k", "GET|MEMORY|k|"},
           Case{"GET  k", "GET||k|"},
           Case{"HAS memory k", "HAS|memory|k|"},
           Case{"DELETE memory k", "DELETE|memory|k|"},
           Case{"COUNT memory", "COUNT|memory||"},
           Case{"FLUSHALL hdd", "FLUSHALL|hdd||"},
           Case{"STATS", "STATS|||"},
           Case{"AUTH secret", "AUTH|||secret"},
       }) {
    CAPTURE(c.line);
    CHECK(parsed(c.line) == c.expected);
  }
}

TEST_CASE("hati text: what is no request") {
  for (const char* line : {"",
                           " ",
                           "   ",
                           "\r",
                           "PING",
                           "get memory k",
                           "Get memory k",
                           "GET",
                           "GET memory",
                           "GET memory ",
                           "GET memory  ",
                           "GET memory a b",
                           "HAS",
                           "HAS memory",
                           "HAS memory a b",
                           "DELETE",
                           "DELETE memory",
                           "DELETE memory a b",
                           "COUNT",
                           "COUNT a b",
                           "FLUSHALL",
                           "FLUSHALL a b",
                           "STATS now",
                           "AUTH",
                           "AUTH a b",
                           "SET",
                           "SET memory",
                           "SET memory 0",
                           "SET memory 0 k",
                           "SET memory 0 k ",
                           "SET memory 0  v",
                           "SET memory 0 k   ",
                           "SETX a 0 b c",
                           "CREATE_ROUTER r direct",
                           "CREATEROUTER r direct",
                           "NEXT q",
                           "\tGET memory k"}) {
    CAPTURE(line);
    CHECK(parsed(line) == "-|||");
  }
}

TEST_CASE("hati text: a ttl that is none, or too long") {
  struct Case {
    const char* text;
    std::uint64_t ttl;
  };
  for (const Case& c : {
           Case{"0", 0},
           Case{"-5", 0},
           Case{"abc", 0},
           Case{"", 0},
           Case{"1.5", 0},
           Case{"5s", 0},
           Case{"99999999999999999999", 0},
           Case{"+-5", 0},
           Case{"1", 1},
           Case{"+7", 7},
           Case{"007", 7},
           Case{"9223372036854775807", std::uint64_t{1} << 47},
       }) {
    CAPTURE(c.text);
    CHECK(hati::ttl_of(c.text) == c.ttl);
  }
}

TEST_CASE("hati text: limits of key and value") {
  const std::string key(511, 'k');
  const ProtocolLimits limits{};
  CHECK(parsed("GET m " + key, limits) == "GET|m|" + key + "|");
  CHECK(parsed("GET m " + key + "k", limits) == "-|||");
  CHECK(parsed("SET m 0 " + key + "k v", limits) == "-|||");
  CHECK(parsed("SET m 0 k " + std::string(16, 'v')) == "SET|m|k|" + std::string(16, 'v'));
  CHECK(parsed("SET m 0 k " + std::string(17, 'v')) == "-|||");
}

TEST_CASE("hati text: lines, however they arrive") {
  CHECK(read_all("GET m k\nGET m l\r\n") == "GET|m|k|; GET|m|l|; ");
  CHECK(read_all("\n\nSTATS\n") == "-|||; -|||; STATS|||; ");
  CHECK(read_all("SET m 0 k v\nGET m k") == "SET|m|k|v; ...");
  CHECK(read_all(std::string("SET m 0 k a\0b\xff\n", 15)) == std::string("SET|m|k|a\0b\xff; ", 14));
  CHECK(read_all("") == "");
}

TEST_CASE("hati text: a line that is too long is dropped, and the next one is read") {
  const std::string longest(48, 'x');
  CHECK(read_all(longest + "\nSTATS\n") == "-|||; STATS|||; ");
  CHECK(read_all(longest + "y\nSTATS\n") == "-|||; STATS|||; ");
  CHECK(read_all("SET m 0 k " + std::string(200, 'v') + "\nSTATS\n") == "-|||; STATS|||; ");
  CHECK(read_all("SET m 0 k " + std::string(200, 'v')) == "-|||; ");
  // It takes no memory.
  hati::LineReader reader;
  CHECK(reader.read(longest, small).consumed == 0);
  // It is answered at once, for its end may never come, and no second time when that comes.
  const auto begin = reader.read(longest + "y", small);
  CHECK((begin.complete && begin.consumed == 49 && begin.request.verb == Verb::none));
  const auto middle = reader.read("SET m 0 k v", small);
  CHECK((!middle.complete && middle.consumed == 11));
  const auto end = reader.read("v\nSTATS\n", small);
  CHECK((end.complete && end.consumed == 8 && end.request.verb == Verb::stats));
}

TEST_CASE("hati text: replies") {
  std::string out;
  hati::append_line(out, "a b");
  hati::append_count(out, 18446744073709551615ULL);
  CHECK(out == "a b\n18446744073709551615\n");
  CHECK(hati::only_reads(Verb::stats));
  CHECK_FALSE(hati::only_reads(Verb::flush_all));
  CHECK_FALSE(hati::only_reads(Verb::none));
}
