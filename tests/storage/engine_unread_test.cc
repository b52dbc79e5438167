// Writes that do not read what they replace, and what they leave open meanwhile.
#include <optional>
#include <set>

#include "storage/engine_collection.h"
#include "storage/writer.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

constexpr int many = 2000;

// An engine without a cache: what a checkpoint wrote is in the file alone.
struct Life {
  TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path());
  std::unique_ptr<Engine> engine;
  HybridClock clock;
  std::optional<RecordWriter> writer;

  explicit Life(std::size_t cache_bytes = 0) {
    options.cache_bytes = cache_bytes;
    start();
  }
  void start() {
    engine = open_engine(options);
    writer.emplace(store(), clock, own_origin(options.run));
  }
  // The process ends as it is.
  void crash() {
    engine.reset();
    ++options.run;
    start();
  }
  Store& store() { return engine->store(0); }
  Collection& users() { return *must(store().open({.ref = {"users", 1}, .memory = false})); }
  Written set(const std::string& key, const std::string& value, WallMilliseconds wall,
              bool blind = true) {
    return must(writer->write(users(), {.key = key, .value = value, .blind = blind}, wall));
  }
  void settle() {
    must(store().drain());
    store().collect();
  }
  void checkpoint() {
    settle();
    must(engine->checkpoint());
  }
  // Keys 0 .. many-1 at noon, in the file alone.
  void fill() {
    for (int i = 0; i < many; ++i)
      set("k" + std::to_string(i), "old", noon);
    checkpoint();
    REQUIRE(engine->figures().records_in_memory == 0);
  }
  // As a client is told.
  CollectionCounts counts() {
    CountCursor at;
    while (users().settle_counts(at, 100))
      continue;
    return users().counts();
  }
  std::uint64_t file_reads() { return engine->figures().cache_misses; }
  Record found(const std::string& key) {
    auto record = must(users().find(key));
    REQUIRE(record.has_value());
    return *record;
  }
  Record scanned(const std::string& key) {
    const auto slice = must(users().scan({.from = key, .prefix = key, .limits = {}}));
    REQUIRE(!slice.records.empty());
    return slice.records.front().record;
  }
  std::vector<KeyedRecord> walked(const Context& excluded) {
    return must(users().walk({.excluded = excluded, .from = {}, .limits = {}})).records;
  }
};

TEST_CASE("blind write: the file is not read, and what was written is what is read") {
  Life life;
  life.fill();
  const std::uint64_t before = life.file_reads();
  Version last{};
  for (int i = 0; i < 100; ++i) {
    const Written written = life.set("k" + std::to_string(i), "new", noon + 5);
    CHECK(written.version > last);
    CHECK(!written.previous);
    last = written.version;
  }
  CHECK(life.file_reads() == before);
  CHECK(life.found("k7").value == "new");
  CHECK(life.scanned("k7").value == "new");
  life.checkpoint();
  CHECK(life.found("k7").value == "new");
  CHECK(life.found("k700").value == "old");
}

TEST_CASE("blind write: a condition, a delete and whoever asks what was there do read the file") {
  Life life;
  life.fill();
  const auto reads = [&](WriteRequest request) {
    const std::uint64_t before = life.file_reads();
    request.blind = true;
    static_cast<void>(life.writer->write(life.users(), request, noon + 5));
    return life.file_reads() > before;
  };
  CHECK(reads({.key = "k1", .value = "new", .if_absent = true}));
  CHECK(reads({.key = "k2", .value = "new", .if_version = Version{1, 1}}));
  CHECK(reads({.key = "k3", .deletes = true}));
  CHECK(life.found("k1").value == "old");
  CHECK(life.found("k3").deleted);
  const Written asked = life.set("k4", "new", noon + 5, false);
  CHECK(asked.existed);
  CHECK(asked.created == noon);
  REQUIRE(asked.previous);
}

TEST_CASE("blind write: it wins although the file has a record of a clock that ran ahead") {
  Life life;
  // What a peer wrote is far in the future, beyond what this node's clock follows.
  KeyedRecord ahead = put("a", "from the future", {there, 1});
  ahead.record.version = {(noon + 1'000'000) << hlc_counter_bits, there.node};
  must(life.writer->push(life.users(), views_of({ahead}), noon));
  life.checkpoint();
  REQUIRE(life.engine->figures().records_in_memory == 0);
  const Written written = life.set("a", "ours", noon + 5);
  CHECK(written.version > ahead.record.version);
  CHECK(life.found("a").value == "ours");
  life.checkpoint();
  CHECK(life.found("a").value == "ours");
}

TEST_CASE("blind write: counts are exact when somebody looked, or a checkpoint came") {
  Life life;
  life.fill();
  const CollectionCounts before = life.counts();
  CHECK(before.live == many);
  life.set("k1", "new", noon + 5);
  life.set("k1", "new again", noon + 5);
  life.set("fresh", "new", noon + 5);
  CHECK_MESSAGE(life.users().counts().live == many + 2, "nobody looked");
  CollectionCounts counts = life.counts();
  CHECK(counts.live == many + 1);
  CHECK(counts.bytes == before.bytes + 6 + 5 + 3);
  for (int i = 0; i < many; ++i)
    life.set("k" + std::to_string(i), "new", noon + 6);
  SUBCASE("somebody looked") {
    counts = life.counts();
  }
  SUBCASE("a checkpoint came") {
    life.checkpoint();
    counts = life.users().counts();
  }
  CHECK(counts.live == many + 1);
  CHECK(counts.tombstones == 0);
  CHECK(counts.bytes == before.bytes + 5 + 3);
}

TEST_CASE("blind write: counts stay right if the process ends before the checkpoint") {
  Life life;
  life.fill();
  for (int i = 0; i < many; ++i)
    life.set("k" + std::to_string(i), "new", noon + 6);
  life.set("fresh", "new", noon + 6);
  life.settle();
  life.crash();
  CHECK(life.users().counts().live == many + 1);
  CHECK(life.found("k5").created == noon);
  CHECK(life.found("fresh").created == 0);
  life.checkpoint();
  CHECK(life.users().counts().live == many + 1);
}

TEST_CASE("blind write: when a key was made is known to every reader") {
  Life life;
  life.fill();
  life.set("k1", "new", noon + 5);
  life.set("k2", "new", noon + 5);
  life.set("k3", "new", noon + 5);
  life.set("fresh", "new", noon + 5);
  life.set("k3", "newer", noon + 6);
  CHECK(life.scanned("k2").created == noon);
  CHECK(life.scanned("fresh").created == 0);
  CHECK(life.found("k1").created == noon);
  CHECK(life.found("fresh").created == 0);
  life.checkpoint();
  for (const char* key : {"k1", "k2", "k3"})
    CHECK(life.found(key).created == noon);
  CHECK(life.found("k3").value == "newer");
  CHECK(life.found("fresh").created == 0);
}

TEST_CASE("blind write: the cache is told as well when the key was made") {
  // With room for half of it.
  Life life(std::size_t{40} << 10);
  for (int i = 0; i < many; ++i)
    life.set("k" + std::to_string(i), "old", noon);
  life.checkpoint();
  REQUIRE(life.engine->figures().records_in_memory < many);
  for (int i = 0; i < many; ++i)
    life.set("k" + std::to_string(i), "new", noon + 5);
  life.checkpoint();
  for (int i = 0; i < many; ++i) {
    const Record record = life.found("k" + std::to_string(i));
    REQUIRE(record.value == "new");
    REQUIRE(record.created == noon);
  }
}

TEST_CASE("blind write: a peer that held the key knows when it was made") {
  Life life;
  Life peer;
  life.fill();
  must(peer.writer->pull(peer.users(), life.walked({}), noon));
  const Written written = life.set("k1", "new", noon + 5);
  const KeyedRecord sent{"k1", record_of({.key = "k1", .value = "new"}, written)};
  must(peer.writer->push(peer.users(), views_of({sent}), noon + 5));
  CHECK(peer.found("k1").value == "new");
  CHECK(peer.found("k1").created == noon);
  const Written fresh = life.set("fresh", "new", noon + 5);
  must(peer.writer->push(peer.users(),
                         views_of({{"fresh", record_of({.key = "fresh", .value = "new"}, fresh)}}),
                         noon + 5));
  CHECK(peer.found("fresh").created == 0);
}

TEST_CASE("blind write: a walk shows what it replaced until it is durable, never neither") {
  Life life;
  life.fill();
  const Dot old = life.found("k1").dot;
  life.checkpoint();
  const Written written = life.set("k1", "new", noon + 5);
  const auto shows = [&](const Dot& dot) {
    std::optional<Dot> from;
    for (;;) {
      const auto slice = must(life.users().walk({.excluded = {}, .from = from, .limits = {}}));
      for (const KeyedRecord& entry : slice.records)
        if (entry.record.dot == dot) return true;
      if (!slice.next) return !slice.durable.contains(dot);
      from = slice.next;
    }
  };
  CHECK(shows(old));
  CHECK(
      must(life.users().walk({.excluded = {}, .from = written.dot, .limits = {}})).records.empty());
  life.settle();
  CHECK(shows(written.dot));
  life.checkpoint();
  CHECK(shows(written.dot));
  const auto all = life.users().durable();
  CHECK(all.contains(old));
  CHECK(all.contains(written.dot));
}

TEST_CASE(
    "blind write: what a pull brought counts as seen when it is replaced and somebody looked") {
  Life life;
  must(life.writer->pull(life.users(), {put("a", "pulled", {there, 5})}, noon));
  life.checkpoint();
  REQUIRE(life.engine->figures().records_in_memory == 0);
  REQUIRE(!life.users().seen().contains(Dot{there, 5}));
  life.set("a", "ours", noon + 5);
  SUBCASE("the checkpoint finds it") {
    life.checkpoint();
  }
  SUBCASE("a reader finds it") {
    life.found("a");
  }
  life.checkpoint();
  CHECK(life.users().seen().contains(Dot{there, 5}));
  CHECK(life.users().durable().contains(Dot{there, 5}));
  must(life.engine->stop());
  life.crash();
  CHECK(life.users().durable().contains(Dot{there, 5}));
}

TEST_CASE("blind write: walks under way are told what the checkpoint takes out of the file") {
  Life life;
  life.fill();
  auto& users = static_cast<EngineCollection&>(life.users());
  const std::size_t before = users.replaced_dots();
  life.set("k1", "new", noon + 5);
  life.set("fresh", "new", noon + 5);
  CHECK(users.replaced_dots() == before);
  life.checkpoint();
  CHECK(users.replaced_dots() == before + 1);
}

TEST_CASE("blind write: a flush and a sweep count what was not read") {
  Life life;
  life.fill();
  life.set("k1", "new", noon + 5);
  must(life.writer->flush(life.users()));
  CHECK(life.users().counts().live == 0);
  life.set("k2", "after", noon + 6);
  life.settle();
  while (life.store().maintain(noon + 6, 10'000)) {
  }
  CHECK(life.users().counts().live == 1);
  life.checkpoint();
  CHECK(life.users().counts().live == 1);
  CHECK(life.users().counts().tombstones == many - 1);
  CHECK(life.found("k2").value == "after");
  CHECK_MESSAGE(life.found("k2").created == 0, "what was flushed is another life of the key");
}

TEST_CASE("blind write: any mixture of writes, reads and checkpoints counts what is there") {
  Life life(std::size_t{20} << 10);
  std::uint64_t state = 42;
  const auto random = [&state](std::uint64_t below) {
    state = state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state >> 33) % below;
  };
  std::set<std::string> alive;
  for (int step = 0; step < 20'000; ++step) {
    const std::string key = "k" + std::to_string(random(500));
    const WallMilliseconds now = noon + static_cast<WallMilliseconds>(step);
    switch (random(8)) {
      case 0:
        static_cast<void>(must(life.users().find(key)));
        break;
      case 1:
        must(life.writer->write(life.users(), {.key = key, .deletes = true}, now));
        alive.erase(key);
        break;
      case 2:
        life.set(key, "seen " + std::to_string(step), now, false);
        alive.insert(key);
        break;
      default:
        life.set(key, "blind " + std::to_string(step), now);
        alive.insert(key);
    }
    if (random(700) == 0) life.checkpoint();
    if (random(3000) == 0) {
      life.settle();
      life.crash();
    }
  }
  life.checkpoint();
  CHECK(life.users().counts().live == alive.size());
  std::set<std::string> shown;
  for (const KeyedRecord& entry : must(life.users().scan({.now = noon, .limits = {}})).records)
    shown.insert(entry.key);
  CHECK(shown == alive);
}

}  // namespace
}  // namespace dhrt::test
