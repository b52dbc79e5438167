#include "storage/key_order.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "tests/storage/held_entries.h"

namespace dhrt::test {
namespace {

using Model = std::map<std::string, Entry*>;

std::vector<Entry*> seen(const KeyOrder& order, Bytes from, Bytes prefix, std::size_t entries_max) {
  std::vector<Entry*> all;
  if (entries_max == 0) return all;
  order.visit(from, prefix, [&](Entry& entry) {
    all.push_back(&entry);
    return all.size() < entries_max;
  });
  return all;
}

std::vector<Entry*> expected(const Model& model, const std::string& from, const std::string& prefix,
                             std::size_t entries_max) {
  std::vector<Entry*> all;
  for (auto at = model.lower_bound(from); at != model.end() && all.size() < entries_max; ++at) {
    if (at->first.starts_with(prefix)) all.push_back(at->second);
  }
  return all;
}

// Few prefixes and any bytes, so that keys share beginnings and sort as unsigned.
std::string any_key(Random& random) {
  std::string key(1, static_cast<char>(random.chance(0.5) ? 'a' : random.next()));
  for (std::uint64_t i = random.below(4); i > 0; --i)
    key.push_back(static_cast<char>(random.next()));
  return key;
}

void change(KeyOrder& order, Model& model, HeldEntries& entries, Random& random, double growth) {
  const std::string key = any_key(random);
  const auto at = model.lower_bound(key);
  if (random.chance(growth)) {
    Entry& entry = entries.make(key, {});
    if (at != model.end() && at->first == key) {
      order.replace(*at->second, entry);
    } else {
      order.insert(entry);
    }
    model[key] = &entry;
  } else if (at != model.end()) {
    order.remove(*at->second);
    order.remove(*at->second);
    model.erase(at);
  }
}

TEST_CASE("key order: does what a map does, built or grown") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    HeldEntries entries;
    KeyOrder order;
    Model model;
    for (std::uint64_t i = seed % 3 * 2000; i > 0; --i) {
      const std::string key = any_key(random);
      model[key] = &entries.make(key, {});
    }
    std::vector<Entry*> unsorted;
    for (const auto& [key, entry] : model)
      unsorted.push_back(entry);
    random.shuffle(unsorted);
    order.build(unsorted);
    for (int i = 0; i < 12'000; ++i) {
      change(order, model, entries, random, i < 6000 ? 0.8 : 0.1);
      REQUIRE(order.size() == model.size());
      if (i % 100 != 0) continue;
      const std::string from = random.chance(0.3) ? "" : any_key(random);
      const std::string prefix = random.chance(0.5) ? "" : any_key(random).substr(0, 2);
      const std::size_t most = random.chance(0.5) ? 1'000'000 : random.below(400);
      REQUIRE(seen(order, from, prefix, most) == expected(model, from, prefix, most));
    }
    while (!model.empty())
      change(order, model, entries, random, 0.0);
    CHECK(seen(order, "", "", 1).empty());
    CHECK(order.bytes() < 1000);
  }
}

TEST_CASE(
    "key order: is built right of keys that share their beginning, and of ends that are zeros") {
  const std::string shared = "a long beginning that all of them share: ";
  const std::vector<std::string> ends = {"",
                                         std::string(1, '\0'),
                                         std::string(9, '\0'),
                                         "12345678",
                                         "12345678\x01",
                                         "12345678\xff",
                                         "123456789",
                                         "\xff"};
  for (const std::string& begin : {shared, std::string("x")}) {
    Random random(begin.size());
    HeldEntries entries;
    Model model;
    std::vector<Entry*> unsorted;
    for (const std::string& end : ends)
      unsorted.push_back(model[begin + end] = &entries.make(begin + end, {}));
    for (int turn = 0; turn < 20; ++turn) {
      random.shuffle(unsorted);
      KeyOrder order;
      order.build(unsorted);
      CHECK(seen(order, "", "", 100) == expected(model, "", "", 100));
    }
  }
}

TEST_CASE("key order: 12 bytes per key, whatever order the keys come in") {
  Random random(1);
  HeldEntries entries;
  std::vector<Entry*> all;
  for (int i = 100'000; i < 150'000; ++i)
    all.push_back(&entries.make(std::to_string(i), {}));
  const auto per_key = [&](const KeyOrder& order) {
    return static_cast<double>(order.bytes()) / static_cast<double>(order.size());
  };
  KeyOrder ascending;
  for (Entry* entry : all)
    ascending.insert(*entry);
  CHECK(per_key(ascending) < 8.5);
  random.shuffle(all);
  KeyOrder mixed;
  for (Entry* entry : all)
    mixed.insert(*entry);
  CHECK(per_key(mixed) < 12.5);
  KeyOrder built;
  built.build(all);
  CHECK(per_key(built) < 11);
}

}  // namespace
}  // namespace dhrt::test
