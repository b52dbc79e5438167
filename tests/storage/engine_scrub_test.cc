// Damage in the files of collections: found before somebody asks, never served, and healed.
#include <fstream>
#include <iterator>
#include <thread>

#include "storage/base/system_clock.h"
#include "storage/damaged_keys.h"
#include "storage/engine_collection.h"
#include "storage/writer.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

const std::string precious = "precious " + std::string(60, 'p');

// An engine over several starts, whose files are damaged in between.
struct Life {
  TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path());
  std::unique_ptr<Engine> engine;

  explicit Life(std::size_t rate = std::size_t{64} << 20) {
    options.scrub_bytes_per_second = rate;
    engine = open_engine(options);
  }
  Store& store() { return engine->store(0); }
  Collection& users() { return *must(store().open({.ref = {"users", 1}, .memory = false})); }
  Origin own() const { return own_origin(options.run); }
  void fill(int records) {
    for (int i = 0; i < records; ++i)
      set_own(store(), users(), "k" + std::to_string(i), "value " + std::to_string(i), own());
    set_own(store(), users(), "a", precious, own());
    settle();
  }
  void settle() {
    must(store().drain());
    store().collect();
  }
  void stop() {
    must(engine->stop());
    engine.reset();
  }
  void start() {
    ++options.run;
    engine = open_engine(options);
  }
  void damage(const std::string& from, const std::string& to) {
    std::fstream file(directory.file("collections/users.mdb"),
                      std::ios::in | std::ios::out | std::ios::binary);
    std::string bytes{std::istreambuf_iterator<char>(file), {}};
    REQUIRE(from.size() == to.size());
    REQUIRE(bytes.find(from) != std::string::npos);
    for (auto at = bytes.find(from); at != std::string::npos; at = bytes.find(from, at))
      bytes.replace(at, from.size(), to);
    file.seekp(0);
    file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  // Makes a record's first byte, its format, one that nobody knows.
  void destroy(const std::string& key, const std::string& value) {
    std::ifstream file(directory.file("collections/users.mdb"), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    file.close();
    const auto at = bytes.find(value);
    REQUIRE(at != std::string::npos);
    // Behind the key: format, flags, hlc, origin, sequence; as an LMDB node has them in one piece.
    const auto begin = bytes.rfind(key, at) + key.size();
    REQUIRE(begin < at);
    std::string broken = bytes.substr(begin, at - begin + value.size());
    const std::string intact = broken;
    REQUIRE(broken[0] == 1);
    broken[0] = 77;
    damage(key + intact, key + broken);
  }
  // Until a whole pass is over.
  void await_pass() {
    await([this] { return engine->figures().scrub_passes > 0; });
  }
  template <typename Condition>
  static void await(Condition condition) {
    const Time patience = monotonic_now() + Duration(20000);
    while (!condition() && monotonic_now() < patience)
      std::this_thread::yield();
    REQUIRE(condition());
  }
  std::vector<std::string> damaged() {
    std::vector<std::string> keys;
    for (const DamagedKey& one : store().take_damaged())
      keys.push_back(one.collection + "/" + one.key);
    return keys;
  }
};

using Keys = std::vector<std::string>;

TEST_CASE("engine scrub: intact files are read to their end and nothing is found") {
  Life life;
  life.fill(3000);
  life.stop();
  life.start();
  life.await_pass();
  const EngineFigures figures = life.engine->figures();
  CHECK(figures.scrubbed_records == 3001);
  CHECK(figures.scrubbed_bytes > 3001 * 20);
  CHECK(figures.scrub_failures == 0);
  CHECK(figures.quarantined == 0);
  CHECK(life.damaged().empty());
}

TEST_CASE("engine scrub: exactly the damaged key is found, and told once") {
  Life life;
  life.fill(3000);
  life.stop();
  life.damage("precious", "prexious");
  // Without a cache nothing but the scrub reads the file.
  life.options.cache_bytes = 0;
  life.start();
  life.await_pass();
  CHECK(life.engine->figures().quarantined == 1);
  CHECK(life.engine->figures().damaged == 1);
  CHECK(life.engine->figures().healed == 0);
  CHECK(life.damaged() == Keys{"users/a"});
  CHECK(life.damaged().empty());
  const auto held = must(life.users().find("a"));
  REQUIRE(held.has_value());
  CHECK(held->damaged);
  CHECK(held->value.empty());
  CHECK(life.engine->figures().quarantined == 1);
}

TEST_CASE("engine scrub: off is off, and readers find what they meet") {
  Life life(0);
  life.fill(10);
  life.stop();
  life.damage("precious", "prexious");
  life.options.cache_bytes = 0;
  life.start();
  CHECK(life.damaged().empty());
  CHECK(must(life.users().find("a"))->damaged);
  CHECK(life.damaged() == Keys{"users/a"});
  CHECK(life.engine->figures().scrubbed_records == 0);
}

TEST_CASE("engine scrub: a new write and an intact copy of the same write heal") {
  Life life;
  life.fill(10);
  const auto before = must(life.users().find("a"));
  life.stop();
  life.damage("precious", "prexious");
  life.start();
  life.await_pass();
  REQUIRE(life.damaged() == Keys{"users/a"});
  std::string healed;
  SUBCASE("a new write") {
    set_own(life.store(), life.users(), "a", "anew", life.own());
    healed = "anew";
  }
  SUBCASE("the same write") {
    must(life.store().append(life.users(), {.puts = {{"a", *before}}, .seen = {}, .flushed = {}}));
    healed = precious;
  }
  CHECK(life.engine->figures().healed == 1);
  CHECK(life.engine->figures().damaged == 0);
  CHECK(must(life.users().find("a"))->value == healed);
  CHECK(life.users().counts().live == 11);
  life.stop();
  life.start();
  life.await_pass();
  CHECK(life.engine->figures().quarantined == 0);
  CHECK(must(life.users().find("a"))->value == healed);
  CHECK(life.users().counts().live == 11);
}

void run_unreadable(bool cached) {
  Life life;
  life.fill(10);
  life.stop();
  life.destroy("a", precious);
  if (!cached) life.options.cache_bytes = 0;
  life.start();
  life.await_pass();
  CHECK(life.damaged() == Keys{"users/a"});
  const auto read = life.users().find("a");
  REQUIRE(!read);
  CHECK(read.error().code == ErrorCode::corrupt);
  CHECK(read.error().message.find("users.mdb") != std::string::npos);
  SUBCASE("by a client") {
    set_own(life.store(), life.users(), "a", "anew", life.own());
  }
  SUBCASE("by a peer") {
    must(life.store().append(life.users(), batch_of({put("a", "anew", {there, 1})})));
  }
  SUBCASE("and its log is replayed") {
    set_own(life.store(), life.users(), "a", "anew", life.own());
    life.settle();
    life.engine.reset();
    life.start();
    CHECK(must(life.users().find("a"))->value == "anew");
    set_own(life.store(), life.users(), "a", "anew", life.own());
  }
  CHECK(life.engine->figures().damaged == 0);
  CHECK(must(life.users().find("a"))->value == "anew");
  CHECK(life.users().counts().live == 11);
  life.stop();
  life.start();
  life.await_pass();
  CHECK(life.users().counts().live == 11);
  CHECK(life.engine->figures().quarantined == 0);
  CHECK(must(life.users().find("a"))->value == "anew");
}

TEST_CASE("engine scrub: what does not decode at all is an error to readers until it is written") {
  run_unreadable(false);
}

TEST_CASE("engine scrub: the same with everything else in memory") {
  run_unreadable(true);
}

TEST_CASE("engine scrub: what is still in memory heals its file") {
  Life life(0);
  life.fill(10);
  must(life.engine->checkpoint());
  // Under the feet of an engine that runs; it maps the file, so it sees the same bytes.
  SUBCASE("a wrong value") {
    life.damage("precious", "prexious");
  }
  SUBCASE("nothing that decodes") {
    life.destroy("a", precious);
  }
  auto& users = static_cast<EngineCollection&>(life.users());
  EngineCollection::Scrubbed done;
  std::string from;
  CHECK_FALSE(must(users.scrub(from, std::size_t{1} << 20, done)));
  CHECK(done.records == 11);
  CHECK(life.engine->figures().quarantined == 1);
  CHECK(life.engine->figures().healed == 1);
  CHECK(life.damaged().empty());
  CHECK(must(users.find("a"))->value == precious);
  CHECK(users.counts().live == 11);
  life.stop();
  life.options.cache_bytes = 0;
  life.start();
  CHECK(must(life.users().find("a"))->value == precious);
  CHECK(life.users().counts().live == 11);
}

TEST_CASE("engine scrub: what does not decode may be newer than what a comparison brings") {
  Life life;
  life.fill(10);
  life.stop();
  life.destroy("a", precious);
  life.start();
  life.await_pass();
  REQUIRE(!life.users().find("a"));
  HybridClock clock;
  RecordWriter writer(life.store(), clock, life.own());
  const KeyedRecord older = put("a", "older", {there, 1});
  Context captured;
  captured.add(older.record.dot);
  must(writer.mend(life.users(), {older}, captured, {}, noon));
  CHECK_MESSAGE(writer.take_joined().empty(), "it is not absent");
  CHECK_MESSAGE(!life.users().find("a"), "one that is newer may be had from another node");
  CHECK(life.engine->figures().damaged == 1);
}

TEST_CASE("engine scrub: slices go over every record once") {
  Life life(0);
  life.fill(300);
  must(life.engine->checkpoint());
  auto& users = static_cast<EngineCollection&>(life.users());
  EngineCollection::Scrubbed done;
  std::string from;
  int slices = 1;
  while (must(users.scrub(from, 100, done)))
    ++slices;
  CHECK(done.records == 301);
  CHECK(slices > 50);
}

TEST_CASE("damaged keys: each is told once, and there is an end to how many") {
  DamagedKeys keys;
  CHECK(keys.none());
  CHECK(keys.note("a"));
  CHECK_FALSE(keys.note("a"));
  CHECK(keys.take() == Keys{"a"});
  CHECK(keys.take().empty());
  CHECK_FALSE(keys.resolve("b"));
  for (std::size_t i = 0; i < 2 * DamagedKeys::keys_max; ++i)
    keys.note("k" + std::to_string(i));
  CHECK(keys.size() == DamagedKeys::keys_max);
  CHECK(keys.resolve("a"));
  CHECK_FALSE(keys.resolve("a"));
  CHECK(keys.note("a"));
  CHECK(keys.take().size() == DamagedKeys::keys_max);
}

}  // namespace
}  // namespace dhrt::test
