#include "storage/dot_index.h"

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "tests/storage/held_entries.h"

namespace dhrt::test {
namespace {

// Entries that only have a dot.
class Entries {
 public:
  Entry& make(OriginAlias origin, std::uint64_t sequence) {
    return held_.make("key", {.dot = {.origin = {}, .sequence = sequence}}, origin);
  }

 private:
  HeldEntries held_;
};

using Model = std::map<std::pair<OriginAlias, std::uint64_t>, Entry*>;

std::vector<Entry*> all_of(const DotIndex& index, OriginAlias origin, std::uint64_t from) {
  std::vector<Entry*> found;
  index.visit(origin, from, [&](Entry& entry) {
    found.push_back(&entry);
    return true;
  });
  return found;
}

std::vector<Entry*> all_of(const Model& model, OriginAlias origin, std::uint64_t from) {
  std::vector<Entry*> found;
  for (auto at = model.lower_bound({origin, from}); at != model.end(); ++at) {
    if (at->first.first == origin) found.push_back(at->second);
  }
  return found;
}

// Sequences near each other, at the end, or anywhere.
std::uint64_t any_sequence(Random& random, std::uint64_t& last) {
  if (random.chance(0.5)) return ++last;
  if (random.chance(0.7)) return random.between(1, 3000);
  return random.below(std::uint64_t{1} << random.between(1, 48));
}

TEST_CASE("dot index: does what a map does") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Entries entries;
    DotIndex index;
    Model model;
    std::uint64_t last = 100'000;
    for (int i = 0; i < 20'000; ++i) {
      const auto origin = static_cast<OriginAlias>(random.chance(0.5) ? 0 : 65535);
      const std::uint64_t sequence = any_sequence(random, last);
      if (random.chance(i < 12'000 ? 0.6 : 0.2)) {
        Entry& entry = entries.make(origin, sequence);
        const bool added = index.add(entry);
        REQUIRE(added == model.emplace(std::pair(origin, sequence), &entry).second);
      } else if (const auto at = model.lower_bound({origin, sequence}); at != model.end()) {
        index.remove(*at->second);
        model.erase(at);
      }
      REQUIRE(index.size() == model.size());
      if (i % 500 != 0) continue;
      for (const OriginAlias of : {OriginAlias{0}, OriginAlias{65535}}) {
        REQUIRE(all_of(index, of, 0) == all_of(model, of, 0));
        REQUIRE(all_of(index, of, sequence) == all_of(model, of, sequence));
      }
    }
    while (!model.empty()) {
      index.remove(*model.begin()->second);
      model.erase(model.begin());
    }
    CHECK(index.size() == 0);
    CHECK(index.bytes() < 20'000);
  }
}

TEST_CASE("dot index: seek shows the first entry at or behind a sequence") {
  Entries entries;
  DotIndex index;
  const auto sought = [&](std::uint64_t from) -> std::optional<std::uint64_t> {
    std::uint64_t sequence = 0;
    if (!index.seek(3, from, [&](Entry& entry) { sequence = entry.dot().sequence; })) return {};
    return sequence;
  };
  CHECK_FALSE(sought(0));
  for (const std::uint64_t sequence : {511u, 512u, 1'000'000u})
    REQUIRE(index.add(entries.make(3, sequence)));
  CHECK(sought(0) == 511);
  CHECK(sought(511) == 511);
  CHECK(sought(512) == 512);
  CHECK(sought(513) == 1'000'000);
  CHECK_FALSE(sought(1'000'001));
  CHECK(index.origins() == 4);
}

TEST_CASE("dot index: the first entry under a dot stays, and a second one is refused") {
  Entries entries;
  DotIndex index;
  Entry& first = entries.make(1, 5);
  Entry& second = entries.make(1, 5);
  REQUIRE(index.add(first));
  CHECK_FALSE(index.add(second));
  CHECK(index.size() == 1);
  CHECK(all_of(index, 1, 0) == std::vector<Entry*>{&first});
  index.remove(first);
  CHECK(index.empty());
  CHECK(index.add(second));
  CHECK(all_of(index, 1, 0) == std::vector<Entry*>{&second});
}

TEST_CASE("dot index: an entry takes the place of another one under the same dot") {
  Entries entries;
  DotIndex index;
  std::vector<Entry*> all;
  for (std::uint64_t sequence = 1; sequence <= 1000; ++sequence) {
    all.push_back(&entries.make(2, sequence));
    REQUIRE(index.add(*all.back()));
  }
  // The chunks that are full are packed now.
  for (std::uint64_t sequence = 1; sequence <= 1000; ++sequence) {
    if (sequence % 8 != 0) index.remove(*all[sequence - 1]);
  }
  for (const std::uint64_t sequence : {8u, 200u, 448u, 1000u}) {
    Entry& next = entries.make(2, sequence);
    index.exchange(*all[sequence - 1], next);
    CHECK(all_of(index, 2, sequence).front() == &next);
  }
  CHECK(index.size() == 125);
}

TEST_CASE("dot index: dense sequences cost 8 bytes each, sparse ones what their chunks do") {
  Entries entries;
  DotIndex index;
  std::vector<Entry*> all;
  for (std::uint64_t sequence = 0; sequence < 512 * 200; ++sequence) {
    all.push_back(&entries.make(0, sequence));
    REQUIRE(index.add(*all.back()));
  }
  CHECK(index.bytes() <= 512 * 200 * 8.5);
  std::size_t left = all.size();
  for (const std::size_t keep : {2u, 4u, 8u, 64u, 256u}) {
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i] == nullptr || i % keep == 0) continue;
      index.remove(*std::exchange(all[i], nullptr));
      --left;
    }
    CAPTURE(keep);
    // A chunk with a quarter of its entries has a place for each of the others, too.
    CHECK(index.bytes() <= left * (keep <= 4 ? 8 * keep : 10) + 230 * 260 + 12'000);
  }
  for (Entry* entry : all) {
    if (entry != nullptr) index.remove(*entry);
  }
  CHECK(index.bytes() < 12'000);
}

TEST_CASE("dot index: one entry comes when another goes, far behind or near") {
  Entries entries;
  DotIndex index;
  Model model;
  Random random(1);
  for (std::uint64_t sequence = 1; sequence <= 30'000; ++sequence) {
    const auto origin = static_cast<OriginAlias>(random.chance(0.99) ? 0 : 1);
    Entry& entry = entries.make(origin, sequence);
    REQUIRE(index.add(entry));
    // Some stay for long, so that the oldest chunks are far behind the newest.
    auto at = model.lower_bound({OriginAlias{0}, random.below(sequence)});
    if (at == model.end() || random.chance(0.1)) at = model.begin();
    const bool stays = model.size() < 3000 || (at->first.second % 1024 == 0 && model.size() < 3100);
    if (!stays) {
      index.remove(*at->second);
      model.erase(at);
    }
    model[{origin, sequence}] = &entry;
  }
  CHECK(index.size() == model.size());
  for (const std::uint64_t from : {0u, 1024u, 10'000u, 29'000u}) {
    CHECK(all_of(index, 0, from) == all_of(model, 0, from));
    CHECK(all_of(index, 1, from) == all_of(model, 1, from));
  }
}

}  // namespace
}  // namespace dhrt::test
