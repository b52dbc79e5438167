// Tombstones that every node has go, from memory and from the files, and what they have deleted
// stays away.
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <future>
#include <limits>
#include <map>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "storage/base/random.h"
#include "storage/collection_file.h"
#include "storage/lmdb_env.h"
#include "storage/verify.h"
#include "storage/writer.h"
#include "tests/storage/copied_files.h"
#include "tests/storage/deleting_life.h"

namespace dhrt::test {
namespace {

using Life = DeletingLife;

std::string range_of(Collection& users) {
  std::string text;
  for (const KeyedRecord& entry : must(users.range({})).records)
    text += (entry.record.deleted ? "-" : "") + entry.key + " ";
  return text;
}

// What is in the files and the logs of a node that ended like this.
std::string left_in(const std::string& directory, std::uint32_t run, unsigned loops = 1) {
  EngineStore store(open_engine(engine_options(directory, run, loops)));
  Collection* users = store.find("users");
  REQUIRE(users != nullptr);
  const CollectionCounts counts = users->counts();
  std::string text = range_of(*users);
  const auto dead = std::ranges::count(text, '-');
  CHECK(counts.tombstones == static_cast<std::uint64_t>(dead));
  CHECK(counts.live == static_cast<std::uint64_t>(std::ranges::count(text, ' ') - dead));
  return text;
}

TEST_CASE("engine forget: what was deleted stays away, wherever the process ends") {
  Life life;
  const TemporaryDirectory copies;
  int copy = 0;
  const auto ended = [&] {
    const std::string at = copies.file(std::to_string(++copy));
    copy_as_they_are(life.directory.path(), at);
    return left_in(at, life.options.run + 1);
  };
  life.set("a", "old");
  life.set("b", "stays");
  SUBCASE("when the record is in a file") {
    life.settle();
    must(life.engine->checkpoint());
  }
  SUBCASE("when it is in the logs alone") {}
  life.erase("a");
  life.settle();
  CHECK(ended() == "-a b ");
  life.allow();
  CHECK_MESSAGE(life.tombstones() == 1, "it is not forgotten before it is in the file");
  CHECK(ended() == "-a b ");
  must(life.engine->checkpoint());
  CHECK(life.tombstones() == 0);
  CHECK(life.value("a") == "(none)");
  CHECK(ended() == "b ");
  life.crash();
  CHECK(life.value("a") == "(none)");
  CHECK_MESSAGE(life.users().forgotten().contains(Dot{own_origin(), 3}), "a start knows of it");
  CHECK(life.users().counts().live == 1);
  CHECK(life.tombstones() == 0);
  must(life.engine->checkpoint());
  CHECK(ended() == "b ");
  must(life.engine->stop());
  CHECK(ended() == "b ");
  life.engine.reset();
  const VerifyReport report =
      must(verify_directory(life.directory.path(), [](const VerifyProgress&) { return true; }));
  CHECK(report.sound());
}

// The one danger: a log behind the cut may have what a tombstone has replaced.
TEST_CASE("engine forget: a tombstone stays while a log that a start reads has what it deleted") {
  Life life;
  must(life.engine->stop());
  life.options.loops = 2;
  life.crash();
  life.users();
  life.settle();
  // Loop 1 does not come to the end of its turn.
  life.set("a", "old", 1);
  life.erase("a", 0);
  must(life.store(0).drain());
  life.store(0).collect();
  life.allow();
  auto checkpoint = std::async(std::launch::async, [&] { return life.engine->checkpoint(); });
  CHECK_MESSAGE(checkpoint.wait_for(std::chrono::milliseconds(50)) == std::future_status::timeout,
                "it waits for the end of the turn");
  life.store(1).commit();
  must(checkpoint.get());
  CHECK(life.value("a") == "(deleted)");
  const TemporaryDirectory copies;
  copy_as_they_are(life.directory.path(), copies.file("now"));
  CHECK_MESSAGE(left_in(copies.file("now"), life.options.run + 1, 2) == "-a ",
                "or the log of loop 1 would bring it back");
  life.settle();
  must(life.engine->checkpoint());
  CHECK(life.value("a") == "(none)");
  life.crash();
  CHECK(life.value("a") == "(none)");
  CHECK(life.tombstones() == 0);
}

TEST_CASE("engine forget: what another node forgot is known as long as that it was seen") {
  Life life;
  must(life.store().note_forgotten(life.users(), context_of(there, 1, 7), 12'345));
  must(life.store().append(life.users(),
                           {.puts = {}, .seen = context_of(there, 1, 9), .flushed = {}}));
  life.settle();
  for (const bool checkpointed : {false, true}) {
    CAPTURE(checkpointed);
    if (checkpointed) must(life.engine->checkpoint());
    life.crash();
    CHECK(life.users().seen() == context_of(there, 1, 9));
    CHECK(life.users().forgotten() == context_of(there, 1, 7));
    CHECK(life.users().forgotten_hlc() == 12'345);
  }
}

TEST_CASE("engine forget: the cluster may take back what it allowed") {
  Life life;
  life.erase("a");
  life.erase("b");
  life.settle();
  life.allow();
  life.store().forget_tombstones(life.users(), context_of(own_origin(), 2, 2));
  must(life.engine->checkpoint());
  CHECK(range_of(life.users()) == "-a ");
  CHECK(!life.users().forgotten().contains(Dot{own_origin(), 1}));
}

TEST_CASE("engine forget: what is written meanwhile is counted once") {
  struct Case {
    const char* why;
    bool cached;
    bool blind;
    bool deletes;
  };
  for (const Case& c : {
           Case{"over what is in memory", true, false, false},
           Case{"over what is in the file alone", false, false, false},
           Case{"blindly", false, true, false},
           Case{"one more tombstone", true, false, true},
           Case{"one more tombstone, blindly", false, true, true},
       }) {
    CAPTURE(c.why);
    Life life;
    must(life.engine->stop());
    if (!c.cached) life.options.cache_bytes = 0;
    life.crash();
    life.set("a", "1");
    life.erase("b");
    life.erase("c");
    life.settle();
    must(life.engine->checkpoint());
    life.allow();
    Store::Terms terms(Store::Joins::seen);
    if (c.blind) terms.unread_hlc_max = std::numeric_limits<std::uint64_t>::max();
    set_own(life.store(), life.users(), "b", c.deletes ? "" : "2", own_origin(life.options.run),
            c.deletes, terms);
    must(life.store().drain());
    life.store().collect();
    must(life.engine->checkpoint());
    CHECK(life.users().counts().live == (c.deletes ? 1 : 2));
    CHECK(life.tombstones() == (c.deletes ? 1 : 0));
    CHECK(range_of(life.users()) == (c.deletes ? "a -b " : "a b "));
    life.stop_and_start();
    CHECK(life.users().counts().live == (c.deletes ? 1 : 2));
    CHECK(life.tombstones() == (c.deletes ? 1 : 0));
  }
}

TEST_CASE("engine forget: a pull does not bring back what was seen and is gone") {
  Life life;
  HybridClock clock;
  RecordWriter writer(life.store(), clock, own_origin());
  const KeyedRecord old = put("a", "old", {there, 1});
  must(writer.push(life.users(), views_of({old}), noon));
  must(writer.push(life.users(), views_of({tombstone("a", {there, 2})}), noon));
  life.settle();
  life.allow();
  must(life.engine->checkpoint());
  CHECK(life.value("a") == "(none)");
  must(writer.pull(life.users(), {old}, noon));
  must(writer.push(life.users(), views_of({old}), noon));
  CHECK(life.value("a") == "(none)");
  must(writer.pull(life.users(), {put("a", "new", {there, 3})}, noon));
  CHECK(life.value("a") == "new");
}

TEST_CASE("engine forget: a file of an earlier build learns where its tombstones are") {
  Life life;
  for (int i = 0; i < 3000; ++i)
    i % 3 == 0 ? life.erase("k" + std::to_string(i)) : life.set("k" + std::to_string(i), "v");
  life.settle();
  must(life.engine->stop());
  life.engine.reset();
  {
    const auto env = must(LmdbEnv::open({.path = life.path()}));
    must(env->write([](WriteTxn& txn) {
      txn.clear(LmdbTable::expiry);
      txn.remove(LmdbTable::meta, meta_key::graves);
    }));
  }
  life.crash();
  CHECK(life.tombstones() == 1000);
  life.allow();
  // It is gone through in the background.
  for (int rounds = 0; life.tombstones() > 0 && rounds < 2000; ++rounds)
    must(life.engine->checkpoint());
  CHECK(life.tombstones() == 0);
  CHECK(life.users().counts().live == 2000);
  life.stop_and_start();
  CHECK(life.tombstones() == 0);
  CHECK(life.users().counts().live == 2000);
}

TEST_CASE("engine forget: a live record is not taken for a tombstone") {
  Life life;
  life.set("a", "precious");
  life.erase("b");
  life.settle();
  must(life.engine->stop());
  life.engine.reset();
  {
    // Where the tombstone was there is a live record now, under its dot.
    const auto env = must(LmdbEnv::open({.path = life.path()}));
    OriginTable origins;
    KeyedRecord live = put("b", "v", {own_origin(), 2});
    std::string encoded;
    must(encode_record(encoded, "b", live.record, origins, {}));
    must(env->write([&](WriteTxn& txn) { txn.put(LmdbTable::data, "b", encoded); }));
  }
  life.crash();
  life.allow();
  must(life.engine->checkpoint());
  CHECK(life.value("a") == "precious");
  CHECK(life.value("b") == "v");
}

TEST_CASE("engine forget: a large delete gives its room back") {
  Life life;
  constexpr int keys = 60'000;
  const std::string value(100, 'v');
  const auto write_all = [&](bool deletes) {
    for (int i = 0; i < keys; ++i) {
      const std::string key = "key-" + std::to_string(i * 7919 % keys);
      deletes ? life.erase(key) : life.set(key, value);
      if (i % 1000 == 0) life.store().commit();
    }
    life.settle();
    must(life.engine->checkpoint());
  };
  write_all(false);
  write_all(true);
  CHECK(life.tombstones() == keys);
  CHECK(life.engine->figures().records_in_memory == keys);
  life.allow();
  must(life.engine->checkpoint());
  CHECK(life.tombstones() == 0);
  CHECK(life.engine->figures().records_in_memory == 0);
  CHECK(range_of(life.users()).empty());
  const std::uint64_t empty = life.engine->figures().file_bytes;
  write_all(false);
  CHECK_MESSAGE(life.engine->figures().file_bytes == empty, "the pages that it freed are used");
  life.stop_and_start();
  CHECK(life.users().counts().live == keys);
  CHECK(life.tombstones() == 0);
}

TEST_CASE("engine forget: in memory, in small steps, with what leads to it") {
  auto options = engine_options("");
  const auto engine = open_engine(options);
  Store& store = engine->store(0);
  Collection& users = opened(store, "users", true);
  const auto settle = [&] {
    must(store.drain());
    store.collect();
  };
  for (int i = 0; i < 1000; ++i)
    set_own(store, users, "k" + std::to_string(i), i % 2 == 0 ? "" : "v", own_origin(), i % 2 == 0);
  settle();
  CHECK(users.keeps_all());
  store.forget_tombstones(users, context_of(own_origin(), 1, 600));
  int steps = 0;
  while (store.maintain(noon, 8))
    ++steps;
  CHECK(steps > 30);
  CHECK(users.counts().tombstones == 200);
  CHECK(users.counts().live == 500);
  CHECK(engine->figures().records_in_memory == 700);
  CHECK(!must(users.find("k0")).has_value());
  CHECK(must(users.find("k602"))->deleted);
  CHECK(must(users.walk({})).records.size() == 700);
  CHECK(must(users.range({})).records.size() == 700);
  // One that came back is none.
  set_own(store, users, "k602", "v", own_origin());
  settle();
  store.forget_tombstones(users, users.durable());
  while (store.maintain(noon, 1000)) {
  }
  CHECK(users.counts().tombstones == 0);
  CHECK(users.counts().live == 501);
}

TEST_CASE("engine forget: those ahead of the clock do not hide those that are not") {
  const auto engine = open_engine(engine_options(""));
  Store& store = engine->store(0);
  Collection& users = opened(store, "users", true);
  constexpr std::uint64_t ahead = 20'000;  // Dozens per stripe.
  constexpr std::uint64_t past = 100;
  Batch batch;
  for (std::uint64_t i = 1; i <= ahead + past; ++i) {
    KeyedRecord grave = tombstone("k" + std::to_string(i), {there, i});
    if (i <= ahead) grave.record.version.hlc = 2 * noon << hlc_counter_bits;
    batch.puts.push_back(std::move(grave));
  }
  batch.seen = context_of(there, 1, ahead + past);
  must(store.append(users, std::move(batch)));
  must(store.drain());
  store.collect();
  store.forget_tombstones(users, {users.durable(), (noon + 1) << hlc_counter_bits});
  while (store.maintain(noon, 1000)) {
  }
  CHECK(users.counts().tombstones == ahead);
  CHECK(!must(users.find("k" + std::to_string(ahead + past))).has_value());
}

TEST_CASE("engine forget: what may be evicted proves nothing by being absent") {
  auto options = engine_options("");
  options.memory_limit = std::size_t{1} << 20;
  for (const Eviction eviction : {Eviction::none, Eviction::lru, Eviction::s3fifo}) {
    options.memory_eviction = eviction;
    const auto engine = open_engine(options);
    CHECK(opened(engine->store(0), "users", true).keeps_all() == (eviction == Eviction::none));
  }
  const TemporaryDirectory directory;
  EngineOptions on_disk = engine_options(directory.path());
  on_disk.memory_limit = options.memory_limit;
  on_disk.memory_eviction = Eviction::lru;
  const auto engine = open_engine(on_disk);
  CHECK(opened(engine->store(0), "users", false).keeps_all());
}

// A node that deletes, forgets and brings back, and says what it is about to do and what is done.
[[noreturn]] void live_until_killed(const EngineOptions& options, int told) {
  const auto tell = [told](char what, int key) {
    const std::array<char, 2> message{what, static_cast<char>(key)};
    if (::write(told, message.data(), message.size()) != 2) ::_exit(1);
  };
  const auto engine = open_engine(options);
  Collection& users = opened(engine->store(0), "users", false);
  engine->store(0).commit();
  Random random(options.run);
  for (int step = 0;; ++step) {
    const auto loop = static_cast<std::uint16_t>(random.below(2));
    Store& store = engine->store(loop);
    const int key = static_cast<int>(random.below(100));
    const bool deletes = random.chance(0.6);
    tell(deletes ? 'd' : 's', key);
    set_own(store, users, std::to_string(key), deletes ? "" : std::string(200, 'v'),
            own_origin(options.run, loop), deletes);
    store.commit();
    if (!store.drain()) ::_exit(1);
    store.collect();
    tell(deletes ? 'D' : 'S', key);
    if (step % 16 != 0) continue;
    engine->store(0).forget_tombstones(users, users.durable());
    if (!engine->checkpoint()) ::_exit(1);
  }
}

TEST_CASE("engine forget: a process that is killed at any moment brings nothing back") {
  const TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path(), 1, 2);
  Random random(7);
  std::map<int, std::string> kept;  // By key, what may be there: one or two of "DS".
  std::uint64_t forgotten = 0;
  for (int life = 0; life < 25; ++life, ++options.run) {
    CAPTURE(life);
    std::array<int, 2> pipe{};
    REQUIRE(::pipe(pipe.data()) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
      ::close(pipe[0]);
      live_until_killed(options, pipe[1]);
    }
    ::close(pipe[1]);
    // So many things are done, and then some more.
    const std::uint64_t done_max = random.between(1, 150);
    std::uint64_t done = 0;
    for (std::array<char, 2> message{}; ::read(pipe[0], message.data(), 2) == 2;) {
      const char what = message[0];
      std::string& of_key = kept[message[1]];
      if (what == 'd' || what == 's') {
        if (of_key.empty()) of_key = "D";
        of_key += what == 'd' ? 'D' : 'S';
      } else {
        of_key = what;
        if (++done == done_max) ::kill(child, SIGKILL);
      }
    }
    ::close(pipe[0]);
    REQUIRE(::waitpid(child, nullptr, 0) == child);
    CHECK(done >= done_max);

    ++options.run;
    const auto engine = open_engine(options);
    Collection* users = engine->store(0).find("users");
    REQUIRE(users != nullptr);
    std::uint64_t live = 0;
    for (const auto& [key, may_be] : kept) {
      CAPTURE(key);
      const auto held = must(users->find(std::to_string(key)));
      const bool is_there = held && !held->deleted;
      live += is_there ? 1 : 0;
      CHECK(may_be.find(is_there ? 'S' : 'D') != std::string::npos);
    }
    const RangeSlice all = must(users->range({}));
    CHECK(users->counts().live == live);
    CHECK(users->counts().tombstones == all.records.size() - live);
    for (const auto& [key, may_be] : kept)
      forgotten += must(users->find(std::to_string(key))) ? 0 : 1;
    for (auto& [key, may_be] : kept) {
      const auto held = must(users->find(std::to_string(key)));
      may_be = held && !held->deleted ? "S" : "D";
    }
  }
  CHECK(forgotten > 0);
}

// Writers, readers and the one who forgets, on a few keys; what counts is as it is found.
void hammer(bool in_memory, std::size_t cache_bytes) {
  const TemporaryDirectory directory;
  auto options = engine_options(in_memory ? "" : directory.path(), 1, 3);
  options.cache_bytes = cache_bytes;
  auto engine = open_engine(options);
  opened(engine->store(0), "users", in_memory);
  engine->store(0).commit();
  std::atomic<int> running{2};
  std::array<std::map<std::string, std::uint64_t>, 2> written;  // The last version, by loop.
  std::vector<std::thread> threads;
  for (unsigned loop = 1; loop <= 2; ++loop) {
    threads.emplace_back([&, loop] {
      Random random(loop);
      Store& store = engine->store(loop);
      Collection& users = *store.find("users");
      const Origin origin = own_origin(1, static_cast<std::uint16_t>(loop));
      for (int turn = 0; turn < 1500; ++turn) {
        for (std::uint64_t writes = random.below(4); writes > 0; --writes) {
          // Keys of its own: what is there in the end is known.
          const std::string key = std::to_string(loop) + std::to_string(random.below(20));
          Store::Terms terms(Store::Joins::seen);
          const bool blind = random.chance(0.5);
          const bool deletes = random.chance(0.6);
          const std::uint64_t hlc = (noon << hlc_counter_bits) + users.last_sequence(origin) + 1;
          if (blind) terms.unread_hlc_max = std::numeric_limits<std::uint64_t>::max();
          must(store.update(users, HashedKey(key), terms,
                            [&](const RecordView* held, RecordView& put) {
                              put.dot = {origin, users.last_sequence(origin) + 1};
                              put.version = {hlc, origin.node};
                              put.deleted = deletes;
                              put.value = deletes ? "" : "v";
                              if (held != nullptr && held->unread) put.created = created_unknown;
                              return true;
                            }));
          written[loop - 1][key] = deletes ? 0 : hlc;
        }
        const std::string other = std::to_string(3 - loop) + std::to_string(random.below(20));
        must(users.find(other));
        if (random.chance(0.02)) must(users.range({}));
        if (random.chance(0.02)) {
          CountCursor at;
          users.settle_counts(at, 10);
        }
        store.commit();
        store.collect();
      }
      must(store.drain());
      store.collect();
      --running;
    });
  }
  Store& store = engine->store(0);
  Collection& users = *store.find("users");
  while (running > 0) {
    store.forget_tombstones(users, users.durable());
    store.commit();
    store.collect();
    store.maintain(noon, 10);
    must(engine->checkpoint());
  }
  for (std::thread& thread : threads)
    thread.join();
  store.forget_tombstones(users, users.durable());
  for (int round = 0; round < 3; ++round) {
    while (store.maintain(noon, 1000)) {
    }
    must(engine->checkpoint());
  }
  const auto check = [&](Collection& now) {
    std::map<std::string, std::uint64_t> expected;
    for (const auto& of_loop : written) {
      for (const auto& [key, hlc] : of_loop) {
        if (hlc != 0) expected[key] = hlc;
      }
    }
    std::map<std::string, std::uint64_t> held;
    for (const KeyedRecord& entry : must(now.range({})).records) {
      CHECK(!entry.record.deleted);
      held[entry.key] = entry.record.version.hlc;
    }
    CHECK(held == expected);
    CHECK(now.counts().live == expected.size());
    CHECK(now.counts().tombstones == 0);
  };
  check(users);
  if (in_memory) return;
  must(engine->stop());
  engine.reset();
  options.run = 2;
  engine = open_engine(options);
  check(*engine->store(0).find("users"));
}

TEST_CASE("engine forget: while others write and read the same keys") {
  SUBCASE("in files") {
    hammer(false, std::size_t{1} << 30);
  }
  SUBCASE("in files, with hardly any cache") {
    hammer(false, 1000);
  }
  SUBCASE("in memory") {
    hammer(true, std::size_t{1} << 30);
  }
}

}  // namespace
}  // namespace dhrt::test
