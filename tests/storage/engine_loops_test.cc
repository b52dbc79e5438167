// Several event loops on threads of their own, over the same collections.
#include <array>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "storage/base/random.h"
#include "storage/writer.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

struct WrittenBy {
  std::map<std::string, std::pair<std::uint64_t, std::string>> newest;  // hlc and value, by key.
  std::uint64_t writes = 0;
};

// One loop's life: turns of a few writes, with reads between them.
void hammer(Engine& engine, unsigned loop, const Origin& origin, int turns, WrittenBy& result) {
  Random random(origin.loop + 1U);
  Store& store = engine.store(loop);
  Collection& users = *store.find("users");
  for (int turn = 0; turn < turns; ++turn) {
    for (std::uint64_t writes = random.below(8); writes > 0; --writes) {
      const std::string key = "k" + std::to_string(random.below(50));
      const bool deletes = random.chance(0.2);
      const std::string value =
          deletes ? "" : std::to_string(loop) + "-" + std::to_string(turn) + std::string(40, 'v');
      std::uint64_t hlc = 0;
      const std::uint64_t unread = random.chance(0.5) ? ~std::uint64_t{0} : 0;
      must(store.update(users, HashedKey(key), {Store::Joins::seen, unread},
                        [&](const RecordView* held, RecordView& put) {
                          const std::uint64_t stored = held == nullptr ? 0 : held->version.hlc;
                          hlc = std::max(stored, noon << hlc_counter_bits) + 1;
                          put.dot = {origin, users.last_sequence(origin) + 1};
                          put.version = {hlc, origin.node};
                          put.deleted = deletes;
                          put.value = value;
                          if (held != nullptr && held->unread) put.created = created_unknown;
                          return true;
                        }));
      ++result.writes;
      result.newest[key] = {hlc, deletes ? "(deleted)" : value};
    }
    static_cast<void>(must(users.find("k" + std::to_string(random.below(50)))));
    if (random.chance(0.05)) {
      static_cast<void>(must(users.scan({.now = noon, .limits = {.records_max = 10}})));
      static_cast<void>(must(users.walk({.limits = {.records_max = 10}})));
      static_cast<void>(users.counts());
    }
    store.commit();
    store.collect();
  }
}

void hammer_all(const EngineOptions& options, bool memory) {
  std::map<std::string, std::pair<std::uint64_t, std::string>> newest;
  auto engine = open_engine(options);
  std::vector<WrittenBy> written(options.loops);
  {
    opened(engine->store(0), "users", memory);
    engine->store(0).commit();
    std::vector<std::thread> threads;
    for (unsigned loop = 0; loop < options.loops; ++loop) {
      threads.emplace_back([&, loop] {
        const Origin origin = own_origin(options.run, static_cast<std::uint16_t>(loop));
        hammer(*engine, loop, origin, 400, written[loop]);
      });
    }
    if (!options.directory.empty()) {
      for (int i = 0; i < 10; ++i)
        must(engine->checkpoint());
    }
    for (std::thread& thread : threads)
      thread.join();
  }
  for (const WrittenBy& by_loop : written) {
    for (const auto& [key, last] : by_loop.newest)
      newest[key] = std::max(newest[key], last);
  }
  const auto check = [&] {
    Collection& users = *engine->store(0).find("users");
    std::uint64_t live = 0;
    for (const auto& [key, last] : newest) {
      const auto held = must(users.find(key));
      REQUIRE(held.has_value());
      CHECK(held->version.hlc == last.first);
      CHECK((held->deleted ? "(deleted)" : held->value) == last.second);
      live += held->deleted ? 0 : 1;
    }
    CountCursor at;
    while (users.settle_counts(at, 100))
      continue;
    CHECK(users.counts().live == live);
    CHECK(users.counts().tombstones == newest.size() - live);
    Context seen;
    for (unsigned loop = 0; loop < options.loops; ++loop)
      seen.add(own_origin(options.run, static_cast<std::uint16_t>(loop)),
               {1, written[loop].writes});
    CHECK(users.seen() == seen);
    CHECK(users.durable() == seen);
    CHECK(must(users.walk({})).records.size() == newest.size());
    CHECK(must(users.scan({.now = noon})).records.size() == live);
  };
  for (unsigned loop = 0; loop < options.loops; ++loop) {
    must(engine->store(loop).drain());
    engine->store(loop).collect();
  }
  CHECK(engine->store(0).take_changed() == std::vector<std::string>{"users"});
  check();
  if (memory) return;
  EngineOptions again = options;
  engine.reset();
  ++again.run;
  engine = open_engine(again);
  check();
  must(engine->stop());
  engine.reset();
  ++again.run;
  engine = open_engine(again);
  check();
}

TEST_CASE("engine loops: the same keys without a cache, half of the writes blind") {
  const TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path(), 1, 3);
  options.cache_bytes = 0;
  options.checkpoint_bytes = 4096;
  hammer_all(options, false);
}

TEST_CASE("engine loops: the same keys from several loops, while checkpoints run") {
  const TemporaryDirectory directory;
  auto options = engine_options(directory.path(), 1, 3);
  SUBCASE("with everything in memory") {}
  SUBCASE("with a cache that is too small") {
    options.cache_bytes = 2000;
  }
  SUBCASE("with a cache that is too small, by recency") {
    options.cache_bytes = 2000;
    options.cache_eviction = Eviction::lru;
  }
  SUBCASE("with a sync at intervals") {
    options.durability = Durability::interval;
    options.sync_interval = Duration{5};
  }
  SUBCASE("with checkpoints in many small parts") {
    options.cache_bytes = 2000;
    options.checkpoint_part_bytes = 500;
    options.checkpoint_list_bytes = 400;
  }
  SUBCASE("without syncs") {
    options.durability = Durability::none;
  }
  hammer_all(options, false);
}

TEST_CASE("engine loops: the same keys from several loops, in memory") {
  const TemporaryDirectory directory;
  hammer_all(engine_options(directory.path(), 1, 3), true);
}

// What of a loop's writes is durable, by key: each value is one more than the one before it.
struct Durable {
  std::array<std::atomic<std::uint64_t>, 8> newest{};
};

void count_up(Engine& engine, unsigned loop, const Origin& origin, Durable& durable,
              const std::atomic<bool>& ended) {
  Random random(loop + 1U);
  Store& store = engine.store(loop);
  Collection& users = *store.find("users");
  while (!ended) {
    std::map<std::uint64_t, std::uint64_t> turn;
    for (int writes = 0; writes < 4; ++writes) {
      const std::uint64_t key = random.below(durable.newest.size());
      must(store.update(users, HashedKey(std::to_string(key)), Store::Joins::seen,
                        [&](const RecordView* held, RecordView& put) {
                          const std::uint64_t stored = held == nullptr ? 0 : held->version.hlc;
                          put.dot = {origin, users.last_sequence(origin) + 1};
                          put.version = {stored + 1, origin.node};
                          put.value = "of the same size";
                          turn[key] = stored + 1;
                          return true;
                        }));
    }
    store.commit();
    must(store.drain());
    store.collect();
    for (const auto& [key, value] : turn) {
      std::uint64_t known = durable.newest[key];
      while (known < value && !durable.newest[key].compare_exchange_weak(known, value))
        continue;
    }
  }
}

TEST_CASE("engine loops: a backup has what was durable before it, whoever wrote it over since") {
  const TemporaryDirectory directory;
  const auto options = engine_options(directory.path() + "/node", 1, 3);
  const auto engine = open_engine(options);
  opened(engine->store(0), "users", false);
  engine->store(0).commit();
  Durable durable;
  std::atomic<bool> ended{false};
  std::vector<std::thread> threads;
  for (unsigned loop = 0; loop < options.loops; ++loop) {
    threads.emplace_back([&, loop] {
      const Origin origin = own_origin(options.run, static_cast<std::uint16_t>(loop));
      count_up(*engine, loop, origin, durable, ended);
    });
  }
  std::uint64_t older = 0;
  for (int turn = 0; turn < 60; ++turn) {
    std::array<std::uint64_t, 8> before{};
    for (std::size_t key = 0; key < before.size(); ++key)
      before[key] = durable.newest[key];
    const std::string path = directory.path() + "/backup-" + std::to_string(turn);
    must(engine->backup(path, [](const std::string&) {}));
    const auto copy = open_engine(engine_options(path, 2));
    Collection& users = *copy->store(0).find("users");
    for (std::size_t key = 0; key < before.size(); ++key) {
      const auto held = must(users.find(std::to_string(key)));
      older += before[key] > (held ? held->version.hlc : 0);
    }
  }
  ended = true;
  for (std::thread& thread : threads)
    thread.join();
  CHECK(older == 0);
}

TEST_CASE("engine loops: nothing counts as seen because of what a power cut may take") {
  const TemporaryDirectory directory;
  const auto engine = open_engine(engine_options(directory.path(), 1, 2));
  Store& first = engine->store(0);
  Store& second = engine->store(1);
  Collection& users = opened(first, "users", false);
  HybridClock clock;
  RecordWriter writer(first, clock, own_origin(1, 0));
  first.commit();
  first.collect();

  // Another loop has written the key, and has not ended its turn.
  set_own(second, users, "k", "new", own_origin(1, 1));
  KeyedRecord older = put("k", "old", {there, 1});
  older.record.version.hlc = 1;

  must(writer.push(users, views_of({older}), noon));
  CHECK_MESSAGE(!users.seen().contains(Dot{there, 1}), "it is as if it had not come");

  const Position pulled = must(writer.pull(users, {older}, noon));
  first.commit();
  must(engine->store(0).drain());
  CHECK_MESSAGE(first.collect() < pulled, "a vector must not be merged behind it yet");

  second.commit();
  must(second.drain());
  second.collect();
  CHECK(first.collect() >= pulled);
  must(writer.push(users, views_of({older}), noon));
  CHECK_MESSAGE(users.seen().contains(Dot{there, 1}), "what beats it stays");
  CHECK(must(users.find("k"))->value == "new");
}

TEST_CASE("engine loops: collections come and go while others use them") {
  const TemporaryDirectory directory;
  auto engine = open_engine(engine_options(directory.path(), 1, 2));
  std::atomic<bool> ended{false};
  std::thread other([&] {
    Store& store = engine->store(1);
    const Origin origin = own_origin(1, 1);
    while (!ended) {
      if (Collection* users = store.find("users")) {
        const auto written = store.update(
            *users, HashedKey("k"), Store::Joins::seen, [&](const RecordView*, RecordView& put) {
              put.dot = {origin, users->last_sequence(origin) + 1};
              put.version = {(noon << hlc_counter_bits) + put.dot.sequence, origin.node};
              put.value = "v";
              return true;
            });
        if (!written) CHECK(written.error().code == ErrorCode::not_found);
      }
      store.commit();
      store.collect();
    }
  });
  Store& store = engine->store(0);
  for (std::uint32_t generation = 1; generation <= 200; ++generation) {
    opened(store, "users", false, generation);
    store.commit();
    if (generation % 20 == 0) must(engine->checkpoint());
    if (generation % 3 == 0) must(store.erase("users"));
    store.commit();
    store.collect();
  }
  ended = true;
  other.join();
  must(engine->stop());
}

}  // namespace
}  // namespace dhrt::test
