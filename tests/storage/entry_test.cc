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

TEST_CASE("entry: is written over by a record that takes the same room, and by no other") {
  Random random(2);
  const std::string key = "key";
  int rewritten = 0;
  for (int i = 0; i < 20'000; ++i) {
    const Record first = any_record(random);
    Record next = any_record(random);
    if (random.chance(0.5)) next.value.assign(first.value.size(), 'w');
    if (random.chance(0.5)) next.attributes.assign(first.attributes.size(), 'b');
    std::vector<std::uint64_t> memory(Entry::size_of(key, view_of(first)) / 8 + 1);
    Entry* const entry = Entry::make(memory.data(), key, view_of(first), 5, Entry::queued);
    entry->set(Entry::unseen | Entry::unindexed);
    entry->touch();
    if (!entry->is_laid_out_for(view_of(next))) continue;
    ++rewritten;
    REQUIRE(Entry::size_of(key, view_of(next)) == Entry::size_of(key, view_of(first)));
    RecordView view = view_of(next);
    // Who only changes the time a record has left borrows the rest from it.
    const bool borrows = random.chance(0.3);
    if (borrows) view.value = entry->value();
    if (borrows) view.attributes = entry->attributes();
    entry->rewrite(view, 6, Entry::dirty);
    if (borrows) next.value = first.value;
    if (borrows) next.attributes = first.attributes;
    REQUIRE(copy_of(entry->view(origin)) == next);
    REQUIRE(entry->key() == key);
    REQUIRE(entry->dot() == AliasDot{6, next.dot.sequence});
    REQUIRE(entry->is(Entry::dirty));
    REQUIRE(entry->is(Entry::queued));
    REQUIRE(entry->touches() == 1);
    REQUIRE_FALSE(entry->is(Entry::unseen | Entry::unindexed));
  }
  CHECK(rewritten > 300);
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

TEST_CASE("entry: a copy is the same, with what the cache policy knows of it") {
  Random random(4);
  for (int i = 0; i < 200; ++i) {
    const Record record = any_record(random);
    const std::string key(random.between(1, 40), 'k');
    const std::size_t words = Entry::size_of(key, view_of(record)) / 8 + 1;
    std::vector<std::uint64_t> memory(words);
    std::vector<std::uint64_t> elsewhere(words);
    Entry* const entry = Entry::make(memory.data(), key, view_of(record), 9, Entry::dirty);
    entry->touch();
    entry->use(77);
    const Entry* const copy = Entry::copy(elsewhere.data(), *entry);
    memory.assign(words, 0);
    CHECK(copy->key() == key);
    CHECK(copy_of(copy->view(origin)) == record);
    CHECK(copy->dot().origin == 9);
    CHECK(copy->is(Entry::dirty));
    CHECK(copy->touches() == 1);
    CHECK(copy->used() == 77);
  }
}

}  // namespace
}  // namespace dhrt::test
