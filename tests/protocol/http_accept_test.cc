#include "protocol/http_accept.h"

#include <doctest/doctest.h>

namespace dhrt::http {

TEST_CASE("Accept: of the ranges that fit, the closest one says how welcome a type is") {
  struct Case {
    const char* why;
    const char* field;
    int json, bytes;  // In thousandths.
  };
  for (const Case& c : {
           Case{"nothing", "", 0, 0},
           Case{"anything", "*/*", 1000, 1000},
           Case{"itself", "application/json", 1000, 0},
           Case{"in any case", "Application/JSON", 1000, 0},
           Case{"all of its kind", "application/*", 1000, 1000},
           Case{"another kind", "text/*, image/png", 0, 0},
           Case{"a longer name", "application/json5, application/octet-streams", 0, 0},
           Case{"a name within another", "x-application/octet-stream", 0, 0},
           Case{"with a weight", "application/json;q=0.5", 500, 0},
           Case{"blanks around everything", " application/json ; q=0.25 ,\t*/* ; q=0.125 ", 250,
                125},
           Case{"Q", "application/json;Q=0.5", 500, 0},
           Case{"not wanted", "application/octet-stream;q=0, application/json", 1000, 0},
           Case{"not wanted, all others", "application/octet-stream;q=0, */*", 1000, 0},
           Case{"the closest counts, not the first",
                "*/*;q=0.1, application/*;q=0.2, "
                "application/json;q=0.3",
                300, 200},
           Case{"nor the one with the most weight", "application/json;q=0.1, */*", 100, 1000},
           Case{"of two as close the more welcome one",
                "application/json;q=0.1, application/json;q=0.9", 900, 0},
           Case{"one", "application/json;q=1", 1000, 0},
           Case{"one with zeros", "application/json;q=1.000", 1000, 0},
           Case{"three digits", "application/json;q=0.001", 1, 0},
           Case{"a point and no digit", "application/json;q=0.", 0, 0},
           Case{"other parameters", "application/json;charset=utf-8;q=0.5", 500, 0},
           Case{"a comma within quotes", "application/json;x=\"a,*/*;q=1\";q=0.5", 500, 0},
           Case{"a quote within quotes", "application/json;x=\"a\\\",*/*\";q=0.5", 500, 0},
           Case{"quotes without end", "application/json;x=\"a,*/*", 1000, 0},
           Case{"four digits", "application/json;q=0.0001, */*;q=0.5", 500, 500},
           Case{"above one", "application/json;q=1.001, */*;q=0.5", 500, 500},
           Case{"no number", "application/json;q=high, */*;q=0.5", 500, 500},
           Case{"an empty number", "application/json;q=, */*;q=0.5", 500, 500},
           Case{"below zero", "application/json;q=-1, */*;q=0.5", 500, 500},
           Case{"no range", "json, */json, */, *", 0, 0},
           Case{"commas only", " , ,,", 0, 0},
       }) {
    CAPTURE(c.why);
    CHECK(acceptance_of(c.field, "application/json").thousandths == c.json);
    CHECK(acceptance_of(c.field, "application/octet-stream").thousandths == c.bytes);
  }
}

TEST_CASE("Accept: a type that is named is told from one that a star stands for") {
  using Closeness = Acceptance::Closeness;
  struct Case {
    const char* field;
    Closeness closeness;
  };
  for (const Case& c : {Case{"application/json", Closeness::itself},
                        Case{"application/*, */*", Closeness::any_of_kind},
                        Case{"text/*, */*", Closeness::any}, Case{"text/*", Closeness::none}}) {
    CAPTURE(c.field);
    CHECK(acceptance_of(c.field, "application/json").closeness == c.closeness);
  }
}

}  // namespace dhrt::http
