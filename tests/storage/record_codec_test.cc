#include "storage/record_codec.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

namespace dhrt::test {
namespace {

constexpr Origin origin{.node = 7, .epoch = 3, .loop = 1};
constexpr Origin other_origin{.node = 8, .epoch = 1, .loop = 0};

Record plain() {
  Record record;
  record.version = {(std::uint64_t{1'000'000} << hlc_counter_bits) + 5, origin.node};
  record.dot = {origin, 300};
  record.value = std::string("va\0lue", 6);
  return record;
}

template <typename Change>
Record with(Change change) {
  Record record = plain();
  change(record);
  return record;
}

std::string encoded(const Record& record, OriginTable& origins, Bytes key = "key") {
  std::string bytes;
  REQUIRE(encode_record(bytes, key, record, origins, {.with_previous = true}));
  return bytes;
}

struct Case {
  const char* why;
  Record record;
};

std::vector<Case> cases() {
  return {
      {"nothing special", plain()},
      {"an empty value", with([](Record& r) { r.value.clear(); })},
      {"a tombstone", tombstone_of(plain())},
      {"damaged", with([](Record& r) { r.damaged = true; })},
      {"another node's version", with([](Record& r) { r.version.node = 99; })},
      {"a deadline", with([](Record& r) { r.deadline = 1'234'567; })},
      {"created before", with([](Record& r) { r.created = 999'000; })},
      {"created after its version, by a clock that went back",
       with([](Record& r) { r.created = 2'000'000; })},
      {"it replaced a record", with([](Record& r) {
         r.previous = Dot{other_origin, 12};
       })},
      {"attributes", with([](Record& r) { r.attributes = with_attribute({}, 1, "text/html"); })},
      {"everything", with([](Record& r) {
         r.damaged = true;
         r.version.node = 99;
         r.deadline = 1'234'567;
         r.created = 999'000;
         r.previous = Dot{other_origin, 12};
         r.attributes = with_attribute({}, 1, "text/html");
       })},
  };
}

TEST_CASE("record codec: every field is read back") {
  for (const Case& c : cases()) {
    CAPTURE(c.why);
    OriginTable origins;
    const std::string bytes = encoded(c.record, origins);
    const auto decoded = decode_record(bytes, "key", origins);
    REQUIRE(decoded);
    CHECK(*decoded == c.record);

    const auto head = peek_record(bytes);
    REQUIRE(head);
    CHECK(head->origin == origins.find(c.record.dot.origin));
    CHECK(head->sequence == c.record.dot.sequence);
    CHECK(head->deleted == c.record.deleted);
    CHECK(head->deadline == c.record.deadline);
    CHECK(head->value_bytes == c.record.value.size());
  }
}

TEST_CASE("record codec: the disk is not told what a write replaced") {
  OriginTable origins;
  Record record = with([](Record& r) { r.previous = Dot{other_origin, 12}; });
  std::string bytes;
  REQUIRE(encode_record(bytes, "key", record, origins, {.with_previous = false}));
  record.previous.reset();
  CHECK(*decode_record(bytes, "key", origins) == record);
  CHECK(!origins.find(other_origin));
}

// True if a reader cannot take the bytes for an intact record.
bool noticed(Bytes bytes, Bytes key, const OriginTable& origins) {
  const auto decoded = decode_record(bytes, key, origins);
  return !decoded || (decoded->damaged && decoded->value.empty());
}

TEST_CASE("record codec: every cut and every flipped byte is noticed") {
  for (const Case& c : cases()) {
    if (c.record.damaged) continue;  // Damage to what is damaged already shows no difference.
    CAPTURE(c.why);
    OriginTable origins;
    const std::string bytes = encoded(c.record, origins);
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      CAPTURE(i);
      CHECK(noticed(Bytes(bytes).substr(0, i), "key", origins));
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
      CHECK(noticed(flipped, "key", origins));
    }
  }
}

TEST_CASE("record codec: a damaged value leaves version and dot usable") {
  OriginTable origins;
  std::string bytes = encoded(plain(), origins);
  bytes[bytes.size() - 6] ^= 1;
  const auto decoded = decode_record(bytes, "key", origins);
  REQUIRE(decoded);
  CHECK(decoded->damaged);
  CHECK(decoded->version == plain().version);
  CHECK(decoded->dot == plain().dot);
}

TEST_CASE("record codec: a record found under another key is noticed") {
  OriginTable origins;
  const std::string bytes = encoded(plain(), origins);
  CHECK(decode_record(bytes, "yek", origins)->damaged);
}

TEST_CASE("record codec: formats, flags and origins that we do not know are refused") {
  OriginTable origins;
  const std::string good = encoded(plain(), origins);
  const auto changed = [&good](std::size_t place, char byte) {
    std::string bytes = good;
    bytes[place] = byte;
    return bytes;
  };
  for (const std::string& bytes : {changed(0, 2), changed(1, '\x80'), changed(10, 9)}) {
    const auto decoded = decode_record(bytes, "key", origins);
    REQUIRE(!decoded);
    CHECK(decoded.error().code == ErrorCode::corrupt);
  }
  CHECK(!peek_record(changed(0, 2)));
  CHECK(!peek_record(changed(1, '\x80')));
  CHECK(!peek_record("abc"));
}

TEST_CASE("record codec: bytes at random never decode to an intact record") {
  OriginTable origins;
  REQUIRE(origins.alias(origin));
  Random random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes(random.below(60), '\0');
    for (char& byte : bytes)
      byte = static_cast<char>(random.below(256));
    if (bytes.size() > 12 && random.chance(0.5)) bytes[0] = 1;
    peek_record(bytes);
    CHECK(noticed(bytes, "key", origins));
  }
}

TEST_CASE("origin table: names are given in order, and read back") {
  OriginTable origins;
  CHECK(origins.alias(origin) == std::uint16_t{0});
  CHECK(origins.alias(other_origin) == std::uint16_t{1});
  CHECK(origins.alias(origin) == std::uint16_t{0});
  CHECK(origins.origin(2) == nullptr);

  std::string bytes;
  ByteWriter writer(bytes);
  encode(writer, origins);
  ByteReader reader(bytes);
  const OriginTable decoded = decode_origin_table(reader);
  CHECK(reader.ok());
  CHECK(decoded.size() == 2);
  REQUIRE(decoded.origin(1) != nullptr);
  CHECK(*decoded.origin(1) == other_origin);

  // The first origin in the place of the second.
  constexpr std::size_t origin_bytes = 14;
  bytes.replace(1 + origin_bytes, origin_bytes, bytes.substr(1, origin_bytes));
  ByteReader repeated(bytes);
  decode_origin_table(repeated);
  CHECK_MESSAGE(!repeated.ok(), "a repeated origin would shift the names behind it");
}

TEST_CASE("origin table: it is full at its limit, and keeps the names that it gave") {
  OriginTable origins;
  for (std::uint64_t node = 0; node < OriginTable::origins_max; ++node)
    REQUIRE(origins.alias({.node = node, .epoch = 1, .loop = 0}));
  const auto refused = origins.alias({.node = OriginTable::origins_max, .epoch = 1, .loop = 0});
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::full);
  CHECK(origins.alias({.node = 9, .epoch = 1, .loop = 0}) == std::uint16_t{9});
}

TEST_CASE("attributes: one is replaced, unknown ones are kept") {
  std::string attributes = with_attribute({}, 9, "unknown");
  attributes = with_attribute(attributes, attribute_content_type, "text/plain");
  attributes = with_attribute(attributes, attribute_content_type, "text/html");
  CHECK(find_attribute(attributes, attribute_content_type) == "text/html");
  CHECK(find_attribute(attributes, 9) == "unknown");
  CHECK(!find_attribute(attributes, 2));
  CHECK(!find_attribute("\x01\x20zz", attribute_content_type));
}

}  // namespace
}  // namespace dhrt::test
