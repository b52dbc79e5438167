#include "storage/table.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "storage/dot_index.h"

namespace dhrt::test {
namespace {

RecordView record_of(std::uint64_t sequence, Bytes value) {
  return {.version = {.hlc = sequence, .node = 0},
          .dot = {.origin = {}, .sequence = sequence},
          .value = value};
}

// A table with its locks and memory, used by one thread.
struct Held {
  void put(const HashedKey& key, Bytes value) {
    const auto put = table.put(key, record_of(1, value), 0, 0);
    if (put.replaced != nullptr) table.free(stripe_of(key.hash), put.replaced);
  }

  bool erase(const HashedKey& key) {
    Entry* const entry = table.find(key);
    if (entry == nullptr) return false;
    table.take_out(key, entry);
    table.free(stripe_of(key.hash), entry);
    return true;
  }

  std::map<std::string, std::string> visited() {
    std::map<std::string, std::string> all;
    for (std::size_t stripe = 0; stripe < stripe_count; ++stripe) {
      table.visit(stripe, 0, [&](Entry& entry) {
        CHECK(all.emplace(entry.key(), entry.value()).second);
        return true;
      });
    }
    return all;
  }

  Stripes stripes;
  Table table{stripes};
};

void agree_with_a_map(std::uint64_t seed, const std::vector<std::string>& keys, int steps) {
  CAPTURE(seed);
  Random random(seed);
  Held held;
  std::map<std::string, std::string> model;
  for (int i = 0; i < steps; ++i) {
    const std::string& key = keys[random.below(keys.size())];
    const HashedKey hashed(key);
    held.table.prefetch(hashed);
    held.table.prefetch_entry(hashed);
    if (random.chance(0.6)) {
      model[key] = std::string(random.below(60), static_cast<char>('a' + random.below(26)));
      held.put(hashed, model[key]);
    } else if (random.chance(0.5)) {
      REQUIRE(held.erase(hashed) == (model.erase(key) == 1));
    } else {
      const Entry* const found = held.table.find(hashed);
      const auto expected = model.find(key);
      REQUIRE((found != nullptr) == (expected != model.end()));
      if (found != nullptr) REQUIRE(found->value() == expected->second);
    }
    REQUIRE(held.table.size() == model.size());
  }
  CHECK(held.visited() == model);
  for (const auto& [key, value] : model)
    REQUIRE(held.erase(HashedKey(key)));
  CHECK(held.visited().empty());
}

// Keys whose hashes have these bits.
std::vector<std::string> keys_with(std::size_t count, std::uint64_t mask, std::uint64_t bits) {
  std::vector<std::string> keys;
  for (int i = 0; keys.size() < count; ++i) {
    std::string key = std::to_string(i);
    if ((hash64(key) & mask) == bits) keys.push_back(std::move(key));
  }
  return keys;
}

TEST_CASE("table: does what a map does") {
  agree_with_a_map(1, keys_with(300, 0, 0), 20'000);
  agree_with_a_map(2, keys_with(20'000, 0, 0), 50'000);
}

TEST_CASE("table: does what a map does when all keys are of one stripe") {
  agree_with_a_map(3, keys_with(30'000, stripe_count - 1, 5), 100'000);
}

TEST_CASE("table: does what a map does when all keys want the same few slots") {
  const std::uint64_t one_stripe = stripe_count - 1;
  const std::uint64_t alike = std::uint64_t{0xff} << 56;
  agree_with_a_map(4, keys_with(250, alike | one_stripe, 0), 10'000);
  agree_with_a_map(5, keys_with(250, alike | one_stripe, alike), 10'000);
  agree_with_a_map(6, keys_with(5000, alike, alike), 20'000);
}

TEST_CASE("table: a large one loses nothing while it grows and shrinks") {
  Held held;
  constexpr int keys = 250'000;
  const auto name = [](int i) { return "k" + std::to_string(i); };
  for (int i = 0; i < keys; ++i)
    held.put(HashedKey(name(i)), "v");
  CHECK(held.table.size() == keys);
  for (int i = 0; i < keys; i += 2)
    REQUIRE(held.erase(HashedKey(name(i))));
  for (int i = 0; i < keys; ++i)
    REQUIRE((held.table.find(HashedKey(name(i))) != nullptr) == (i % 2 == 1));
  CHECK(held.table.size() == keys / 2);
}

TEST_CASE("table: filled at once it has the same, in no more room") {
  Held filled;
  Held grown;
  filled.table.begin_filling();
  for (std::uint64_t i = 0; i < 150'000; ++i) {
    const std::string key = std::to_string(i);
    for (Held* held : {&filled, &grown})
      held->put(HashedKey(key), "v");
  }
  const std::size_t before = filled.table.bytes();
  filled.table.end_filling();
  CHECK(filled.table.bytes() < before);
  CHECK(filled.table.bytes() <= grown.table.bytes() + stripe_count * 4096);
  CHECK(filled.table.size() == 150'000);
  CHECK(filled.visited() == grown.visited());
  for (std::uint64_t i = 0; i < 150'000; i += 2)
    REQUIRE(filled.erase(HashedKey(std::to_string(i))));
  for (std::uint64_t i = 0; i < 150'000; ++i)
    REQUIRE((filled.table.find(HashedKey(std::to_string(i))) != nullptr) == (i % 2 == 1));
}

TEST_CASE("table: a new entry inherits what the cache knew of the old one") {
  Held held;
  const HashedKey key("key");
  held.table.put(key, record_of(1, "a"), 0, Entry::dirty).entry->set(Entry::queued);
  const auto put = held.table.put(key, record_of(2, "b"), 0, Entry::unseen);
  CHECK(put.replaced->value() == "a");
  CHECK(put.entry->is(Entry::queued));
  CHECK(put.entry->is(Entry::unseen));
  CHECK_FALSE(put.entry->is(Entry::dirty));
  held.table.free(stripe_of(key.hash), put.replaced);
}

TEST_CASE("table: only what leaves counts as a departure") {
  Held held;
  const HashedKey key("key");
  held.put(key, "a");
  held.put(key, "b");
  CHECK(held.stripes.of(key).departures == 0);
  held.erase(key);
  CHECK(held.stripes.of(key).departures == 1);
}

TEST_CASE("table: a visit may take out what it is shown, and goes on where it stopped") {
  Held held;
  std::set<std::string> left;
  for (int i = 0; i < 5000; ++i) {
    const std::string key = std::to_string(i);
    held.put(HashedKey(key), "v");
    left.insert(key);
  }
  for (std::size_t stripe = 0; stripe < stripe_count; ++stripe) {
    std::size_t from = 0;
    do {
      int shown = 0;
      from = held.table.visit(stripe, from, [&](Entry& entry) {
        const std::string key(entry.key());
        left.erase(key);
        if (std::stoi(key) % 3 != 0) held.erase(HashedKey(key));
        return ++shown < 7;
      });
    } while (from != 0);
  }
  CHECK(left.empty());
  CHECK(held.table.size() == (5000 + 2) / 3);
}

TEST_CASE("table: finds an entry by the half of its hash, or another that begins alike") {
  Held held;
  for (int i = 0; i < 2000; ++i)
    held.put(HashedKey(std::to_string(i)), "v");
  for (int i = 0; i < 2000; ++i) {
    const std::string name = std::to_string(i);
    const HashedKey key(name);
    const Entry* const found =
        held.table.find_placed(stripe_of(key.hash), static_cast<std::uint32_t>(key.hash >> 32));
    REQUIRE(found != nullptr);
    const std::uint64_t difference = hash64(found->key()) ^ key.hash;
    REQUIRE(difference < (std::uint64_t{1} << 40));
  }
  const HashedKey absent("absent");
  CHECK(held.table.find_placed(stripe_of(absent.hash),
                               static_cast<std::uint32_t>(absent.hash >> 32)) == nullptr);
}

// Until nothing is left in what the slab wants to have empty.
std::size_t relocate_all(Held& held, std::size_t stripe, std::size_t at_once) {
  std::size_t moved = 0;
  std::size_t from = 0;
  do {
    std::size_t budget = at_once;
    const auto done = held.table.relocate(stripe, from, budget, [&](Entry& before, Entry& after) {
      REQUIRE(&before != &after);
      REQUIRE(before.key() == after.key());
      REQUIRE(before.value() == after.value());
      REQUIRE(before.dot() == after.dot());
      REQUIRE(held.table.find(HashedKey(after.key())) == &after);
    });
    REQUIRE(done.entries <= at_once);
    moved += done.entries;
    from = done.next;
  } while (from != 0);
  return moved;
}

TEST_CASE("table: entries move to where they leave memory free, and are found there") {
  constexpr std::size_t stripe = 5;
  for (const std::size_t at_once : {1, 7, 100'000}) {
    CAPTURE(at_once);
    Held held;
    std::map<std::string, std::string> model;
    for (const std::string& key : keys_with(2000, stripe_count - 1, stripe))
      held.put(HashedKey(key), model[key] = std::string(1000, key.back()));
    const std::size_t before = held.stripes.bytes();
    for (auto& [key, value] : model) {
      if (hash64(key) % 3 != 0) held.put(HashedKey(key), value = std::string(40, key.back()));
    }
    Slab& slab = held.stripes[stripe].slab;
    REQUIRE(held.stripes.bytes() > before);
    REQUIRE(slab.begin_evacuation());
    CHECK(relocate_all(held, stripe, at_once) > 100);
    slab.end_evacuation();
    CHECK(held.stripes.bytes() < before * 2 / 3);
    CHECK(held.visited() == model);
    for (const auto& [key, value] : model)
      REQUIRE(held.erase(HashedKey(key)));
    CHECK(held.visited().empty());
  }
}

TEST_CASE("table: what it holds goes back to the stripes with it") {
  Stripes stripes;
  {
    Table table(stripes);
    for (int i = 0; i < 20'000; ++i)
      table.put(HashedKey(std::to_string(i)), record_of(1, std::string(1000, 'v')), 0, 0);
    CHECK(stripes.bytes() > 20'000'000);
    CHECK(table.bytes() > 20'000'000);
  }
  CHECK(stripes.bytes() <= stripe_count * Slab::chunk_bytes);
}

TEST_CASE("table: a record of 16 and 100 bytes takes at most 165, its place among dots included") {
  Held held;
  DotIndex dots;
  const std::string value(100, 'v');
  for (std::uint64_t i = 1; i <= 400'000; ++i) {
    const std::string key = std::to_string(1'000'000'000'000'000 + i);
    REQUIRE(dots.add(*held.table.put(HashedKey(key), record_of(i, value), 0, 0).entry));
    if (i < 100'000 || i % 5000 != 0) continue;
    const double entries = 144.0 * static_cast<double>(i);  // The slab counts whole pages.
    const double slots = static_cast<double>(held.table.bytes()) - entries;
    const double all = static_cast<double>(held.stripes.bytes() + dots.bytes()) + slots;
    REQUIRE(all / static_cast<double>(i) <= 168.0);
    // What stripes and classes have begun and not filled still shows at this size.
    if (i >= 200'000) REQUIRE(all / static_cast<double>(i) <= 165.5);
  }
}

// What an engine does with a table and an index of dots, from several threads.
class Worker {
 public:
  Worker(Stripes& stripes, Table& table, DotIndex& dots, OriginAlias origin)
      : stripes_(stripes), table_(table), dots_(dots), origin_(origin), random_(origin + 1u) {}

  void run(int steps) {
    for (int i = 0; i < steps; ++i) {
      const std::string name = std::to_string(random_.below(500));
      const HashedKey key(name);
      table_.prefetch(key);
      table_.prefetch_entry(key);
      switch (random_.below(8)) {
        case 0:
          erase(key);
          break;
        case 1:
          walk();
          break;
        case 2:
        case 3:
          find(key);
          break;
        default:
          put(key);
      }
    }
  }

 private:
  void put(const HashedKey& key) {
    const std::lock_guard lock(stripes_.of(key).lock);
    const auto put = table_.put(key, record_of(++sequence_, key.bytes), origin_, 0);
    wrong += !dots_.add(*put.entry);
    if (put.replaced == nullptr) return;
    dots_.remove(*put.replaced);
    table_.free(stripe_of(key.hash), put.replaced);
  }

  void erase(const HashedKey& key) {
    const std::lock_guard lock(stripes_.of(key).lock);
    Entry* const entry = table_.find(key);
    if (entry == nullptr) return;
    dots_.remove(*entry);
    table_.take_out(key, entry);
    table_.free(stripe_of(key.hash), entry);
  }

  void find(const HashedKey& key) {
    const std::lock_guard lock(stripes_.of(key).lock);
    Entry* const entry = table_.find(key);
    if (entry == nullptr) return;
    wrong += entry->value() != key.bytes;
    if (entry->touches() < 3) entry->touch();
  }

  void walk() {
    const auto origin = static_cast<OriginAlias>(random_.below(4));
    std::uint64_t last = 0;
    int shown = 0;
    dots_.visit(origin, 1, [&](Entry& entry) {
      const RecordView view = entry.view({});
      wrong += view.dot.sequence <= last || view.value != entry.key() || view.unseen;
      last = entry.dot().sequence;
      return ++shown < 50;
    });
  }

 public:
  int wrong = 0;

 private:
  Stripes& stripes_;
  Table& table_;
  DotIndex& dots_;
  OriginAlias origin_;
  Random random_;
  std::uint64_t sequence_ = 0;
};

TEST_CASE("table: four threads write, read, take out and walk at once") {
  Stripes stripes;
  Table table(stripes);
  DotIndex dots;
  std::vector<Worker> workers;
  for (OriginAlias origin = 0; origin < 4; ++origin)
    workers.emplace_back(stripes, table, dots, origin);
  std::vector<std::thread> threads;
  for (Worker& worker : workers)
    threads.emplace_back([&] { worker.run(20'000); });
  for (std::thread& thread : threads)
    thread.join();
  for (const Worker& worker : workers)
    CHECK(worker.wrong == 0);
  CHECK(table.size() <= 500);
  CHECK(table.size() == dots.size());
}

}  // namespace
}  // namespace dhrt::test
