#include "storage/entry.h"

#include <cstdint>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

namespace dhrt::test {
namespace {

constexpr Origin origin{.node = 7, .epoch = 3, .loop = 1};

// A record with and without each optional field, of sizes around the bounds.
Record any_record(Random& random) {
  Record record;
  record.version = {.hlc = random.next(), .node = random.chance(0.5) ? origin.node : random.next()};
  record.dot = {.origin = origin, .sequence = random.next() >> 16};
  record.deleted = random.chance(0.2);
  record.damaged = random.chance(0.2);
  if (random.chance(0.5)) record.deadline = random.next();
  if (random.chance(0.5)) record.created = random.next();
  if (random.chance(0.3)) record.attributes.assign(random.between(1, attributes_bytes_max), 'a');
  if (random.chance(0.8)) record.value.assign(random.below(300), 'v');
  return record;
}

TEST_CASE("entry: gives back the record that it was made of, at any address") {
  Random random(1);
  for (int i = 0; i < 5000; ++i) {
    const Record record = any_record(random);
    const std::string key(random.chance(0.1) ? key_bytes_max : random.between(1, 40), 'k');
    RecordView view = view_of(record);
    view.unseen = random.chance(0.5);
    const std::size_t size = Entry::size_of(key, view);
    std::vector<std::uint64_t> memory(size / 8 + 1);
    const auto alias = static_cast<OriginAlias>(random.below(65536));
    const Entry* entry = Entry::make(memory.data(), key, view, alias, Entry::dirty);
    REQUIRE(entry->size() == size);
    REQUIRE(entry->key() == key);
    REQUIRE(entry->value() == record.value);
    REQUIRE(entry->attributes() == record.attributes);
    REQUIRE(entry->dot() == AliasDot{alias, record.dot.sequence});
    REQUIRE(entry->hlc() == record.version.hlc);
    REQUIRE(entry->deleted() == record.deleted);
    REQUIRE(entry->deadline() == record.deadline);
    REQUIRE(copy_of(entry->view(origin)) == record);
    REQUIRE(entry->view(origin).unseen == view.unseen);
    REQUIRE(entry->is(Entry::dirty));
  }
}

TEST_CASE("entry: a plain record costs 24 bytes beside its key and value") {
  Record record;
  record.version = {.hlc = 1, .node = origin.node};
  record.dot = {.origin = origin, .sequence = 1};
  record.value.assign(100, 'v');
  CHECK(Entry::size_of(std::string(16, 'k'), view_of(record)) == 140);
}

TEST_CASE("entry: bits of its state do not disturb each other") {
  std::vector<std::uint64_t> memory(8);
  RecordView view{.dot = {.origin = {}, .sequence = 1}};
  Entry* entry = Entry::make(memory.data(), "key", view, 0, Entry::dirty);
  for (unsigned times = 1; times <= 3; ++times) {
    entry->touch();
    CHECK(entry->touches() == times);
  }
  entry->set(Entry::unseen | Entry::queued);
  entry->clear(Entry::dirty);
  entry->untouch();
  entry->use(200);
  CHECK(entry->touches() == 2);
  CHECK(entry->view({}).unseen);
  CHECK_FALSE(entry->is(Entry::dirty));

  std::vector<std::uint64_t> more(8);
  Entry* next = Entry::make(more.data(), "key", view, 0, Entry::dirty);
  next->inherit(*entry);
  CHECK(next->touches() == 2);
  CHECK(next->used() == 200);
  CHECK(next->is(Entry::queued));
  CHECK(next->is(Entry::dirty));
  CHECK_FALSE(next->is(Entry::unseen));
}

}  // namespace
}  // namespace dhrt::test
