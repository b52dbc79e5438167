// Records that change their size, and the memory that they leave.
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "storage/base/random.h"
#include "storage/table.h"
#include "tests/storage/engine_life.h"

namespace dhrt::test {
namespace {

constexpr std::size_t small_bytes = 1500;
constexpr std::size_t large_bytes = 2500;
constexpr std::size_t stripe = 5;

// Of one stripe, so that a few megabytes of records fill many chunks.
std::vector<std::string> keys_of_a_stripe(std::size_t count) {
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < count; ++i) {
    std::string key = "key-" + std::to_string(i);
    if (stripe_of(hash64(key)) == stripe) keys.push_back(std::move(key));
  }
  return keys;
}

struct Sized {
  EngineLife life;
  Collection* users = nullptr;
  std::map<std::string, std::string> model;
  std::size_t bytes = 0;  // Of values.
  std::size_t sets = 0;

  explicit Sized(bool memory) {
    life.options.log_segment_bytes = std::size_t{16} << 20;
    life.engine.reset();
    life.engine = open_engine(life.options);
    users = &opened(life.store(), "sized", memory);
  }

  void set(const std::string& key, std::size_t value_bytes) {
    std::string& value = model[key];
    bytes += value_bytes - value.size();
    value = std::string(value_bytes, static_cast<char>('a' + model.size() % 26));
    set_own(life.store(), *users, key, value, own_origin());
    if (++sets % 64 == 0) life.store().commit();
  }

  // As a node does it, until there is nothing to do in any stripe.
  void maintain(std::size_t records_max = 64) {
    for (int i = 0; i < 8; ++i) {
      while (life.store().maintain(noon, records_max)) {
      }
    }
  }

  void check() const {
    for (const auto& [key, value] : model) {
      const auto held = must(users->find(key));
      REQUIRE(held);
      REQUIRE(held->value == value);
    }
    const SliceLimits all{.records_max = 100'000, .bytes_max = std::size_t{1} << 30};
    const auto scanned = must(users->scan({.now = noon, .limits = all}));
    REQUIRE_FALSE(scanned.next);
    REQUIRE(scanned.records.size() == model.size());
    auto expected = model.begin();
    for (const KeyedRecord& entry : scanned.records) {
      REQUIRE(entry.key == expected->first);
      REQUIRE(entry.record.value == expected->second);
      ++expected;
    }
    std::map<std::string, std::string> walked;
    WalkRequest request;
    do {
      const auto slice = must(users->walk(request));
      for (const KeyedRecord& entry : slice.records)
        walked[entry.key] = entry.record.value;
      request.from = slice.next;
    } while (request.from);
    REQUIRE(walked == model);
  }
};

enum class Kept { in_memory, dirty, in_file };

void gives_memory_back(Kept kept) {
  Sized sized(kept == Kept::in_memory);
  const std::vector<std::string> keys = keys_of_a_stripe(6000);
  for (const std::string& key : keys)
    sized.set(key, small_bytes);
  // From now on somebody asks for their order.
  must(sized.users->scan({.now = noon, .limits = {.records_max = 1}}));
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (i % 2 == 0) sized.set(keys[i], large_bytes);
  }
  sized.life.settle();
  if (kept == Kept::in_file) must(sized.life.engine->checkpoint());
  const auto taken = [&] { return sized.life.engine->figures().memory_bytes; };
  CHECK_MESSAGE(taken() > sized.bytes * 5 / 4, "places of the old size are left");
  sized.maintain();
  CHECK(taken() < sized.bytes * 23 / 20 + 2 * Slab::chunk_bytes);
  CHECK(sized.life.engine->figures().relocated > 500);
  sized.check();
  // Nothing leads to where they were: each is written, and deleted, where it is.
  for (const std::string& key : keys)
    sized.set(key, large_bytes);
  sized.maintain();
  sized.life.settle();
  sized.check();
  for (const std::string& key : keys)
    set_own(sized.life.store(), *sized.users, key, "", own_origin(), true);
  sized.life.settle();
  sized.maintain();
  CHECK(must(sized.users->scan({.now = noon})).records.empty());
  CHECK(sized.users->counts().tombstones == keys.size());
}

TEST_CASE("defragmenter: gives back what records of another size left, in memory") {
  gives_memory_back(Kept::in_memory);
}

TEST_CASE("defragmenter: gives back what records of another size left, not in the file yet") {
  gives_memory_back(Kept::dirty);
}

TEST_CASE("defragmenter: gives back what records of another size left, kept as cache") {
  gives_memory_back(Kept::in_file);
}

TEST_CASE("defragmenter: records that moved fall due in their time") {
  Sized sized(true);
  const std::vector<std::string> keys = keys_of_a_stripe(4000);
  std::uint64_t sequence = 0;
  const auto put_sized = [&](const std::string& key, std::size_t bytes) {
    KeyedRecord entry = put(key, std::string(bytes, 'v'), {here, ++sequence});
    entry.record.deadline = noon + 1 + sequence % 5;
    must(sized.life.store().append(*sized.users, batch_of({entry})));
  };
  for (const std::string& key : keys)
    put_sized(key, small_bytes);
  for (std::size_t i = 0; i < keys.size(); i += 2)
    put_sized(keys[i], large_bytes);
  sized.maintain();
  REQUIRE(sized.life.engine->figures().relocated > 300);
  CHECK(sized.users->counts().live == keys.size());
  while (sized.life.store().maintain(noon + 10, 100)) {
  }
  CHECK(sized.users->counts().live == 0);
  CHECK(sized.life.engine->figures().expired == keys.size());
}

TEST_CASE("defragmenter: what has nothing to gain is left alone") {
  Sized sized(true);
  for (const std::string& key : keys_of_a_stripe(3000))
    sized.set(key, small_bytes);
  sized.maintain();
  CHECK(sized.life.engine->figures().relocated == 0);
  CHECK_FALSE(sized.life.store().maintain(noon, 64));
}

TEST_CASE("defragmenter: a collection is dropped in the middle of a pass") {
  Sized sized(true);
  Collection& other = opened(sized.life.store(), "other", true);
  const std::vector<std::string> keys = keys_of_a_stripe(4000);
  for (const std::string& key : keys) {
    sized.set(key, small_bytes);
    set_own(sized.life.store(), other, key, std::string(small_bytes, 'o'), own_origin());
  }
  for (std::size_t i = 0; i < keys.size(); i += 2) {
    sized.set(keys[i], large_bytes);
    set_own(sized.life.store(), other, keys[i], std::string(large_bytes, 'o'), own_origin());
  }
  for (int i = 0; i < 100 && sized.life.engine->figures().relocated < 50; ++i)
    sized.life.store().maintain(noon, 16);
  REQUIRE(sized.life.engine->figures().relocated >= 50);
  must(sized.life.store().erase("other"));
  // Its records stay until no loop can know them, and who buries them then is the checkpoint.
  sized.maintain(16);
  sized.life.settle();
  must(sized.life.engine->checkpoint());
  sized.maintain(16);
  sized.check();
  CHECK(sized.life.engine->figures().memory_bytes < sized.bytes * 23 / 20 + 3 * Slab::chunk_bytes);
}

// A loop's life: records of its own that change their size, those of others looked at.
void resize_for_a_while(Engine& engine, unsigned loop, const std::vector<std::string>& keys,
                        std::map<std::string, std::string>& model) {
  Random random(loop + 1U);
  Store& store = engine.store(loop);
  Collection& users = *store.find("users");
  const Origin origin = own_origin(1, static_cast<std::uint16_t>(loop));
  for (int turn = 0; turn < 1200; ++turn) {
    const bool grows = turn / 200 % 2 == 1;
    for (int i = 0; i < 8; ++i) {
      const std::string& key = keys[random.below(keys.size() / 2) * 2 + loop];
      const bool deletes = random.chance(0.1);
      std::string value(deletes ? 0
                        : grows ? large_bytes
                                : small_bytes,
                        static_cast<char>('a' + random.below(26)));
      set_own(store, users, key, value, origin, deletes);
      model[key] = std::move(value);
    }
    for (int i = 0; i < 4; ++i)
      static_cast<void>(must(users.find(keys[random.below(keys.size())])));
    if (random.chance(0.03)) {
      static_cast<void>(must(users.scan({.now = noon, .limits = {.records_max = 20}})));
      static_cast<void>(must(users.walk({.limits = {.records_max = 20}})));
    }
    store.commit();
    store.collect();
    if (loop == 0) store.maintain(noon, 100);
  }
}

TEST_CASE("defragmenter: records move while other loops read and write them") {
  for (const bool memory : {true, false}) {
    CAPTURE(memory);
    EngineLife life;
    life.options.loops = 2;
    life.options.durability = Durability::none;
    life.options.log_segment_bytes = std::size_t{16} << 20;
    life.engine.reset();
    life.engine = open_engine(life.options);
    Collection& users = opened(life.store(), "users", memory);
    life.store().commit();
    const std::vector<std::string> keys = keys_of_a_stripe(3000);
    std::vector<std::map<std::string, std::string>> models(2);
    std::vector<std::thread> threads;
    for (unsigned loop = 0; loop < 2; ++loop)
      threads.emplace_back(
          [&, loop] { resize_for_a_while(*life.engine, loop, keys, models[loop]); });
    for (int i = 0; i < 5 && !memory; ++i)
      must(life.engine->checkpoint());
    for (std::thread& thread : threads)
      thread.join();
    life.settle();
    CHECK(life.engine->figures().relocated > 0);
    for (const auto& model : models) {
      for (const auto& [key, value] : model) {
        const auto held = must(users.find(key));
        REQUIRE(held);
        REQUIRE(held->value == value);
      }
    }
  }
}

}  // namespace
}  // namespace dhrt::test
