// Slow disks, full disks, dead disks, and too little memory.
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <thread>

#include "storage/base/system_clock.h"
#include "tests/storage/engine_life.h"
#include "tests/storage/small_disk.h"

namespace dhrt::test {
namespace {

// Syncs wait here until they are let through.
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
  void await_arrivals(int arrivals) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= arrivals; });
  }
  void let_through(int syncs) {
    const std::lock_guard lock(mutex_);
    open_ += syncs;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0;
  int open_ = 0;
};

struct Full {
  std::unique_ptr<Engine> engine;
  Collection* users;
  std::uint64_t written = 0;

  explicit Full(const EngineOptions& options)
      : engine(open_engine(options)), users(&opened(engine->store(0), "users", false)) {}

  Store& store() { return engine->store(0); }
  Result<Position> set(const std::string& key, const std::string& value) {
    const Origin origin = own_origin();
    return store().update(
        *users, HashedKey(key), Store::Joins::seen, [&](const RecordView*, RecordView& put) {
          put.dot = {origin, users->last_sequence(origin) + 1};
          put.version = {(noon << hlc_counter_bits) + put.dot.sequence, origin.node};
          put.value = value;
          return true;
        });
  }
  // Writes until it is refused, at most so often; the refusal.
  Status fill(int writes, std::size_t bytes) {
    for (int i = 0; i < writes; ++i) {
      const auto position = set("f" + std::to_string(++written), std::string(bytes, 'v'));
      if (!position) {
        --written;
        return tl::unexpected(position.error());
      }
      store().commit();
      // However slow the disk is, answers come now and then.
      if (i % 64 == 0) must(store().drain());
      store().collect();
    }
    return {};
  }
};

// 100 KB beside the files, which wait at the gate.
EngineOptions little_room(const TemporaryDirectory& directory, Gate& gate) {
  auto options = engine_options(directory.path());
  options.checkpoint_bytes = 10'000;
  options.unflushed_max = 100'000;
  options.before_checkpoint = gate.hook();
  return options;
}

TEST_CASE("engine limits: nothing is durable before it is synced") {
  const TemporaryDirectory directory;
  Gate gate;
  auto options = engine_options(directory.path());
  options.before_sync = gate.hook();
  Full bench(options);
  Collection& fleeting = opened(bench.store(), "fleeting", true);
  must(bench.set("a", "1"));
  bench.store().commit();
  gate.await_arrivals(1);
  must(bench.set("a", "2"));
  const Position last = must(bench.store().append(fleeting, batch_of({put("a", "1", {here, 1})})));
  bench.store().commit();
  CHECK(bench.store().collect() == 0);
  CHECK(bench.users->durable().empty());
  CHECK_MESSAGE(must(bench.users->find("a"))->value == "2",
                "readers of this process need not wait");
  CHECK(must(bench.users->walk({})).records.empty());
  CHECK_MESSAGE(fleeting.durable().empty(), "memory waits for its turn among the others");

  gate.let_through(1000);
  must(bench.store().drain());
  CHECK(bench.store().collect() == last);
  CHECK(bench.users->durable() == context_of(own_origin(), 1, 2));
  CHECK(fleeting.durable() == context_of(here, 1, 1));
}

TEST_CASE("engine limits: writes are refused when too much waits for the files") {
  const TemporaryDirectory directory;
  Gate gate;
  Full bench(little_room(directory, gate));
  const Status refused = bench.fill(10'000, 100);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::busy);
  CHECK(refused.error().message.find("--unflushed-max") != std::string::npos);
  CHECK(bench.engine->figures().unflushed_bytes >= 100'000);
  CHECK(bench.engine->figures().writes_refused == 1);
  CHECK(bench.engine->figures().throttled_milliseconds > 0);
  CHECK(must(bench.users->find("f1"))->value.size() == 100);

  gate.let_through(1'000'000);
  must(bench.engine->checkpoint());
  bench.store().commit();
  must(bench.fill(10, 100));
  must(bench.engine->stop());
  CHECK(bench.users->counts().live == bench.written);
}

TEST_CASE("engine limits: who can wait does while the files do not keep up") {
  const TemporaryDirectory directory;
  Gate gate;
  Full bench(little_room(directory, gate));
  const auto written = [&] {
    must(bench.store().drain());
    const Position last = must(bench.set("last", "v"));
    bench.store().commit();
    const Time patience = monotonic_now() + Duration{10'000};
    while (bench.store().collect() < last && monotonic_now() < patience)
      must(bench.store().drain());
    return bench.store().collect();
  };
  const Time begin = monotonic_now();
  must(bench.fill(100, 100));
  const Position few = written();
  CHECK(bench.store().collect_patiently() == few);
  must(bench.fill(600, 100));
  const Position many = written();
  CHECK(many > few);
  const Position patient = bench.store().collect_patiently();
  // It does not wait for ever, and this machine may be that slow.
  if (monotonic_now() - begin < Duration{4000}) CHECK(patient == few);

  gate.let_through(1'000'000);
  must(bench.engine->checkpoint());
  CHECK(bench.store().collect_patiently() == many);
  must(bench.engine->stop());
}

TEST_CASE("engine limits: a full disk refuses writes until there is room again") {
  const SmallDisk disk("24m");
  auto options = engine_options(disk.path());
  options.log_segment_bytes = std::size_t{2} << 20;
  Full bench(options);
  must(bench.fill(10, 1000));
  const std::string ballast = disk.file("ballast");
  {
    // All but a little is taken by somebody else.
    std::ofstream file(ballast);
    const std::string block(4096, 'x');
    while (file.write(block.data(), 4096).flush()) {
    }
  }
  const Status refused = bench.fill(100'000, 1000);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::full);
  CHECK(refused.error().message.find("disk full") != std::string::npos);
  CHECK_MESSAGE(bench.store().health(), "a full disk is not a dead one");
  CHECK(must(bench.users->find("f1"))->value.size() == 1000);
  CHECK_MESSAGE(!bench.engine->checkpoint(), "nor can the files grow");

  std::filesystem::remove(ballast);
  // It recovers by itself, though it does not try at every write.
  const Time patience = monotonic_now() + Duration{10'000};
  while (!bench.fill(1, 1000) && monotonic_now() < patience) {
  }
  must(bench.fill(100, 1000));
  must(bench.engine->checkpoint());
  must(bench.engine->stop());
  bench.engine.reset();
  ++options.run;
  const Full again(options);
  CHECK(again.users->counts().live == bench.written);
}

TEST_CASE("engine limits: after a failed write nothing is durable, and reads go on") {
  SmallDisk disk("24m");
  auto options = engine_options(disk.path());
  Full bench(options);
  must(bench.fill(10, 100));
  const Context safe = bench.users->durable();
  {
    // The next write of the log goes beyond what this process may write.
    const FileSizeLimit limit(4096);
    must(bench.set("b", std::string(8000, 'x')));
    bench.store().commit();
    bench.store().collect();
    CHECK(!bench.store().health());
  }
  const auto refused = bench.set("c", "1");
  REQUIRE(!refused);
  CHECK(refused.error().message == bench.store().health().error().message);
  CHECK(!bench.store().drain());
  bench.store().collect();
  CHECK(bench.users->durable() == safe);
  CHECK(must(bench.users->find("f1"))->value.size() == 100);
  CHECK(must(bench.users->find("b"))->value.size() == 8000);
  CHECK(!bench.store().maintain(noon, 10));
  CHECK(!bench.engine->checkpoint());
  CHECK(!bench.engine->stop());
  bench.engine.reset();
  ++options.run;
  const Full again(options);
  CHECK(again.users->counts().live == 10);
}

TEST_CASE("engine limits: memory without eviction refuses writes, but not deletes") {
  auto options = engine_options("");
  options.memory_limit = 100'000;
  Full bench(options);
  const Status refused = bench.fill(10'000, 100);
  REQUIRE(!refused);
  CHECK(refused.error().code == ErrorCode::full);
  CHECK(refused.error().message.find("raise --memory-limit or set --evict") != std::string::npos);
  CHECK(bench.engine->figures().evictions == 0);
  set_own(bench.store(), *bench.users, "f1", "", own_origin(), true);
  bench.store().commit();
  must(bench.set("f1", "v"));
}

TEST_CASE("engine limits: memory with eviction forgets what nobody asks for") {
  for (const Eviction eviction : {Eviction::lru, Eviction::s3fifo}) {
    auto options = engine_options("");
    options.memory_limit = 400'000;
    options.memory_eviction = eviction;
    Full bench(options);
    for (int round = 0; round < 40; ++round) {
      must(bench.fill(100, 400));
      for (int i = 1; i <= 20; ++i)
        static_cast<void>(must(bench.users->find("f" + std::to_string(i))));
    }
    const EngineFigures figures = bench.engine->figures();
    CHECK(figures.evictions > 1000);
    CHECK(figures.records_in_memory == bench.users->counts().live);
    CHECK(bench.users->counts().live < 1000);
    CHECK(bench.users->counts().tombstones == 0);
    CHECK(must(bench.users->scan({.now = noon})).records.size() == bench.users->counts().live);
    int popular = 0;
    for (int i = 1; i <= 20; ++i)
      popular += must(bench.users->find("f" + std::to_string(i))) ? 1 : 0;
    CHECK(popular >= 15);
  }
}

TEST_CASE("engine limits: deadlines in a file fall due in their time, whenever they came there") {
  EngineLife life;
  life.options.cache_bytes = 0;
  life.engine.reset();
  life.engine = open_engine(life.options);
  const auto put_until = [&](const std::string& key, std::uint64_t number, WallMilliseconds at) {
    KeyedRecord entry = put(key, "v", {here, number});
    entry.record.deadline = at;
    must(life.store().append(life.users(), batch_of({entry})));
    life.settle();
    must(life.engine->checkpoint());
  };
  const auto buried_at = [&](WallMilliseconds now) {
    while (life.store().maintain(now, 100)) {
    }
    life.settle();
    return life.users().counts().tombstones;
  };
  put_until("later", 1, noon + 1000);
  CHECK(buried_at(noon) == 0);
  put_until("sooner", 2, noon + 500);
  CHECK(buried_at(noon + 499) == 0);
  CHECK(buried_at(noon + 500) == 1);
  CHECK(buried_at(noon + 999) == 1);
  CHECK(buried_at(noon + 1000) == 2);
}

TEST_CASE("engine limits: many deadlines at once fall due in small steps") {
  auto options = engine_options("");
  Full bench(options);
  constexpr std::uint64_t records = 20'000;
  for (std::uint64_t i = 1; i <= records; ++i) {
    KeyedRecord entry = put("k" + std::to_string(i), "v", {here, i});
    entry.record.deadline = noon + 1;
    must(bench.store().append(*bench.users, batch_of({entry})));
  }
  must(bench.store().drain());
  CHECK(!bench.store().maintain(noon, 100));
  std::uint64_t before = 0;
  while (bench.store().maintain(noon + 1, 100)) {
    const std::uint64_t tombstones = bench.users->counts().tombstones;
    CHECK(tombstones - before <= 100);
    before = tombstones;
  }
  CHECK(bench.users->counts().tombstones == records);
  CHECK(bench.engine->figures().expired == records);
}

}  // namespace
}  // namespace dhrt::test
