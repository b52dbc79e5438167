// The engine as one Store: what every store must do, in memory, in logs and in files.
#include <atomic>

#include "storage/base/random.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

std::unique_ptr<EngineStore> store_at(const EngineOptions& options) {
  return std::make_unique<EngineStore>(open_engine(options));
}

void write_files(Store& store) {
  must(static_cast<EngineStore&>(store).engine().checkpoint());
}

TEST_CASE("engine: does what every store does, in its logs") {
  const TemporaryDirectory directory;
  run_store_suite({.make =
                       [&, n = 0]() mutable {
                         return store_at(engine_options(directory.file(std::to_string(++n))));
                       },
                   .memory_collections = false,
                   .write_files = write_files});
}

TEST_CASE("engine: does what every store does, in its files") {
  const TemporaryDirectory directory;
  run_store_suite({.make =
                       [&, n = 0]() mutable {
                         auto store = store_at(engine_options(directory.file(std::to_string(++n))));
                         store->checkpoints = true;
                         return store;
                       },
                   .memory_collections = false,
                   .write_files = write_files});
}

TEST_CASE("engine: does what every store does, when nothing stays in the cache") {
  const TemporaryDirectory directory;
  run_store_suite({.make =
                       [&, n = 0]() mutable {
                         auto options = engine_options(directory.file(std::to_string(++n)));
                         options.cache_bytes = 0;
                         auto store = store_at(options);
                         store->checkpoints = true;
                         return store;
                       },
                   .memory_collections = false,
                   .write_files = write_files});
}

TEST_CASE("engine: collections in memory do what every store does, beside a disk") {
  const TemporaryDirectory directory;
  run_store_suite({.make =
                       [&, n = 0]() mutable {
                         return store_at(engine_options(directory.file(std::to_string(++n))));
                       },
                   .memory_collections = true});
}

TEST_CASE("engine: does what every store does, without a disk") {
  run_store_suite(
      {.make = [] { return store_at(engine_options("")); }, .memory_collections = false});
}

TEST_CASE("engine: agrees with the memory store, whatever happens, across restarts") {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const TemporaryDirectory directory;
    const auto model = make_memory_store({});
    Collection& expected = opened(*model, "users", false);
    auto options = engine_options(directory.path());
    options.cache_bytes = seed % 3 == 0 ? 20'000 : std::size_t{1} << 30;
    auto store = store_at(options);
    Collection* users = &opened(*store, "users", false);
    std::uint64_t sequence = 0;
    WallMilliseconds now = noon;
    for (int step = 0; step < 150; ++step) {
      Batch batch;
      for (std::uint64_t puts = random.below(4); puts > 0; --puts) {
        ++sequence;
        const std::string key = "k" + std::to_string(random.below(30));
        const Dot dot{random.chance(0.3) ? there : here, sequence};
        KeyedRecord entry =
            random.chance(0.2)
                ? tombstone(key, dot)
                : put(key, std::string(random.below(random.chance(0.1) ? 300 : 9), 'v'), dot);
        if (!entry.record.deleted && random.chance(0.3))
          entry.record.deadline = now + random.below(10);
        if (random.chance(0.8)) batch.seen.add(dot);
        batch.puts.push_back(std::move(entry));
      }
      if (random.chance(0.05)) batch.flushed = users->seen();
      if (random.chance(0.05)) batch.flushed.add(here, Interval{1, random.between(1, 200)});
      must(model->append(expected, batch));
      must(store->append(*users, std::move(batch)));
      if (random.chance(0.5)) store->commit();
      if (random.chance(0.3)) store->collect();
      if (random.chance(0.1)) {
        store->commit();
        must(store->engine().checkpoint());
      }
      now += random.below(3);
      if (random.chance(0.1)) {
        // Deadlines and sweeps first, so that both have done all of it.
        must(store->drain());
        for (bool more = true; more;) {
          more = store->maintain(now, 7);
          must(store->drain());
          more = model->maintain(now, 7) || more;
        }
        REQUIRE(describe(*users) == describe(expected));
        Context everywhere = context_of(here, 1, random.between(1, sequence + 1));
        everywhere.merge(context_of(there, 1, random.between(1, sequence + 1)));
        must(model->drain());
        model->collect();
        store->collect();
        model->forget_tombstones(expected, everywhere);
        store->forget_tombstones(*users, everywhere);
        must(store->engine().checkpoint());
        REQUIRE(describe(*users) == describe(expected));
      }
      if (random.chance(0.05)) {
        // Half of the time the process just ends.
        must(store->drain());
        if (random.chance(0.5)) must(store->engine().stop());
        store.reset();
        ++options.run;
        store = store_at(options);
        users = store->find("users");
        REQUIRE(users != nullptr);
      }
    }
  }
}

TEST_CASE("engine: records that a peer should not have sent are refused or kept, never fatal") {
  const TemporaryDirectory directory;
  Bench bench(store_at(engine_options(directory.path())), false);
  Engine& engine = static_cast<EngineStore&>(*bench.store).engine();
  KeyedRecord damaged = put("damaged", "", {there, 1});
  damaged.record.damaged = true;
  KeyedRecord timed_tombstone = tombstone("timed", {there, 2});
  timed_tombstone.record.deadline = noon;
  bench.append(batch_of({damaged, timed_tombstone}));
  CHECK(bench.find("damaged")->damaged);
  bench.sync();
  must(engine.checkpoint());
  CHECK(bench.find("damaged")->damaged);
  CHECK(bench.value("timed") == "(deleted)");

  KeyedRecord long_attributes = put("a", "v", {there, 3});
  long_attributes.record.attributes = std::string(attributes_bytes_max + 1, 'a');
  for (const KeyedRecord& entry : {long_attributes, put("a", "v", {there, 0})}) {
    const auto refused =
        bench.store->append(*bench.users, {.puts = {entry}, .seen = {}, .flushed = {}});
    REQUIRE(!refused);
    CHECK(refused.error().code == ErrorCode::invalid_argument);
  }
  // One dot for two keys: both keys are kept, the walk finds one of them.
  bench.append(batch_of({put("x", "v", {there, 4}), put("y", "v", {there, 4})}));
  bench.sync();
  must(engine.checkpoint());
  bench.set("x", "w", {there, 5});
  bench.sync();
  must(engine.checkpoint());
  CHECK(bench.scan({}) == "damaged,x,y");
  CHECK(bench.walk({.excluded = context_of(there, 1, 3)}) == "y,x");
  CHECK(engine.figures().unflushed_records == 0);
}

TEST_CASE("engine: keys that a file cannot hold are refused, and the longest is not") {
  const TemporaryDirectory directory;
  Bench bench(store_at(engine_options(directory.path())), false);
  for (const std::size_t size : {std::size_t{0}, key_bytes_max + 1}) {
    const auto position =
        bench.store->append(*bench.users, batch_of({put(std::string(size, 'k'), "v", {here, 1})}));
    REQUIRE(!position);
    CHECK(position.error().code == ErrorCode::invalid_argument);
  }
  CHECK(bench.users->seen().empty());
  KeyedRecord longest = put(std::string(key_bytes_max, 'k'), "v", {here, 1});
  longest.record.deadline = noon + 1;
  bench.append(batch_of({longest}));
  bench.sync();
  must(static_cast<EngineStore&>(*bench.store).engine().checkpoint());
  CHECK(bench.value(longest.key) == "v");
  bench.maintain_all(noon + 1);
  CHECK(bench.value(longest.key) == "(deleted)");
}

TEST_CASE("engine: whoever asks hears of each record whose deadline passes, once") {
  for (const bool in_file : {false, true}) {
    CAPTURE(in_file);
    const TemporaryDirectory directory;
    std::string expired;
    EngineOptions options = engine_options(directory.path());
    options.expired = [&](const std::string& collection, Bytes key) {
      expired += collection + "/" + std::string(key) + " ";
    };
    Bench bench(store_at(options), false);
    KeyedRecord first = put("a", "v", {here, 1});
    first.record.deadline = noon + 5;
    KeyedRecord second = put("b", "v", {here, 2});
    second.record.deadline = noon + 9;
    bench.append(batch_of({first, second, put("c", "v", {here, 3})}));
    bench.sync();
    if (in_file) must(static_cast<EngineStore&>(*bench.store).engine().checkpoint());
    const std::string users = bench.users->ref().name;
    bench.maintain_all(noon + 4);
    CHECK(expired.empty());
    bench.maintain_all(noon + 5);
    CHECK(expired == users + "/a ");
    bench.maintain_all(noon + 100);
    bench.maintain_all(noon + 101);
    CHECK(expired == users + "/a " + users + "/b ");
  }
}

TEST_CASE("engine: a batch that says nothing new is durable without a sync") {
  const TemporaryDirectory directory;
  Bench bench(store_at(engine_options(directory.path())), false);
  Engine& engine = static_cast<EngineStore&>(*bench.store).engine();
  bench.set("a", "1", {here, 1});
  bench.sync();
  const std::uint64_t frames = engine.figures().logs[0].log.frames;
  const Position repeated =
      bench.append({.puts = {}, .seen = context_of(here, 1, 1), .flushed = {}});
  CHECK(bench.sync() == repeated);
  CHECK(engine.figures().logs[0].log.frames == frames);
}

TEST_CASE("engine: a thousand collections in use") {
  const TemporaryDirectory directory;
  auto options = engine_options(directory.path());
  auto store = store_at(options);
  for (std::uint64_t i = 1; i <= 1000; ++i) {
    Collection& collection = opened(*store, "c" + std::to_string(i), false);
    must(store->append(collection, batch_of({put("k", std::to_string(i), {here, 1})})));
  }
  must(store->drain());
  must(store->engine().stop());
  store.reset();
  ++options.run;
  store = store_at(options);
  REQUIRE(store->collections().size() == 1000);
  CHECK(must(store->find("c17")->find("k"))->value == "17");
  CHECK(must(store->find("c1000")->find("k"))->value == "1000");
}

}  // namespace
}  // namespace dhrt::test
