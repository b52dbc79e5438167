#include "storage/deadlines.h"

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "tests/storage/held_entries.h"

namespace dhrt::test {
namespace {

TEST_CASE("deadlines: do what a set does") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    HeldEntries held;
    Deadlines deadlines;
    std::set<std::pair<WallMilliseconds, Entry*>> model;
    for (int i = 0; i < 10'000; ++i) {
      if (random.chance(0.6)) {
        // Few instants, so that many entries share one; 0 is none.
        Entry& entry = held.make("key", {.deadline = random.below(50)});
        deadlines.add(entry);
        if (entry.deadline() != 0) model.emplace(entry.deadline(), &entry);
      } else if (random.chance(0.9)) {
        const auto at = model.lower_bound({random.below(50), nullptr});
        if (at == model.end()) continue;
        deadlines.remove(*at->second);
        deadlines.remove(*at->second);
        model.erase(at);
      } else {
        const WallMilliseconds now = random.below(20);
        const std::size_t most = random.below(10);
        std::vector<Entry*> due;
        const bool more = deadlines.take_due(now, most, due);
        REQUIRE(due.size() <= most);
        for (Entry* entry : due) {
          REQUIRE(model.begin()->second == entry);
          model.erase(model.begin());
        }
        REQUIRE(more == (!model.empty() && model.begin()->first <= now));
        REQUIRE((more ? due.size() == most : true));
      }
      REQUIRE(deadlines.size() == model.size());
      REQUIRE(deadlines.next() == (model.empty() ? 0 : model.begin()->first));
    }
  }
}

TEST_CASE("deadlines: a million of the same instant fall due in steps") {
  HeldEntries held;
  Deadlines deadlines;
  constexpr std::size_t entries = 1'000'000;
  for (std::size_t i = 0; i < entries; ++i)
    deadlines.add(held.make("key", {.deadline = 5}));
  std::vector<Entry*> due;
  CHECK_FALSE(deadlines.take_due(4, 1000, due));
  CHECK(due.empty());
  std::size_t steps = 1;
  for (; deadlines.take_due(5, 1000, due); ++steps)
    due.clear();
  CHECK(steps == entries / 1000);
  CHECK(deadlines.size() == 0);
}

TEST_CASE("deadlines: a key that is written again and again leaves nothing behind") {
  HeldEntries held;
  Deadlines deadlines;
  std::vector<Entry*> current;
  for (WallMilliseconds i = 0; i < 1000; ++i) {
    current.push_back(&held.make("key", {.deadline = 1 + i}));
    deadlines.add(*current.back());
  }
  const std::size_t bytes = deadlines.bytes();
  for (WallMilliseconds i = 0; i < 50'000; ++i) {
    Entry*& entry = current[i % current.size()];
    Entry& next = held.make("key", {.deadline = 1000 + i});
    deadlines.add(next);
    deadlines.remove(*std::exchange(entry, &next));
  }
  CHECK(deadlines.size() == 1000);
  CHECK(deadlines.bytes() <= 2 * bytes + 4096);
}

}  // namespace
}  // namespace dhrt::test
