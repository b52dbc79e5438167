#include "storage/base/codec.h"

#include <cstdint>
#include <limits>
#include <string>

#include <doctest/doctest.h>

namespace dhrt::test {
namespace {

TEST_CASE("codec: what is written is read back, and nothing is left") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  std::string bytes;
  ByteWriter writer(bytes);
  writer.u8(0xab);
  writer.u16(0x1234);
  writer.u32(0xdeadbeef);
  writer.u64(most - 1);
  writer.bytes("text");
  writer.varint(most);
  writer.raw("end");

  ByteReader reader(bytes);
  CHECK(reader.u8() == 0xab);
  CHECK(reader.u16() == 0x1234);
  CHECK(reader.u32() == 0xdeadbeef);
  CHECK(reader.u64() == most - 1);
  CHECK(reader.bytes(4) == "text");
  CHECK(reader.varint() == most);
  CHECK(reader.raw(3) == "end");
  CHECK(reader.ok());
  CHECK(reader.empty());
}

TEST_CASE("codec: fixed numbers are little endian, varints have seven bits a byte") {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.u16(0x0102);
  writer.varint(300);
  CHECK(bytes == std::string("\x02\x01\xac\x02"));
}

TEST_CASE("codec: a varint takes as many bytes as its bits need, ten at most") {
  struct Case {
    std::uint64_t value;
    std::size_t bytes;
  };
  for (const auto& c : {Case{0, 1}, Case{127, 1}, Case{128, 2}, Case{(1U << 14) - 1, 2},
                        Case{1U << 14, 3}, Case{std::numeric_limits<std::uint64_t>::max(), 10}}) {
    CAPTURE(c.value);
    std::string bytes;
    ByteWriter(bytes).varint(c.value);
    CHECK(bytes.size() == c.bytes);
    CHECK(ByteReader(bytes).varint() == c.value);
  }
}

TEST_CASE("codec: bad input fails once and for all") {
  struct Case {
    const char* why;
    std::string input;
    void (*read)(ByteReader&);
  };
  for (const auto& c : {
           Case{"a number that is cut", "abc", [](ByteReader& r) { r.u32(); }},
           Case{"a varint without an end", "\xff\xff", [](ByteReader& r) { r.varint(); }},
           Case{"a varint of 65 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
                [](ByteReader& r) { r.varint(); }},
           Case{"a varint of eleven bytes", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01",
                [](ByteReader& r) { r.varint(); }},
           Case{"a string longer than the rest", "\x05yes", [](ByteReader& r) { r.bytes(99); }},
           Case{"a string longer than allowed", "\x03yes", [](ByteReader& r) { r.bytes(2); }},
           Case{"a count that the rest cannot hold", "\x03yes", [](ByteReader& r) { r.count(2); }},
       }) {
    CAPTURE(c.why);
    ByteReader reader(c.input);
    c.read(reader);
    CHECK(!reader.ok());
    CHECK_MESSAGE(reader.u8() == 0, "further reads give nothing");
    CHECK(reader.raw(0).empty());
    CHECK(!reader.ok());
  }
}

}  // namespace
}  // namespace dhrt::test
