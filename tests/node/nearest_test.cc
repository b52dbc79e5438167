#include "node/nearest.h"

#include <doctest/doctest.h>

namespace dhrt {

TEST_CASE("nearest name: a slip is recognized, another word is not") {
  struct Case {
    const char* why;
    const char* typed;
    const char* nearest;
  };
  const std::vector<std::string> known{"get", "set", "del", "collections", "count", "import"};
  for (const auto& c : {
           Case{"letters swapped", "gte", "get"},
           Case{"a letter missing", "cunt", "count"},
           Case{"a letter too many", "collectiions", "collections"},
           Case{"a letter changed", "inport", "import"},
           Case{"a beginning", "col", "collections"},
           Case{"something else", "leave", ""},
           Case{"nothing", "", ""},
       }) {
    CAPTURE(c.why);
    CHECK(nearest_name(c.typed, known).value_or("") == c.nearest);
  }
  CHECK_FALSE(nearest_name(std::string(100000, 'x'), known));
}

}  // namespace dhrt
