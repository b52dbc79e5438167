// Everything that is held, by key, for who compares.
#include <limits>
#include <map>
#include <optional>
#include <string>

#include "storage/base/random.h"
#include "storage/lmdb_env.h"
#include "tests/storage/deleting_life.h"

namespace dhrt::test {
namespace {

using Life = DeletingLife;

// A peer would take what is absent, and was seen, for deleted.
TEST_CASE("engine range: of what a write has replaced that is not durable nobody is told") {
  for (const bool in_file : {false, true}) {
    for (const bool blind : {false, true}) {
      CAPTURE(in_file);
      CAPTURE(blind);
      Life life;
      must(life.engine->stop());
      life.options.durability = Durability::none;
      if (in_file) life.options.cache_bytes = 0;
      life.crash();
      const Origin own = own_origin(life.options.run);
      life.set("a", "old");
      life.set("b", "v");
      life.settle();
      if (in_file) must(life.engine->checkpoint());
      Store::Terms terms(Store::Joins::seen);
      if (blind) terms.unread_hlc_max = std::numeric_limits<std::uint64_t>::max();
      set_own(life.store(), life.users(), "a", "new", own, false, terms);
      life.store().commit();
      life.store().collect();
      CHECK(life.users().durable() == context_of(own, 1, 2));
      const RangeSlice slice = must(life.users().range({}));
      const bool shown = slice.records.size() == 2;
      CHECK(shown == in_file);
      if (shown) CHECK(slice.records[0].record.value == "old");
      CHECK(slice.records.back().key == "b");
      CHECK((shown || !slice.durable.contains(Dot{own, 1})));
      CHECK(slice.durable.contains(Dot{own, 2}));
      CHECK(!slice.durable.contains(Dot{own, 3}));
      life.settle();
      const RangeSlice after = must(life.users().range({}));
      CHECK(after.records[0].record.value == "new");
      CHECK(after.durable == context_of(own, 1, 3));
    }
  }
}

TEST_CASE("engine range: what is damaged is marked, what does not decode is left out") {
  Life life;
  must(life.store().append(life.users(),
                           batch_of({put("a", "precious", {here, 1}), put("b", "intact", {here, 2}),
                                     put("c", "undecodable", {here, 3})})));
  life.settle();
  must(life.engine->stop());
  life.engine.reset();
  {
    const auto env = must(LmdbEnv::open({.path = life.path()}));
    must(env->write([](WriteTxn& txn) {
      std::string encoded(*txn.get(LmdbTable::data, "a"));
      encoded.back() = static_cast<char>(encoded.back() + 1);
      txn.put(LmdbTable::data, "a", encoded);
      txn.put(LmdbTable::data, "c", "?");
    }));
  }
  life.crash();
  const RangeSlice slice = must(life.users().range({}));
  REQUIRE(slice.records.size() == 2);
  CHECK(slice.records[0].key == "a");
  CHECK(slice.records[0].record.damaged);
  CHECK(slice.records[0].record.dot == Dot{here, 1});
  CHECK(slice.records[0].record.value.empty());
  CHECK(slice.records[1].record.value == "intact");
}

// A comparison reads all of it, again and again.
TEST_CASE("engine range: agrees with a scan and a walk, in slices of any size") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Life life;
    must(life.engine->stop());
    life.options.cache_bytes = seed % 2 == 0 ? 5000 : std::size_t{1} << 30;
    life.crash();
    for (int i = 0; i < 1500; ++i) {
      const std::string key = "k" + std::to_string(random.below(400));
      random.chance(0.3) ? life.erase(key) : life.set(key, std::string(random.below(50), 'v'));
      if (random.chance(0.01)) {
        life.settle();
        must(life.engine->checkpoint());
      }
    }
    life.settle();
    std::map<std::string, Record> walked;
    for (const KeyedRecord& entry : must(life.users().walk({})).records)
      walked[entry.key] = entry.record;
    std::map<std::string, Record> ranged;
    RangeRequest request;
    for (std::optional<std::string> next = ""; next;) {
      request.from = *next;
      request.limits.records_max = random.between(1, 100);
      RangeSlice slice = must(life.users().range(request));
      CHECK(slice.durable == life.users().durable());
      for (KeyedRecord& entry : slice.records)
        CHECK(ranged.emplace(entry.key, entry.record).second);
      next = std::move(slice.next);
    }
    CHECK(ranged == walked);
    std::size_t live = 0;
    for (const KeyedRecord& entry :
         must(life.users().scan({.now = noon, .limits = {.records_max = 1000}})).records) {
      CHECK(ranged.at(entry.key).dot == entry.record.dot);
      ++live;
    }
    CHECK(live == life.users().counts().live);
  }
}

}  // namespace
}  // namespace dhrt::test
