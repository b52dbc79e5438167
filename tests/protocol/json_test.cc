#include "protocol/json.h"

#include <limits>

#include <doctest/doctest.h>

using namespace dhrt;
using namespace std::string_literals;
using json::Document;

TEST_CASE("json: the writer writes each kind of value") {
  json::Writer writer;
  writer.begin_object();
  writer.key("s").string("a\"b\n\xc3\xa9");
  writer.key("i").number(std::numeric_limits<std::int64_t>::min());
  writer.key("u").number(std::numeric_limits<std::uint64_t>::max());
  writer.key("d").number(0.5);
  writer.key("nan").number(std::numeric_limits<double>::quiet_NaN());
  writer.key("b").boolean(true).key("n").null();
  writer.key("a").begin_array().string("").raw("{\"x\":[1]}").string(Bytes()).end_array();
  writer.end_object();
  CHECK(writer.take() ==
        "{\"s\":\"a\\\"b\\n\xc3\xa9\",\"i\":-9223372036854775808,\"u\":18446744073709551615,"
        "\"d\":0.5,\"nan\":null,\"b\":true,\"n\":null,\"a\":[\"\",{\"x\":[1]},\"\"]}");
  CHECK(writer.begin_array().end_array().take() == "[]");
}

TEST_CASE("json: a zero byte in a string is escaped") {
  CHECK(json::quoted("a\0b"s) == "\"a\\u0000b\"");
  CHECK(Document::parse("\"a\\u0000b\"")->root().string() == "a\0b"s);
}

TEST_CASE("json: every byte below 128 is read back from the string it was written in") {
  std::string text = "run ";
  for (char byte = 0; byte >= 0 && byte < 127; ++byte)
    text += byte;
  text += "\x7f\xc3\xa9 run";
  CHECK(Document::parse(json::quoted(text))->root().string() == text);
  CHECK(json::quoted("\"\\/\b\f\n\r\t\x1f") == "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u001F\"");
}

TEST_CASE("json: a byte that is no UTF-8 is found at any place in a run of ASCII") {
  for (std::size_t place = 0; place < 40; ++place) {
    CAPTURE(place);
    std::string text(40, 'a');
    CHECK(json::is_utf8(text));
    text[place] = '\xff';
    CHECK_FALSE(json::is_utf8(text));
    text.replace(place, 1, "\xc3\xa9");
    CHECK(json::is_utf8(text));
  }
}

TEST_CASE("json: values are found and have one type") {
  const auto document = Document::parse(
      R"( {"key":"k","n":-3,"d":1.5,"big":18446744073709551615,"yes":true,"no":null,"list":[1,"2"]} )");
  REQUIRE(document);
  const auto root = document->root();
  CHECK(root.is_object());
  CHECK(root.member("key")->string() == "k");
  CHECK_FALSE(root.member("key")->integer());
  CHECK(root.member("n")->integer() == -3);
  CHECK(root.member("n")->number() == -3.0);
  CHECK(root.member("d")->number() == 1.5);
  CHECK_FALSE(root.member("d")->integer());
  CHECK_FALSE(root.member("big")->integer());
  CHECK(root.member("yes")->boolean() == true);
  CHECK(root.member("no")->is_null());
  CHECK_FALSE(root.member("absent"));
  CHECK(root.member("list")->items().size() == 2);
  CHECK(root.member("list")->items()[1].string() == "2");
  CHECK_FALSE(root.member("list")->member("key"));
  CHECK(root.items().empty());
  CHECK(root.members().size() == 7);
  CHECK(root.members()[0].first == "key");
  CHECK(root.member("list")->text() == "[1,\"2\"]");
}

TEST_CASE("json: what is written is read back") {
  for (const std::string text :
       {"null", "true", "[]", "{}", "\"\"", "[[],{\"a\":{}}]", "0.1", "-9223372036854775808",
        "18446744073709551615", "1e300", "0.0", "-0.0", "0e300", "1844674407370955161584"}) {
    CAPTURE(text);
    const auto document = Document::parse(text);
    REQUIRE(document);
    const std::string written = document->root().text();
    CHECK(Document::parse(written)->root().text() == written);
  }
}

TEST_CASE("json: every beginning of a document is an error") {
  const std::string text = R"({"a":[1,true,null,"x\u00e9\ud83d\ude00"],"b":{}})";
  CHECK(Document::parse(text));
  for (std::size_t length = 0; length < text.size(); ++length) {
    CAPTURE(length);
    CHECK_FALSE(Document::parse(Bytes(text).substr(0, length)));
  }
}

TEST_CASE("json: what is no JSON is told, with its place") {
  for (const std::string& text : {"{}x"s,
                                  "{} {}"s,
                                  "{}\0"s,
                                  "\0"s,
                                  "[1,]"s,
                                  "{\"a\"}"s,
                                  "{a:1}"s,
                                  "'a'"s,
                                  "01"s,
                                  "+1"s,
                                  "NaN"s,
                                  "1e999"s,
                                  "243e306"s,
                                  "\"\n\""s,
                                  "\"\\x\""s,
                                  "\"\xff\""s,
                                  "\"\xc0\x80\""s,
                                  "\"\xed\xa0\x80\""s,
                                  "\"\\ud800\""s,
                                  "\"\\udc00\""s,
                                  "\"\\ud800\\u0041\""s,
                                  "// a comment\n1"s,
                                  "\xff{}"s}) {
    CAPTURE(text);
    const auto document = Document::parse(text);
    REQUIRE_FALSE(document);
    CHECK(document.error().code == ErrorCode::invalid_argument);
    CHECK(document.error().message.find("no valid JSON at byte ") == 0);
  }
}

TEST_CASE("json: depth is bounded") {
  const auto nested = [](std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
  };
  CHECK(Document::parse(nested(json::depth_max)));
  const auto deep = Document::parse(nested(json::depth_max + 1));
  REQUIRE_FALSE(deep);
  CHECK(deep.error().message.find("deeper than 64 levels") != std::string::npos);
  CHECK_FALSE(Document::parse(std::string(1'000'000, '[')));
  std::string siblings = "[";
  for (int i = 0; i < 1000; ++i)
    siblings += "{},";
  CHECK(Document::parse(siblings + "{}]"));
}

TEST_CASE("utf-8: what RFC 3629 allows, and nothing else") {
  for (const std::string& text : {""s, "a"s, "\0"s, "\xc3\xa9"s, "\xe2\x82\xac"s,
                                  "\xf0\x9f\x98\x80"s, "\xed\x9f\xbf"s, "\xf4\x8f\xbf\xbf"s})
    CHECK(json::is_utf8(text));
  for (const std::string& text :
       {"\x80"s, "\xc3"s, "\xc3("s, "\xc0\x80"s, "\xc1\xbf"s, "\xe0\x9f\xbf"s, "\xe2\x82"s,
        "\xed\xa0\x80"s, "\xf0\x8f\xbf\xbf"s, "\xf4\x90\x80\x80"s, "\xf5\x80\x80\x80"s, "\xff"s,
        "a\xe2\x82"s, "\xe2\x82\x41"s})
    CHECK_FALSE(json::is_utf8(text));
}

TEST_CASE("base64: bytes come back") {
  struct Case {
    std::string bytes;
    std::string text;
  };
  for (const auto& c : {
           Case{"", ""},
           Case{"f", "Zg=="},
           Case{"fo", "Zm8="},
           Case{"foo", "Zm9v"},
           Case{"foobar", "Zm9vYmFy"},
           Case{"\xff\xfe\xfd\0"s, "//79AA=="},
       }) {
    CAPTURE(c.text);
    CHECK(json::base64(c.bytes) == c.text);
    CHECK(json::from_base64(c.text) == c.bytes);
  }
}

TEST_CASE("base64: one text for each run of bytes") {
  for (const std::string text : {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "=",
                                 "Zg==Zg==", "Zm9v\n", "Zm-v", "Zm 9", "Z=9v"}) {
    CAPTURE(text);
    CHECK_FALSE(json::from_base64(text));
  }
}
