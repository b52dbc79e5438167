#include "storage/dot_order.h"

#include <set>

#include <doctest/doctest.h>

#include "storage/base/random.h"

namespace dhrt::test {
namespace {

constexpr Origin first_origin{.node = 1, .epoch = 1, .loop = 0};
constexpr Origin second_origin{.node = 2, .epoch = 1, .loop = 0};

struct CountingIndex {
  std::set<Dot> dots;
  int seeks = 0;

  SeekDot seek() {
    return [this](const Dot& from) -> std::optional<Dot> {
      ++seeks;
      const auto found = dots.lower_bound(from);
      if (found == dots.end()) return std::nullopt;
      return *found;
    };
  }
};

TEST_CASE("dot order: catching up touches what is missing, not what is there") {
  CountingIndex index;
  Context excluded;
  for (std::uint64_t i = 1; i <= 100'000; ++i)
    index.dots.insert({first_origin, i});
  excluded.add(first_origin, Interval{1, 97'500});
  int found = 0;
  std::optional<Dot> dot = Dot{};
  while ((dot = first_not_in(excluded, *dot, index.seek()))) {
    ++found;
    ++dot->sequence;
  }
  CHECK(found == 2'500);
  CHECK(index.seeks <= 2'502);
}

TEST_CASE("dot order: stepping agrees with testing each dot") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    CountingIndex index;
    Context wanted;
    Context excluded;
    for (int i = 0; i < 40; ++i) {
      const Origin origin = random.chance(0.5) ? first_origin : second_origin;
      index.dots.insert({origin, random.between(1, 60)});
      const std::uint64_t low = random.between(1, 60);
      (random.chance(0.5) ? wanted : excluded).add(origin, {low, low + random.below(6)});
    }
    const Dot from{random.chance(0.5) ? first_origin : second_origin, random.below(60)};
    const auto expect = [&](auto&& holds) -> std::optional<Dot> {
      for (const Dot& dot : index.dots) {
        if (dot >= from && holds(dot)) return dot;
      }
      return std::nullopt;
    };
    const auto absent = expect([&](const Dot& dot) { return !excluded.contains(dot); });
    CHECK(first_not_in(excluded, from, index.seek()) == absent);
    const auto between =
        expect([&](const Dot& dot) { return wanted.contains(dot) && !excluded.contains(dot); });
    CHECK(first_between(wanted, excluded, from, index.seek()) == between);
  }
}

}  // namespace
}  // namespace dhrt::test
