#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <mutex>

#include "storage/base/random.h"
#include "storage/lmdb_env.h"
#include "storage/lmdb_format.h"
#include "tests/storage/small_disk.h"
#include "tests/storage/store_suite.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {
namespace {

std::unique_ptr<Store> open_at(const std::string& directory, std::size_t map_bytes = 1U << 20) {
  return must(open_lmdb_store({.directory = directory, .map_bytes_initial = map_bytes}));
}

Context one(const Origin& origin, std::uint64_t sequence) {
  return context_of(origin, sequence, sequence);
}

// A disk that is as slow as the test wants: groups wait at the gate.
class Gate {
 public:
  std::function<void()> hook() {
    return [this] {
      std::unique_lock lock(mutex_);
      ++arrived_;
      changed_.notify_all();
      changed_.wait(lock, [this] { return open_ > 0; });
      --open_;
    };
  }
  // Waits until that many groups came to the gate since the start.
  void await_groups(int groups) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= groups; });
  }
  void let_through(int groups) {
    const std::lock_guard lock(mutex_);
    open_ += groups;
    changed_.notify_all();
  }
  int arrived() {
    const std::lock_guard lock(mutex_);
    return arrived_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  int open_ = 0;
};

TEST_CASE("LMDB store: does what every store does") {
  const TemporaryDirectory directory;
  run_store_suite(
      {.make = [&, n = 0]() mutable { return open_at(directory.file(std::to_string(++n))); },
       .memory_collections = false});
}

TEST_CASE("LMDB store with collections in memory: does what every store does") {
  const TemporaryDirectory directory;
  run_store_suite(
      {.make = [&, n = 0]() mutable { return open_at(directory.file(std::to_string(++n))); },
       .memory_collections = true});
}

TEST_CASE("LMDB store: a reopened store has everything that was durable") {
  const TemporaryDirectory directory;
  std::string before;
  {
    Bench bench(open_at(directory.path()), false);
    KeyedRecord mortal = put("mortal", "v", {here, 1});
    mortal.record.deadline = noon + 10;
    bench.append(batch_of({mortal, put("a", "1", {here, 2}), put("b", "2", {there, 1})}));
    bench.append(batch_of({tombstone("b", {here, 3})}));
    bench.append({.puts = {}, .seen = one(there, 9), .flushed = one(there, 1)});
    opened(*bench.store, "others", false, 7);
    opened(*bench.store, "transient", true);
    bench.sync();
    before = describe(*bench.users);
  }
  const auto store = open_at(directory.path());
  Collection* users = store->find("users");
  REQUIRE(users != nullptr);
  CHECK(describe(*users) == before);
  CHECK(users->durable() == users->seen());
  CHECK(users->highest_hlc() == (noon << hlc_counter_bits) + 3);
  REQUIRE(store->find("others") != nullptr);
  CHECK(store->find("others")->ref() == CollectionRef{"others", 7});
  CHECK(store->find("transient") == nullptr);
  CHECK(!store->maintain(noon + 5, 100));
  CHECK(must(users->find("mortal"))->value == "v");
  CHECK(!store->maintain(noon + 10, 100));
  CHECK_MESSAGE(must(users->find("mortal"))->deleted, "its deadline survived as well");
}

TEST_CASE("LMDB store: what was not committed is lost, and nothing else") {
  const TemporaryDirectory directory;
  {
    Bench bench(open_at(directory.path()), false);
    bench.set("a", "1", {here, 1});
    bench.sync();
    bench.set("a", "2", {here, 2});
    bench.set("b", "2", {here, 3});
    CHECK(bench.value("a") == "2");
  }
  Bench bench(open_at(directory.path()), false);
  CHECK(bench.value("a") == "1");
  CHECK(bench.value("b") == "(none)");
  CHECK(bench.users->seen() == one(here, 1));
  CHECK(bench.users->counts().live == 1);
}

TEST_CASE("LMDB store: nothing is durable before it is synced, and groups form while it is") {
  const TemporaryDirectory directory;
  Gate gate;
  std::atomic<int> wakes{0};
  Bench bench(must(open_lmdb_store({.directory = directory.path(),
                                    .wake = [&wakes] { ++wakes; },
                                    .map_bytes_initial = 1U << 20,
                                    .before_sync = gate.hook()})),
              false);
  Collection& fleeting = opened(*bench.store, "fleeting", true);
  const Position first = bench.append(batch_of({put("a", "1", {here, 1})}));
  bench.store->commit();
  gate.await_groups(1);
  Position last = 0;
  for (std::uint64_t i = 2; i <= 5; ++i) {
    last = bench.append(batch_of({put("a", std::to_string(i), {here, i})}));
    bench.store->commit();
  }
  last = must(bench.store->append(fleeting, batch_of({put("a", "1", {here, 1})})));
  bench.store->commit();
  CHECK(bench.store->collect() == 0);
  CHECK(bench.users->durable().empty());
  CHECK_MESSAGE(bench.value("a") == "5", "readers of this process need not wait");
  CHECK(bench.walk({}).empty());

  gate.let_through(1);
  gate.await_groups(2);
  CHECK(bench.store->collect() == first);
  CHECK(bench.users->durable() == one(here, 1));
  CHECK_MESSAGE(fleeting.durable().empty(), "memory waits for its turn among the others");
  CHECK(must(bench.users->walk({})).durable == one(here, 1));
  CHECK(bench.value("a") == "5");

  gate.let_through(1);
  must(bench.store->drain());
  CHECK(bench.store->collect() == last);
  CHECK(bench.users->durable() == context_of(here, 1, 5));
  CHECK(fleeting.durable() == one(here, 1));
  CHECK_MESSAGE(gate.arrived() == 2, "the four later batches went as one group");
  bench.store.reset();
  CHECK_MESSAGE(wakes == 2, "once per group; the last may come after drain()");
}

TEST_CASE("LMDB store: a collection may be erased and made again while it is being written") {
  const TemporaryDirectory directory;
  Gate gate;
  {
    Bench bench(must(open_lmdb_store({.directory = directory.path(),
                                      .map_bytes_initial = 1U << 20,
                                      .before_sync = gate.hook()})),
                false);
    bench.set("a", "old", {here, 1});
    bench.store->commit();
    gate.await_groups(1);
    bench.users = &opened(*bench.store, "users", false, 2);
    CHECK(bench.value("a") == "(none)");
    bench.set("a", "new", {here, 1});
    gate.let_through(1000);
    bench.sync();
    CHECK(bench.value("a") == "new");
  }
  const auto store = open_at(directory.path());
  CHECK(must(store->find("users")->find("a"))->value == "new");
  CHECK(store->find("users")->ref().generation == 2);
}

TEST_CASE("LMDB store: the map grows by itself") {
  const TemporaryDirectory directory;
  Bench bench(open_at(directory.path(), 1), false);
  std::uint64_t sequence = 0;
  for (int batch = 0; batch < 20; ++batch) {
    std::vector<KeyedRecord> puts;
    for (int i = 0; i < 200; ++i) {
      ++sequence;
      puts.push_back(
          put("key" + std::to_string(sequence), std::string(200, 'v'), {here, sequence}));
    }
    bench.append(batch_of(std::move(puts)));
    bench.store->commit();
    CHECK_MESSAGE(bench.value("key1").size() == 200, "readers go on while it grows");
  }
  constexpr std::size_t large = std::size_t{16} << 20;
  for (int i = 0; i < 3; ++i) {
    ++sequence;
    bench.set("large" + std::to_string(i), std::string(large, 'x'), {here, sequence});
    bench.sync();
  }
  CHECK(bench.users->counts().live == 4003);
  CHECK(bench.value("key4000").size() == 200);
  CHECK(bench.value("large2").size() == large);
  const WalkSlice slice = must(bench.users->walk({.excluded = context_of(here, 1, 4000)}));
  CHECK_MESSAGE(slice.records.size() == 1, "a slice holds one record, however large");
  CHECK(slice.next == Dot{here, 4002});
}

void replace_in_file(const std::string& path, const std::string& from, const std::string& to) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::size_t place = bytes.find(from);
  REQUIRE(place != std::string::npos);
  while (bytes.find(from) != std::string::npos)
    bytes.replace(bytes.find(from), from.size(), to);
  file.seekp(0);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
}

TEST_CASE("LMDB store: a damaged value is told apart from an intact one") {
  const TemporaryDirectory directory;
  {
    Bench bench(open_at(directory.path()), false);
    bench.set("a", "precious", {here, 1});
    bench.set("b", "intact", {here, 2});
    bench.sync();
  }
  replace_in_file(directory.file("users.mdb"), "precious", "prexious");
  Bench bench(open_at(directory.path()), false);
  const auto damaged = bench.find("a");
  REQUIRE(damaged.has_value());
  CHECK(damaged->damaged);
  CHECK(damaged->value.empty());
  CHECK(damaged->dot == Dot{here, 1});
  CHECK(bench.value("b") == "intact");
  CHECK_MESSAGE(must(bench.users->walk({})).records.size() == 2, "it still counts as held");

  bench.append({.puts = {put("a", "precious", {here, 1})}, .seen = {}, .flushed = {}});
  bench.sync();
  CHECK(bench.value("a") == "precious");
  CHECK(bench.walk({}) == "a,b");
}

TEST_CASE("LMDB store: files that it cannot use are refused with what to do") {
  const TemporaryDirectory directory;
  const std::string file = directory.file("users.mdb");
  const auto open_env = [&] {
    return must(LmdbEnv::create({.path = file, .map_bytes_initial = 1}, [](WriteTxn&) {}));
  };
  const auto refusal = [&]() -> std::string {
    const auto store = open_lmdb_store({.directory = directory.path()});
    if (store) return "(opened)";
    CHECK(store.error().code == ErrorCode::corrupt);
    return store.error().message;
  };
  const auto mentions = [](const std::string& message, std::vector<std::string> words) {
    CAPTURE(message);
    for (const std::string& word : words) {
      CAPTURE(word);
      CHECK(message.find(word) != std::string::npos);
    }
  };
  SUBCASE("a newer format") {
    must(open_env()->write([](WriteTxn& txn) {
      txn.put(LmdbTable::meta, meta_key::format, Bytes("\x03\0\0\0", 4));
      txn.put(LmdbTable::meta, meta_key::ref, encode_ref({"users", 1}));
    }));
    mentions(refusal(), {file, "format 3", "up to 2", "later"});
  }
  SUBCASE("no format") {
    open_env();
    mentions(refusal(), {file, "does not say its format"});
  }
  SUBCASE("another collection's file") {
    opened(*open_at(directory.path()), "users", false);
    std::filesystem::rename(file, directory.file("people.mdb"));
    mentions(refusal(), {"people.mdb", "'users'"});
  }
  SUBCASE("a context that does not decode") {
    opened(*open_at(directory.path()), "users", false);
    auto env = must(LmdbEnv::open({.path = file, .map_bytes_initial = 1}));
    must(env->write([](WriteTxn& txn) { txn.put(LmdbTable::meta, meta_key::seen, "\x05"); }));
    env.reset();
    mentions(refusal(), {file, "'ctx or flushed'", "backup"});
  }
  SUBCASE("not an LMDB file") {
    std::ofstream(file) << std::string(8192, 'x');
    mentions(refusal(), {file, "backup"});
  }
}

TEST_CASE("LMDB store: what an interrupted creation left behind is cleared away") {
  const TemporaryDirectory directory;
  std::ofstream(directory.file("users.mdb")).close();
  std::ofstream(directory.file("notes.txt")) << "not ours";
  const auto store = open_at(directory.path());
  CHECK(store->collections().empty());
  CHECK(!std::filesystem::exists(directory.file("users.mdb")));
  CHECK(std::filesystem::exists(directory.file("notes.txt")));
}

TEST_CASE("LMDB store: a directory that cannot be used is refused with what to do") {
  const TemporaryDirectory directory;
  SUBCASE("it is below a file") {
    std::ofstream(directory.file("file")).close();
    const auto store = open_lmdb_store({.directory = directory.file("file/data")});
    REQUIRE(!store);
    CHECK(store.error().code == ErrorCode::io);
    CHECK(store.error().message.find(directory.file("file/data")) != std::string::npos);
    CHECK(store.error().message.find("can write to") != std::string::npos);
  }
  SUBCASE("another store has it") {
    const auto first = open_at(directory.path());
    const auto second = open_lmdb_store({.directory = directory.path()});
    REQUIRE(!second);
    CHECK(second.error().code == ErrorCode::busy);
    CHECK(second.error().message.find("another process") != std::string::npos);
  }
}

TEST_CASE("LMDB store: after the first failed write nothing is durable, and reads go on") {
  const TemporaryDirectory directory;
  Bench bench(open_at(directory.path()), false);
  bench.set("a", "1", {here, 1});
  const Position safe = bench.sync();
  {
    const FileSizeLimit limit(200'000);
    bench.set("b", std::string(4'000'000, 'x'), {here, 2});
    CHECK(!bench.store->drain());
  }
  CHECK(!bench.store->health());
  CHECK(bench.store->health().error().message.find("users.mdb") != std::string::npos);
  const auto refused = bench.store->append(*bench.users, batch_of({put("c", "1", {here, 3})}));
  REQUIRE(!refused);
  CHECK(refused.error().message == bench.store->health().error().message);
  CHECK(!bench.store->drain());
  CHECK(bench.store->collect() == safe);
  CHECK(bench.users->durable() == one(here, 1));
  CHECK(bench.value("a") == "1");
  CHECK(bench.value("b").size() == 4'000'000);
  CHECK(!bench.store->maintain(noon, 10));
}

TEST_CASE("LMDB store: a batch that says nothing new is durable without a sync") {
  const TemporaryDirectory directory;
  std::atomic<int> groups{0};
  Bench bench(must(open_lmdb_store({.directory = directory.path(),
                                    .map_bytes_initial = 1U << 20,
                                    .before_sync = [&groups] { ++groups; }})),
              false);
  bench.set("a", "1", {here, 1});
  bench.sync();
  const Position repeated = bench.append({.puts = {}, .seen = one(here, 1), .flushed = {}});
  CHECK(bench.sync() == repeated);
  CHECK(groups == 1);
}

TEST_CASE("LMDB store: records that a peer should not have sent are refused or kept, never fatal") {
  const TemporaryDirectory directory;
  Bench bench(open_at(directory.path()), false);
  KeyedRecord damaged = put("damaged", "", {there, 1});
  damaged.record.damaged = true;
  KeyedRecord timed_tombstone = tombstone("timed", {there, 2});
  timed_tombstone.record.deadline = noon;
  bench.append(batch_of({damaged, timed_tombstone}));
  CHECK(bench.find("damaged")->damaged);
  bench.sync();
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
  bench.set("x", "w", {there, 5});
  bench.sync();
  CHECK(bench.scan({}) == "damaged,x,y");
  CHECK(bench.walk({.excluded = context_of(there, 1, 3)}) == "y,x");
}

TEST_CASE("LMDB store: keys that LMDB cannot hold are refused, and the longest is not") {
  const TemporaryDirectory directory;
  Bench bench(open_at(directory.path()), false);
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
  CHECK(bench.value(longest.key) == "v");
  bench.maintain_all(noon + 1);
  CHECK(bench.value(longest.key) == "(deleted)");
}

TEST_CASE("LMDB store: agrees with the memory store, whatever happens, across restarts") {
  for (std::uint64_t seed = 1; seed <= 15; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const TemporaryDirectory directory;
    const auto model = make_memory_store({});
    Collection& expected = opened(*model, "users", false);
    auto store = open_at(directory.path(), 1);
    Collection* users = &opened(*store, "users", false);
    std::uint64_t sequence = 0;
    WallMilliseconds now = noon;
    for (int step = 0; step < 150; ++step) {
      Batch batch;
      for (std::uint64_t puts = random.below(4); puts > 0; --puts) {
        ++sequence;
        const std::string key = "k" + std::to_string(random.below(30));
        const Dot dot{random.chance(0.3) ? there : here, sequence};
        KeyedRecord entry = random.chance(0.2)
                                ? tombstone(key, dot)
                                : put(key, std::string(random.below(3000), 'v'), dot);
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
      now += random.below(3);
      if (random.chance(0.1)) {
        // Deadlines and sweeps first, so that both have done all of it.
        for (bool more = true; more;) {
          more = store->maintain(now, 7);
          must(store->drain());
          store->collect();
          more = model->maintain(now, 7) || more;
        }
        while (store->maintain(now, 7))
          must(store->drain());
        must(store->drain());
        store->collect();
        REQUIRE(describe(*users) == describe(expected));
        std::uint64_t tombstones = 0;
        const auto records = must(users->walk({})).records;
        for (const KeyedRecord& entry : records)
          tombstones += entry.record.deleted ? 1 : 0;
        CHECK(users->counts().tombstones == tombstones);
        CHECK(users->counts().live == records.size() - tombstones);
      }
      if (random.chance(0.05)) {
        must(store->drain());
        store.reset();
        store = open_at(directory.path(), 1);
        users = store->find("users");
        REQUIRE(users != nullptr);
      }
    }
  }
}

}  // namespace
}  // namespace dhrt::test
