#include "protocol/duration.h"

#include <doctest/doctest.h>

using namespace dhrt;
using namespace std::chrono_literals;

TEST_CASE("duration: a number and a unit") {
  struct Case {
    std::string text;
    Duration duration;
  };
  for (const auto& c : {
           Case{"0", 0ms},
           Case{"0s", 0ms},
           Case{"500ms", 500ms},
           Case{"2s", 2s},
           Case{"5m", 5min},
           Case{"2h", 2h},
           Case{"1d", 24h},
           Case{"36525d", 24h * 36525},
       }) {
    CAPTURE(c.text);
    REQUIRE(parse_duration(c.text));
    CHECK(*parse_duration(c.text) == c.duration);
  }
}

TEST_CASE("duration: what is wrong is told, with what to do") {
  struct Case {
    std::string text;
    std::string told;
  };
  for (const auto& c : {
           Case{"", "is no duration"},
           Case{"s", "is no duration"},
           Case{"-1s", "is no duration"},
           Case{" 1s", "is no duration"},
           Case{"5", "has no unit; add ms, s, m, h or d, e.g. 5s"},
           Case{"5w", "unknown unit"},
           Case{"5 s", "unknown unit"},
           Case{"1.5s", "unknown unit"},
           Case{"1h30m", "unknown unit"},
           Case{"36526d", "longer than 36525d"},
           Case{"99999999999999999999999ms", "longer than 36525d"},
           Case{"18446744073709551616s", "longer than 36525d"},
       }) {
    CAPTURE(c.text);
    const auto duration = parse_duration(c.text);
    REQUIRE_FALSE(duration);
    CHECK(duration.error().code == ErrorCode::invalid_argument);
    CHECK(duration.error().message.find(c.told) != std::string::npos);
  }
}

TEST_CASE("duration: written with the largest unit that fits") {
  for (const std::string text :
       {"0", "1ms", "1500ms", "2s", "90s", "5m", "2h", "25h", "1d", "365d"}) {
    CAPTURE(text);
    CHECK(to_text(*parse_duration(text)) == text);
  }
  CHECK(to_text(60s) == "1m");
  CHECK(to_text(-3s) == "-3s");
  CHECK(parse_duration(to_text(Duration::max())).has_value() == false);
  CHECK(to_text(Duration::min()) == "-9223372036854775808ms");
}

TEST_CASE("size: bytes, or a number and a unit of 1024") {
  struct Case {
    std::string text;
    std::uint64_t bytes;
  };
  for (const auto& c : {
           Case{"0", 0},
           Case{"17", 17},
           Case{"17b", 17},
           Case{"64kb", 64 << 10},
           Case{"64KB", 64 << 10},
           Case{"16mb", 16 << 20},
           Case{"1gb", 1 << 30},
           Case{"2tb", std::uint64_t{2} << 40},
           Case{"18446744073709551615", ~std::uint64_t{0}},
       }) {
    CAPTURE(c.text);
    REQUIRE(parse_byte_size(c.text));
    CHECK(*parse_byte_size(c.text) == c.bytes);
  }
}

TEST_CASE("size: what is wrong is told") {
  for (const std::string text :
       {"", "kb", "-1", "1.5gb", "1 kb", "1kib", "1pb", "18446744073709551616", "99999999999tb"}) {
    CAPTURE(text);
    REQUIRE_FALSE(parse_byte_size(text));
    CHECK(parse_byte_size(text).error().code == ErrorCode::invalid_argument);
  }
}
