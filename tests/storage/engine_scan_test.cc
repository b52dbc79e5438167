// How much one slice of a scan does, though it shows little.
#include <map>
#include <string>

#include "storage/base/random.h"
#include "tests/storage/engine_life.h"

namespace dhrt::test {
namespace {

std::string numbered(std::size_t number) {
  std::string digits = std::to_string(number);
  return "key-" + std::string(8 - digits.size(), '0') + digits;
}

struct Scanned {
  std::size_t slices = 0;
  std::size_t empty_slices = 0;
  std::vector<std::string> keys;
};

// `between` runs behind every slice that is not the last.
template <typename Between>
Scanned scan_all(Collection& users, ScanRequest request, Between between) {
  Scanned scanned;
  request.now = noon;
  for (;;) {
    const ScanSlice slice = must(users.scan(request));
    ++scanned.slices;
    scanned.empty_slices += slice.records.empty() ? 1 : 0;
    for (const KeyedRecord& entry : slice.records)
      scanned.keys.push_back(entry.key);
    if (!slice.next) return scanned;
    REQUIRE(*slice.next >= request.from);
    REQUIRE_FALSE(slice.next->empty());
    request.from = *slice.next;
    between();
  }
}

Scanned scan_all(Collection& users, const ScanRequest& request = {}) {
  return scan_all(users, request, [] {});
}

TEST_CASE("engine scan: a slice comes to its end, though nothing in the file is visible") {
  EngineLife life;
  life.options.cache_bytes = 0;
  life.engine.reset();
  life.engine = open_engine(life.options);
  constexpr std::size_t records = 40'000;
  for (std::size_t i = 0; i < records; ++i)
    set_own(life.store(), life.users(), numbered(i), "v", own_origin(), true);
  set_own(life.store(), life.users(), "last", "v", own_origin());
  life.settle();
  must(life.engine->checkpoint());
  const Scanned scanned = scan_all(life.users());
  CHECK(scanned.keys == std::vector<std::string>{"last"});
  CHECK_MESSAGE(scanned.slices >= 4, "ten thousand deleted keys are enough for one turn");
  CHECK(scanned.empty_slices == scanned.slices - 1);
}

TEST_CASE("engine scan: what is in memory is brought into order in several slices") {
  EngineLife life;
  bool memory = false;
  SUBCASE("on its way to the file") {}
  SUBCASE("in a collection that stays there") {
    memory = true;
  }
  Collection& users = *must(life.store().open({.ref = {"users", 1}, .memory = memory}));
  constexpr std::size_t records = 150'000;
  for (std::size_t i = 0; i < records; ++i)
    set_own(life.store(), users, numbered(i), "v", own_origin());
  life.settle();
  std::size_t added = 0;
  // What is written meanwhile may come into a stripe that has its order, or has it not yet.
  const Scanned scanned = scan_all(users, {}, [&] {
    if (++added <= 50) set_own(life.store(), users, "new-" + numbered(added), "v", own_origin());
  });
  CHECK_MESSAGE(scanned.empty_slices >= 3, "a hundred thousand keys at once hold up the loop");
  CHECK(scanned.keys.size() == records + 50);
  CHECK(std::ranges::is_sorted(scanned.keys));
  CHECK(std::ranges::adjacent_find(scanned.keys) == scanned.keys.end());
  CHECK_MESSAGE(scan_all(users).empty_slices == 0, "the order is kept");
}

TEST_CASE("engine scan: what the file has too is looked for in several slices, or not at all") {
  EngineLife life;
  Collection& users = life.users();
  constexpr std::size_t records = 150'000;
  for (std::size_t i = 0; i < records; ++i)
    set_own(life.store(), users, numbered(i), "v", own_origin());
  life.settle();
  must(life.engine->checkpoint());
  std::size_t unsaved = 0;
  std::size_t empty_slices_min = 0;
  SUBCASE("the file has all") {}
  SUBCASE("it lacks some: looking at all that is held at once would stall the loop") {
    unsaved = 1'000;
    empty_slices_min = 2;
  }
  for (std::size_t i = 0; i < unsaved; ++i)
    set_own(life.store(), users, "new-" + numbered(i), "v", own_origin());
  life.settle();
  const Scanned scanned = scan_all(users);
  CHECK(scanned.empty_slices >= empty_slices_min);
  CHECK((unsaved > 0 || scanned.empty_slices == 0));
  CHECK(scanned.keys.size() == records + unsaved);
  CHECK(std::ranges::is_sorted(scanned.keys));
}

// A scan looks for as many unsaved entries as a stripe is said to have, and no longer.
TEST_CASE("engine scan: shows all there is, whatever was saved, replaced, dropped and read again") {
  EngineLife life;
  life.options.cache_bytes = std::size_t{64} << 10;
  life.engine.reset();
  life.engine = open_engine(life.options);
  Random random(20261130);
  std::map<std::string, std::string> expected;
  for (int round = 0; round < 600; ++round) {
    Collection& users = life.users();
    for (std::uint64_t writes = random.below(60); writes > 0; --writes) {
      const std::string key = numbered(random.below(1'000));
      const std::string value(random.below(3) == 0 ? 8 : random.below(300), 'v');
      const bool deletes = random.below(4) == 0;
      set_own(life.store(), users, key, value, own_origin(life.options.run), deletes);
      if (deletes)
        expected.erase(key);
      else
        expected[key] = value;
    }
    for (std::uint64_t reads = random.below(30); reads > 0; --reads)
      must(users.find(numbered(random.below(1'000))));
    life.settle();
    if (random.below(3) == 0) must(life.engine->checkpoint());
    if (random.below(40) == 0) {
      life.engine.reset();
      ++life.options.run;
      life.engine = open_engine(life.options);
    }
    if (random.below(4) > 0) continue;
    const Scanned scanned = scan_all(life.users());
    REQUIRE(scanned.keys.size() == expected.size());
    CHECK(std::ranges::equal(scanned.keys, expected, {}, {},
                             &std::pair<const std::string, std::string>::first));
  }
}

}  // namespace
}  // namespace dhrt::test
