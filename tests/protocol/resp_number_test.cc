#include "protocol/resp_number.h"

#include <limits>

#include <doctest/doctest.h>

using namespace dhrt;

TEST_CASE("resp number: integers are decimal, and written in one way only") {
  struct Case {
    const char* text;
    std::optional<std::int64_t> number;
  };
  for (const Case& c : {
           Case{"0", 0},
           Case{"-1", -1},
           Case{"9223372036854775807", INT64_MAX},
           Case{"-9223372036854775808", INT64_MIN},
           Case{"", {}},
           Case{"-", {}},
           Case{"-0", {}},
           Case{"00", {}},
           Case{"01", {}},
           Case{"-01", {}},
           Case{"+1", {}},
           Case{" 1", {}},
           Case{"1 ", {}},
           Case{"1.0", {}},
           Case{"0x1", {}},
           Case{"9223372036854775808", {}},
           Case{"-9223372036854775809", {}},
       }) {
    CAPTURE(c.text);
    CHECK(resp::parse_integer(c.text) == c.number);
  }
}

TEST_CASE("resp number: floats are read as a whole and written without an exponent") {
  struct Case {
    const char* text;
    const char* written;  // Null: it is none.
  };
  for (const Case& c : {
           Case{"0", "0"},
           Case{"-0", "0"},
           Case{"3.0", "3"},
           Case{"10.5", "10.5"},
           Case{"5.0e3", "5000"},
           Case{"1e-3", "0.001"},
           Case{"100", "100"},
           Case{"0x10", "16"},
           Case{"+1", "1"},
           Case{"", nullptr},
           Case{" 1", nullptr},
           Case{"1 ", nullptr},
           Case{"x", nullptr},
           Case{"nan", nullptr},
           Case{"1e9999", nullptr},
       }) {
    CAPTURE(c.text);
    const auto value = resp::parse_float(c.text);
    REQUIRE(value.has_value() == (c.written != nullptr));
    if (value) CHECK(resp::to_text(*value) == c.written);
  }
  CHECK(resp::parse_float("inf").has_value());
  CHECK(!resp::parse_float(Bytes("1\0", 2)).has_value());
  CHECK(!resp::parse_float(std::string(6000, '1')).has_value());
  // Whatever is written can be read.
  for (const long double value : {std::numeric_limits<long double>::max(),
                                  std::numeric_limits<long double>::lowest(), 1e400L})
    CHECK(resp::parse_float(resp::to_text(value)) == value);
}
