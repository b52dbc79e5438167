#include "storage/base/random.h"
#include "tests/storage/store_suite.h"

namespace dhrt::test {
namespace {

std::unique_ptr<MemoryStore> lying_disk() {
  return make_memory_store({.held_back = true});
}

TEST_CASE("memory store: does what every store does") {
  run_store_suite({.make = [] { return make_memory_store({}); }, .memory_collections = false});
}

TEST_CASE("memory store with a held-back disk: does what every store does") {
  run_store_suite({.make = lying_disk, .memory_collections = false});
}

TEST_CASE("memory store: nothing is durable before it is released") {
  const auto store = lying_disk();
  Collection& users = opened(*store, "users", false);
  const Position first = must(store->append(users, batch_of({put("a", "1", {here, 1})})));
  const Position second = must(store->append(users, batch_of({put("a", "2", {here, 2})})));
  store->commit();
  CHECK(store->collect() == 0);
  CHECK(users.durable().empty());
  CHECK(must(users.walk({})).records.empty());

  store->release(first);
  CHECK(users.durable().empty());
  CHECK(store->collect() == first);
  CHECK(users.durable() == context_of(here, 1, 1));
  const WalkSlice walked = must(users.walk({}));
  REQUIRE(walked.records.size() == 1);
  CHECK_MESSAGE(walked.records[0].record.value == "1", "the walk sees the disk, not the memory");

  store->release(first - 1);
  store->release(second);
  CHECK(store->collect() == second);
}

TEST_CASE("memory store: a power cut leaves exactly what was released") {
  const auto store = lying_disk();
  Collection* users = &opened(*store, "users", false);
  must(store->append(*users, batch_of({put("a", "1", {here, 1}), put("b", "1", {here, 2})})));
  const Position kept = must(store->append(*users, batch_of({tombstone("b", {here, 3})})));
  must(store->append(*users, batch_of({put("a", "2", {here, 4}), put("c", "1", {here, 5})})));
  must(store->append(*users, {.puts = {}, .seen = {}, .flushed = users->seen()}));
  opened(*store, "others", false);
  store->release(kept);
  store->lose_unsynced();

  CHECK(store->collect() == kept);
  CHECK_MESSAGE(store->find("others") != nullptr, "opening is durable at once");
  users = store->find("users");
  REQUIRE(users != nullptr);
  CHECK(must(users->find("a"))->value == "1");
  CHECK(must(users->find("b"))->deleted);
  CHECK(!must(users->find("c")).has_value());
  CHECK(users->seen() == context_of(here, 1, 3));
  CHECK(users->durable() == users->seen());
  CHECK(users->flushed().empty());
  CHECK(users->counts().live == 1);
  CHECK(users->counts().tombstones == 1);
  CHECK(users->highest_hlc() == (noon << hlc_counter_bits) + 3);
  CHECK_MESSAGE(must(store->append(*users, batch_of({}))) > kept + 2,
                "no position is given twice, lest a lost one seem durable");
}

TEST_CASE(
    "memory store: a power cut takes back a drop that was not durable, and what came after it") {
  const auto store = lying_disk();
  Collection& configurations = opened(*store, "configurations", false);
  const CollectionRef first{"users", 1};
  const CollectionRef second{"users", 2};
  Collection* users = must(store->open({.ref = first}));
  const Position kept = must(store->append(*users, batch_of({put("a", "1", {here, 1})})));
  must(store->append(*users, batch_of({put("a", "2", {here, 2})})));
  must(store->append(configurations, batch_of({put("users", "dropped", {here, 3})})));
  must(store->erase("users"));
  CHECK(store->find("users") == nullptr);
  users = must(store->open({.ref = second}));
  must(store->append(*users, batch_of({put("b", "1", {here, 4})})));
  must(store->erase("users"));
  store->release(kept);
  store->lose_unsynced();
  users = store->find("users");
  REQUIRE(users != nullptr);
  CHECK(users->ref() == first);
  CHECK(must(users->find("a"))->value == "1");
  CHECK(!must(users->find("b")).has_value());

  const Position dropped = must(store->append(configurations, batch_of({})));
  must(store->erase("users"));
  store->release(dropped);
  store->lose_unsynced();
  CHECK_MESSAGE(store->find("users") == nullptr, "the drop is durable");
}

TEST_CASE("memory store: after a power cut it equals a store that never had the lost batches") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto store = lying_disk();
    const auto model = make_memory_store({});
    Collection& users = opened(*store, "users", false);
    Collection& expected = opened(*model, "users", false);
    std::uint64_t sequence = 0;
    for (int round = 0; round < 5; ++round) {
      std::vector<std::pair<Position, Batch>> appended;
      for (int i = 0; i < 20; ++i) {
        Batch batch =
            batch_of({random.chance(0.2)
                          ? tombstone("k" + std::to_string(random.below(8)), {here, ++sequence})
                          : put("k" + std::to_string(random.below(8)), "v", {here, ++sequence})});
        if (random.chance(0.05)) batch.flushed = users.seen();
        appended.emplace_back(must(store->append(users, batch)), batch);
      }
      const Position kept = appended[random.below(appended.size())].first;
      for (auto& [position, batch] : appended) {
        if (position <= kept) must(model->append(expected, std::move(batch)));
      }
      store->release(kept);
      store->lose_unsynced();
      CHECK(describe(users) == describe(expected));
    }
  }
}

TEST_CASE("memory store: one that forgets tombstones shows none") {
  const auto store = make_memory_store({.forget_tombstones = true});
  Collection& users = opened(*store, "users", false);
  must(store->append(users, batch_of({put("a", "1", {here, 1}), put("b", "1", {here, 2})})));
  must(store->append(users, batch_of({tombstone("a", {here, 3})})));
  CHECK(!must(users.find("a")).has_value());
  const WalkSlice walked = must(users.walk({}));
  REQUIRE(walked.records.size() == 1);
  CHECK(walked.records[0].key == "b");
}

}  // namespace
}  // namespace dhrt::test
