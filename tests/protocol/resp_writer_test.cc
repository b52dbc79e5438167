#include "protocol/resp_writer.h"

#include <functional>
#include <limits>

#include <doctest/doctest.h>

#include "protocol/resp.h"

using namespace dhrt;
using resp::Version;
using resp::Writer;

TEST_CASE("resp writer: everything has a form in RESP2 and in RESP3") {
  struct Case {
    const char* what;
    std::function<void(Writer&)> write;
    std::string resp2, resp3;
  };
  const double infinity = std::numeric_limits<double>::infinity();
  for (const Case& c : {
           Case{"ok", [](Writer& w) { w.ok(); }, "+OK\r\n", "+OK\r\n"},
           Case{"simple", [](Writer& w) { w.simple("a\r\nb"); }, "+a  b\r\n", "+a  b\r\n"},
           Case{"error", [](Writer& w) { w.error("ERR a\nb"); }, "-ERR a b\r\n", "-ERR a b\r\n"},
           Case{"integer", [](Writer& w) { w.integer(-7); }, ":-7\r\n", ":-7\r\n"},
           Case{"bulk", [](Writer& w) { w.bulk("a\r\nb"); }, "$4\r\na\r\nb\r\n",
                "$4\r\na\r\nb\r\n"},
           Case{"empty", [](Writer& w) { w.bulk(""); }, "$0\r\n\r\n", "$0\r\n\r\n"},
           Case{"verbatim", [](Writer& w) { w.verbatim("a\nb"); }, "$3\r\na\nb\r\n",
                "=7\r\ntxt:a\nb\r\n"},
           Case{"nothing", [](Writer& w) { w.bulk(Bytes()); }, "$0\r\n\r\n", "$0\r\n\r\n"},
           Case{"null", [](Writer& w) { w.null(); }, "$-1\r\n", "_\r\n"},
           Case{"null array", [](Writer& w) { w.null_array(); }, "*-1\r\n", "_\r\n"},
           Case{"true", [](Writer& w) { w.boolean(true); }, ":1\r\n", "#t\r\n"},
           Case{"false", [](Writer& w) { w.boolean(false); }, ":0\r\n", "#f\r\n"},
           Case{"double", [](Writer& w) { w.number(3.25); }, "$4\r\n3.25\r\n", ",3.25\r\n"},
           Case{"infinity", [=](Writer& w) { w.number(-infinity); }, "$4\r\n-inf\r\n", ",-inf\r\n"},
           Case{"array", [](Writer& w) { w.array(2); }, "*2\r\n", "*2\r\n"},
           Case{"map", [](Writer& w) { w.map(2); }, "*4\r\n", "%2\r\n"},
           Case{"set", [](Writer& w) { w.set(2); }, "*2\r\n", "~2\r\n"},
           Case{"push", [](Writer& w) { w.push(3); }, "*3\r\n", ">3\r\n"},
       }) {
    CAPTURE(c.what);
    std::string out;
    Writer two(out, Version::resp2);
    c.write(two);
    CHECK(out == c.resp2);
    out.clear();
    Writer three(out, Version::resp3);
    c.write(three);
    CHECK(out == c.resp3);
  }
}

TEST_CASE("resp writer: what it writes in RESP2 is a reply that can be read") {
  std::string out;
  Writer writer(out, Version::resp2);
  writer.map(2);
  writer.bulk("number");
  writer.number(0.1);
  writer.bulk("list");
  writer.array(3);
  writer.null();
  writer.boolean(true);
  writer.verbatim("text");
  const auto parsed = resp::parse_reply(out);
  REQUIRE(parsed.has_value());
  REQUIRE(parsed->has_value());
  CHECK((*parsed)->consumed == out.size());
}
