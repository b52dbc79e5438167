#include "protocol/http_etags.h"

#include <string>

#include <doctest/doctest.h>

namespace dhrt::http {

TEST_CASE("entity tags: what is a list of them, and what is not") {
  struct Case {
    const char* why;
    const char* field;
    const char* shown;  // "*", or tags with blanks between them, the weak ones with a W; "-": none.
  };
  for (const Case& c : {
           Case{"one", "\"17-3\"", "17-3"},
           Case{"two", "\"a\",\"b\"", "a b"},
           Case{"blanks around them", " \t\"a\" ,\t\"b\"  ", "a b"},
           Case{"weak", "W/\"a\"", "Wa"},
           Case{"empty", "\"\"", ""},
           Case{"commas within", "\"a,b\"", "a,b"},
           Case{"any", "*", "*"},
           Case{"any, with blanks", " * ", "*"},
           Case{"nothing", "", "-"},
           Case{"only blanks", "  ", "-"},
           Case{"no quotes", "17-3", "-"},
           Case{"one quote", "\"17-3", "-"},
           Case{"weak in lower case", "w/\"a\"", "-"},
           Case{"no comma between", "\"a\" \"b\"", "-"},
           Case{"a comma at the end", "\"a\",", "-"},
           Case{"a comma in front", ",\"a\"", "-"},
           Case{"any and one more", "*, \"a\"", "-"},
       }) {
    CAPTURE(c.why);
    const auto etags = parse_etags(c.field);
    std::string shown = !etags ? "-" : etags->any ? "*" : "";
    if (etags) {
      for (const Etags::Tag& tag : etags->tags) {
        if (&tag != &etags->tags.front()) shown += ' ';
        shown.append(tag.weak ? "W" : "").append(tag.text);
      }
    }
    CHECK(shown == c.shown);
  }
}

TEST_CASE("entity tags: a weak one is good enough for a copy to read, not for a write") {
  const auto weak = parse_etags("W/\"a\", \"b\"");
  REQUIRE(weak);
  CHECK(weak->matches_weakly("a"));
  CHECK_FALSE(weak->matches_strongly("a"));
  CHECK(weak->matches_strongly("b"));
  CHECK_FALSE(weak->matches_weakly("c"));
  CHECK(parse_etags("*")->matches_strongly("anything"));
}

}  // namespace dhrt::http
