#include "protocol/resp_dump.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

namespace dhrt::resp::test {
namespace {

using Outcome = Restored::Outcome;
constexpr std::size_t any_size = std::size_t{1} << 20;

Restored restored(const std::string& dump, std::size_t value_bytes_max = any_size) {
  return restore(dump, value_bytes_max);
}

// A body with the footer that it needs.
std::string sealed(const std::string& body) {
  std::string dump = dump_of("");
  // A checksum of zero is one that was left out.
  return body + dump.substr(dump.size() - 10, 2) + std::string(8, '\0');
}

TEST_CASE("resp dump: every value comes back as it was") {
  Random random(1);
  for (const std::size_t bytes : {0, 1, 63, 64, 255, 16383, 16384, 100'000}) {
    CAPTURE(bytes);
    std::string value(bytes, '\0');
    for (char& byte : value)
      byte = static_cast<char>(random.below(256));
    const Restored back = restored(dump_of(value));
    REQUIRE(back.outcome == Outcome::value);
    CHECK(back.value == value);
  }
}

TEST_CASE("resp dump: is what Redis 7.0 gives") {
  CHECK(dump_of("hello") == std::string("\x00\x05hello\n\x00"
                                        "cr\xdfve4 \n",
                                        17));
}

TEST_CASE("resp dump: one bit that is not as it was is noticed, wherever it is") {
  const std::string dump = dump_of("a value");
  for (std::size_t bit = 0; bit < dump.size() * 8; ++bit) {
    std::string other = dump;
    other[bit / 8] = static_cast<char>(other[bit / 8] ^ (1 << (bit % 8)));
    CAPTURE(bit);
    CHECK(restored(other).outcome == Outcome::bad_version_or_checksum);
  }
}

TEST_CASE("resp dump: a dump that is cut is none") {
  const std::string dump = dump_of("a value");
  for (std::size_t bytes = 0; bytes < dump.size(); ++bytes) {
    CAPTURE(bytes);
    CHECK(restored(dump.substr(0, bytes)).outcome != Outcome::value);
  }
}

TEST_CASE("resp dump: bodies that no server writes are refused") {
  const auto body = [](std::initializer_list<int> bytes) {
    std::string text;
    for (const int byte : bytes)
      text += static_cast<char>(byte);
    return sealed(text);
  };
  CHECK(restored(body({0, 1, 'a'})).outcome == Outcome::value);
  CHECK(restored(body({0, 0xc0, 0xff})).value == "-1");
  const std::vector<std::string> bad = {
      body({}),
      body({0}),
      body({1, 1, 'a'}),                 // A list.
      body({0, 2, 'a'}),                 // Cut.
      body({0, 1, 'a', 'b'}),            // More than it says.
      body({0, 0xc4, 'a'}),              // No such form.
      body({0, 0x82, 0, 0, 0, 1, 'a'}),  // The same of a length.
      body({0, 0x81, 255, 255, 255, 255, 255, 255, 255, 255, 'a'}),
      body({0, 0xc1, 1}),                      // An integer of two bytes.
      body({0, 0xc3, 2, 1, 0, 'a', 'b'}),      // Behind the packed bytes.
      body({0, 0xc3, 2, 2, 0, 'a'}),           // Less than was promised.
      body({0, 0xc3, 4, 1, 0, 'a', 0, 'b'}),   // More.
      body({0, 0xc3, 4, 4, 0, 'a', 0x20, 1}),  // From in front of the beginning.
      body({0, 0xc3, 3, 9, 0, 'a', 0xe0}),     // Cut within a run.
      body({0, 0xc3, 3, 0xc0, 0, 'a', 0}),     // A length that is an integer.
  };
  for (const std::string& dump : bad) {
    CAPTURE(dump.size());
    CHECK(restored(dump).outcome == Outcome::bad_format);
  }
}

TEST_CASE("resp dump: a value above the limit is refused, packed or not") {
  CHECK(restored(dump_of(std::string(100, 'v')), 100).outcome == Outcome::value);
  CHECK(restored(dump_of(std::string(101, 'v')), 100).outcome == Outcome::bad_format);
  // 'a', and then 7 + 201 + 2 bytes that repeat it.
  const std::string packed{'\0', '\xc3', 5, '\x40', '\xd3', 0, 'a', '\xe0', '\xc9', 0};
  CHECK(restored(sealed(packed), 211).value == std::string(211, 'a'));
  CHECK(restored(sealed(packed), 210).outcome == Outcome::bad_format);
}

}  // namespace
}  // namespace dhrt::resp::test
