#include "protocol/hermod.h"

#include <vector>

#include <doctest/doctest.h>

using namespace dhrt;
using hermod::Api;
using hermod::Request;
using hermod::Terminator;
using hermod::Verb;
using Outcome = hermod::Reader::Read::Outcome;

namespace {

constexpr ProtocolLimits small{
    .value_bytes_max = 16, .line_bytes_max = 32, .arguments_max = 4, .header_bytes_max = 64};

std::string told(const Request& request) {
  static constexpr const char* names[] = {"-",      "get",    "set",    "del", "gettab",
                                          "getlen", "create", "delete", "sup", "ext"};
  std::string text = names[static_cast<std::size_t>(request.verb)];
  for (const Bytes part : {request.key, request.table, request.data})
    text += "|" + std::string(part);
  return text;
}

std::string parsed(Bytes message) {
  return told(hermod::parse_request(message));
}

std::string told(const hermod::Reader::Read& read) {
  if (read.outcome == Outcome::too_long) return "<too long>";
  if (read.outcome == Outcome::message) return "[" + std::string(read.message) + "]";
  return std::string("<") + (read.api == Api::v0_3 ? "0.3" : "0.4") + ":" +
         (read.token ? "'" + std::string(*read.token) + "'" : "none") + ">";
}

// Everything that is read of these pieces, as a session hands them over; "..." if bytes are left.
std::string read_in_pieces(const std::vector<Bytes>& pieces) {
  hermod::Reader reader;
  std::string input, seen;
  for (const Bytes piece : pieces) {
    input += piece;
    for (;;) {
      const auto read = reader.read(input, small);
      REQUIRE(read.consumed <= input.size());
      if (read.outcome != Outcome::need_more) seen += told(read);
      input.erase(0, read.consumed);
      if (read.outcome == Outcome::need_more) break;
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

TEST_CASE("hermod: a greeting tells API and token, however it arrives") {
  struct Case {
    const char* why;
    std::string input, expected;
  };
  for (const Case& c : {
           Case{"a line is API 0.3", "auth: secret\n", "<0.3:'secret'>"},
           Case{"a byte 4 behind it belongs to it", "auth: secret\n\4get", "<0.3:'secret'>..."},
           Case{"only one", "auth: secret\n\4\4", "<0.3:'secret'>[]"},
           Case{"byte 4 is API 0.4", "auth: secret\4", "<0.4:'secret'>"},
           Case{"which has no second end", "auth: secret\4\4", "<0.4:'secret'>[]"},
           Case{"in quotes", "auth: \"se cret\"\4", "<0.4:'se cret'>"},
           Case{"one quote is a letter", "auth: \"\4", "<0.4:'\"'>"},
           Case{"empty", "auth: \n", "<0.3:''>"},
           Case{"without a blank", "auth:secret\4", "<0.4:'secret'>"},
           Case{"blanks around", "auth:   secret \r\n", "<0.3:'secret'>"},
           Case{"nothing", "\n", "<0.3:none>"},
           Case{"and a byte 4 behind that", "\n\4ext\4", "<0.3:none>[ext]"},
           Case{"another message is served", "ext\4", "<0.4:none>[ext]"},
           Case{"an empty one, too", "\4", "<0.4:none>[]"},
           Case{"one that looks like a greeting", "aut\4", "<0.4:none>[aut]"},
           Case{"lines in it are its own", "set k in t to a\nb\4",
                "<0.4:none>[set k in t to a\nb]"},
           Case{"too long a token is none", "auth: " + std::string(60, 'x') + "\next\4",
                "<0.3:none>[ext]"},
           Case{"incomplete", "auth: secret", "..."},
           Case{"nothing yet", "", ""},
       }) {
    CAPTURE(c.why);
    CHECK(read_all(c.input) == c.expected);
  }
}

TEST_CASE("hermod: messages end in byte 4, however they arrive") {
  CHECK(read_all("auth:\4get k from t\4\4ext\4") == "<0.4:''>[get k from t][][ext]");
  CHECK(read_all("auth:\4get k") == "<0.4:''>...");
  const std::string longest(48, 'x');
  CHECK(read_all("auth:\4" + longest + "\4") == "<0.4:''>[" + longest + "]");
  CHECK(read_all("auth:\4" + longest + "y\4ext\4") == "<0.4:''><too long>[ext]");
  CHECK(read_all("auth:\4" + std::string(300, 'x') + "\4ext\4") == "<0.4:''><too long>[ext]");
  CHECK(read_all(std::string(300, 'x') + "\4ext\4") == "<0.4:none><too long>[ext]");
}

TEST_CASE("hermod: requests") {
  struct Case {
    const char* message;
    const char* expected;
  };
  for (const Case& c : {
           Case{"get k from t", "get|k|t|"},
           Case{"get a b from t", "get|a b|t|"},
           Case{"get a from b from t", "get|a from b|t|"},
           Case{"get  k from t", "get| k|t|"},
           Case{"get k from t\n", "get|k|t|"},
           Case{"del k from t", "del|k|t|"},
           Case{"set k in t to v", "set|k|t|v"},
           Case{"set k in t to ", "set|k|t|"},
           Case{"set k in t to  a\nb ", "set|k|t| a\nb "},
           Case{"set a in b in t to v", "set|a in b|t|v"},
           Case{"set k in t to x in u to y", "set|k|t|x in u to y"},
           Case{"sup gettab", "gettab|||"},
           Case{"sup getlen t", "getlen||t|"},
           Case{"sup create t\n", "create||t|"},
           Case{"sup delete t", "delete||t|"},
           Case{"ext", "ext|||"},
           Case{"ext\n", "ext|||"},
       }) {
    CAPTURE(c.message);
    CHECK(parsed(c.message) == c.expected);
  }
}

TEST_CASE("hermod: what is no request") {
  for (const char* message : {"",
                              " ",
                              "get",
                              "get ",
                              "get k",
                              "get k from",
                              "get k from ",
                              "get from t",
                              "get  from t x",
                              "get k from t u",
                              "GET k from t",
                              "del k",
                              "set",
                              "set k",
                              "set k in t",
                              "set k in t to",
                              "set k to v",
                              "set in t to v",
                              "set k in  to v",
                              "set k in t u to v",
                              "extra",
                              "sups"}) {
    CAPTURE(message);
    CHECK(parsed(message) == "-|||");
  }
  for (const char* message : {"sup", "sup ", "sup x", "sup getlen", "sup create", "sup create ",
                              "sup create a b", "sup gettab x"}) {
    CAPTURE(message);
    CHECK(parsed(message) == "sup|||");
  }
}

TEST_CASE("hermod: replies have their columns, whatever the numbers are") {
  struct Case {
    std::uint64_t nanoseconds;
    Terminator terminator;
    const char* reply;
    const char* value;
  };
  for (const Case& c : {
           Case{11491, Terminator::manual, "d{       11491 200}\4", "v{       11491 200}\4"},
           Case{0, Terminator::byte_4, "d{           0 200}\4", "v\4{           0 200}\4"},
           Case{123456789012, Terminator::byte_17, "d{123456789012 200}\x11",
                "v\4{123456789012 200}\x11"},
           Case{1234567890123, Terminator::byte_23, "d{999999999999 200}\x17",
                "v\4{999999999999 200}\x17"},
       }) {
    std::string out;
    hermod::append_reply(out, "d", {c.nanoseconds, 200}, c.terminator);
    CHECK(out == c.reply);
    out.clear();
    hermod::append_value_reply(out, "v", {c.nanoseconds, 200}, c.terminator);
    CHECK(out == c.value);
  }
}

TEST_CASE("hermod: clients find the version of the API at its place") {
  for (const Api api : {Api::v0_3, Api::v0_4}) {
    std::string out;
    hermod::append_greeting(out, api, api == Api::v0_3);
    CHECK(out.substr(42, 5) == (api == Api::v0_3 ? "0.3.0" : "0.4.0"));
    CHECK(out.ends_with(api == Api::v0_3 ? ", Auth)" : ", noAuth)\4"));
  }
  CHECK(hermod::farewell(Api::v0_3) == "\nDropping the connection to Hermod...");
  CHECK(hermod::farewell(Api::v0_4) == "\nDropping the connection. Goodbye...");
  CHECK(hermod::can_tell("a\nb"));
  CHECK_FALSE(hermod::can_tell("a\4b"));
}
