#include "protocol/json_extent.h"

#include <doctest/doctest.h>

using namespace dhrt;

TEST_CASE("json extent: where a value ends") {
  struct Case {
    const char* text;
    std::optional<std::size_t> end;
  };
  for (const Case& c : {
           Case{"{}", 2},
           Case{"{} ", 2},
           Case{"[[],{}]x", 7},
           Case{"[\"]\"]", 5},
           Case{"\"a\\\"b\"c", 6},
           Case{"\"\\\\\"x", 4},
           Case{"12,", 2},
           Case{"null", 4},
           Case{"-1.5e3 ", 6},
           Case{"}", 1},
           Case{",,", 1},
           Case{":", 1},
           Case{"{", std::nullopt},
           Case{"[\"", std::nullopt},
           Case{"\"a", std::nullopt},
           Case{"\"a\\\"", std::nullopt},
           Case{"[[]", std::nullopt},
       }) {
    CAPTURE(c.text);
    CHECK(json::value_end(c.text) == c.end);
  }
}

TEST_CASE("json extent: the items of a list") {
  using Items = std::vector<Bytes>;
  CHECK(json::item_texts("[]", 9) == Items{});
  CHECK(json::item_texts("[ 1 , \"a,b\",[2,3] ]", 9) == Items{"1", "\"a,b\"", "[2,3]"});
  CHECK(json::item_texts("[1,2,3,4]", 2) == Items{"1", "2", "3"});
  for (const char* text : {"", "{}", "[", "[1", "[1 2]", "[1,", "[,]x", "[1]x", "[]x", "[1,]x"}) {
    CAPTURE(text);
    CHECK_FALSE(json::item_texts(text, 9));
  }
}

TEST_CASE("json extent: a member as it was written") {
  const Bytes object = R"({ "a" : 1.50 , "b":{"id":5}, "x\"y":[1, 2] ,"\u0069d" : "q" })";
  CHECK(json::member_text(object, "a") == "1.50");
  CHECK(json::member_text(object, "b") == R"({"id":5})");
  CHECK(json::member_text(object, "x\"y") == "[1, 2]");
  CHECK(json::member_text(object, "id") == "\"q\"");
  CHECK_FALSE(json::member_text(object, "c"));
  CHECK_FALSE(json::member_text("{}", "c"));
  CHECK_FALSE(json::member_text("5", "c"));
}

TEST_CASE("json extent: commas outside of strings") {
  CHECK(json::comma_count("") == 0);
  CHECK(json::comma_count(R"([1,"a,b\",",2,[3,4]])") == 4);
  CHECK(json::comma_count("1,\"") == 1);
  CHECK(json::without_blanks(" \t\r\n a ") == "a ");
  CHECK(json::without_blanks("  ").empty());
}
