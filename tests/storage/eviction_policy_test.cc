#include "storage/eviction_policy.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/hash.h"
#include "storage/base/random.h"

namespace dhrt::test {
namespace {

using Policy = std::unique_ptr<EvictionPolicy>;

// A cache that keeps entries by key, and frees them at once.
class Cache {
 public:
  explicit Cache(Policy policy) : policy_(std::move(policy)) {}

  static EvictionPolicy::Item item(std::uint64_t key) {
    return EvictionPolicy::item(9, hash64(std::to_string(key)));
  }

  Entry* find(EvictionPolicy::Item item) {
    const auto found = entries_.find(item.hash);
    return found == entries_.end() || item.owner != 9 ? nullptr : found->second.entry;
  }

  Entry& put(std::uint64_t key) {
    const std::string name = std::to_string(key);
    Held held;
    held.memory = std::make_unique<std::uint64_t[]>(Entry::size_of(name, {}) / 8 + 1);
    held.entry = Entry::make(held.memory.get(), name, {}, 0, 0);
    Held& place = entries_[item(key).hash];
    if (place.entry != nullptr) held.entry->inherit(*place.entry);
    place = std::move(held);
    return *place.entry;
  }

  void add(std::uint64_t key) { policy_->added(item(key), *find(item(key)), finder()); }

  void erase(std::uint64_t key) { entries_.erase(item(key).hash); }

  // False: there was none to evict.
  bool evict() {
    const auto victim = policy_->victim(finder());
    if (victim.entry == nullptr) return false;
    if (find(victim.item) != victim.entry) FAIL("the item is of another entry");
    evicted.emplace_back(victim.entry->key());
    entries_.erase(victim.item.hash);
    return true;
  }

  // Whether the key was there; it is afterwards.
  bool ask(std::uint64_t key, std::size_t entries_max) {
    if (Entry* const entry = find(item(key)); entry != nullptr) {
      policy_->touched(*entry);
      return true;
    }
    if (entries_.size() >= entries_max && !evict()) FAIL("nothing to evict");
    put(key);
    add(key);
    return false;
  }

  EvictionPolicy& policy() { return *policy_; }
  std::size_t size() const { return entries_.size(); }

  std::vector<std::string> evicted;

 private:
  struct Held {
    std::unique_ptr<std::uint64_t[]> memory;
    Entry* entry = nullptr;
  };
  // Of a callable that lives as long as the cache.
  struct Finder {
    Cache* cache;
    Entry* operator()(EvictionPolicy::Item item) const { return cache->find(item); }
  };
  EvictionPolicy::Find finder() { return finder_; }

  Policy policy_;
  std::unordered_map<std::uint32_t, Held> entries_;
  Finder finder_{this};
};

Policy policy_named(const std::string& name) {
  return name == "s3fifo" ? make_s3_fifo() : make_sampled_lru(1);
}

// Keys as often as 1 / rank.
class Zipf {
 public:
  explicit Zipf(std::size_t keys) {
    double sum = 0;
    for (std::size_t rank = 1; rank <= keys; ++rank)
      sums_.push_back(sum += 1.0 / static_cast<double>(rank));
  }
  std::uint64_t next(Random& random) const {
    const double at = static_cast<double>(random.below(1u << 30)) / (1u << 30) * sums_.back();
    return static_cast<std::uint64_t>(std::ranges::upper_bound(sums_, at) - sums_.begin());
  }

 private:
  std::vector<double> sums_;
};

// With `scan_each` > 0, one of so many requests is for a key that nobody asks for again.
double hit_rate(const std::string& policy, std::size_t entries_max, unsigned scan_each) {
  Cache cache(policy_named(policy));
  Random random(5);
  const Zipf zipf(20'000);
  std::uint64_t scanned = 1'000'000;
  int hits = 0;
  int asked = 0;
  for (int i = 0; i < 120'000; ++i) {
    const bool scans = scan_each > 0 && random.below(scan_each) == 0;
    const bool hit = cache.ask(scans ? ++scanned : zipf.next(random), entries_max);
    if (scans || i < 30'000) continue;
    ++asked;
    hits += hit;
  }
  return static_cast<double>(hits) / asked;
}

TEST_CASE("eviction: s3-fifo hits at least as often as lru, and more often when keys are scanned") {
  for (const std::size_t entries_max : {300u, 2000u}) {
    const double fifo = hit_rate("s3fifo", entries_max, 0);
    const double lru = hit_rate("lru", entries_max, 0);
    const double fifo_scanned = hit_rate("s3fifo", entries_max, 2);
    const double lru_scanned = hit_rate("lru", entries_max, 2);
    CAPTURE(entries_max);
    CHECK(fifo >= lru - 0.005);
    CHECK(fifo_scanned >= lru_scanned + 0.02);
    CHECK(lru >= 0.4);
  }
}

TEST_CASE("eviction: lru keeps what was asked for lately") {
  Cache cache(make_sampled_lru(3));
  for (std::uint64_t key = 0; key < 20'000; ++key) {
    cache.ask(key, 1000);
    // Ten keys that are asked for all the time.
    cache.ask(key % 10, 1000);
  }
  int old = 0;
  for (std::uint64_t key = 0; key < 20'000; ++key) {
    const bool held = cache.find(Cache::item(key)) != nullptr;
    if (key < 10) CHECK(held);
    old += held && key >= 10 && key < 18'000;
  }
  CHECK(old <= 20);
}

TEST_CASE("eviction: everything goes once, and then there is nothing to evict") {
  for (const std::string name : {"s3fifo", "lru"}) {
    CAPTURE(name);
    Cache cache(policy_named(name));
    CHECK_FALSE(cache.evict());
    for (std::uint64_t key = 0; key < 3000; ++key)
      cache.ask(key, 3000);
    for (int i = 0; i < 3000; ++i)
      REQUIRE(cache.evict());
    CHECK_FALSE(cache.evict());
    CHECK(cache.size() == 0);
    CHECK(std::set<std::string>(cache.evicted.begin(), cache.evicted.end()).size() == 3000);
  }
}

TEST_CASE("eviction: dirty entries are passed over until they are added again") {
  for (const std::string name : {"s3fifo", "lru"}) {
    CAPTURE(name);
    Cache cache(policy_named(name));
    for (std::uint64_t key = 0; key < 100; ++key)
      cache.ask(key, 100);
    cache.put(7).set(Entry::dirty);
    while (cache.evict()) {
    }
    CHECK(cache.size() == 1);
    cache.find(Cache::item(7))->clear(Entry::dirty);
    cache.add(7);
    CHECK(cache.evict());
    CHECK(cache.evicted.back() == "7");
  }
}

TEST_CASE("eviction: entries that leave and come back, or are replaced, do not pile up") {
  for (const std::string name : {"s3fifo", "lru"}) {
    CAPTURE(name);
    Cache cache(policy_named(name));
    Random random(1);
    for (int i = 0; i < 100'000; ++i) {
      const std::uint64_t key = random.below(500);
      if (random.chance(0.3)) {
        cache.erase(key);
      } else {
        cache.put(key);
        cache.add(key);
      }
      REQUIRE(cache.policy().size() <= 1024 + 1);
    }
    const std::size_t left = cache.size();
    for (std::size_t i = 0; i < left; ++i)
      REQUIRE(cache.evict());
    CHECK_FALSE(cache.evict());
  }
}

TEST_CASE("eviction: what comes back soon after it left stays longer than what is new") {
  Cache cache(make_s3_fifo());
  constexpr std::size_t entries_max = 1000;
  // Main is filled by keys that were asked for often.
  for (int round = 0; round < 4; ++round) {
    for (std::uint64_t key = 0; key < 900; ++key)
      cache.ask(key, entries_max);
  }
  for (std::uint64_t key = 10'000; key < 11'000; ++key)
    cache.ask(key, entries_max);
  REQUIRE(cache.find(Cache::item(10'500)) == nullptr);
  cache.ask(10'500, entries_max);
  for (std::uint64_t key = 20'000; key < 20'500; ++key)
    cache.ask(key, entries_max);
  CHECK(cache.find(Cache::item(10'500)) != nullptr);
  CHECK(cache.find(Cache::item(20'100)) == nullptr);
}

}  // namespace
}  // namespace dhrt::test
