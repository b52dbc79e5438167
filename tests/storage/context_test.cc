#include "storage/context.h"

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

namespace dhrt::test {
namespace {

// The same set, kept as anybody would.
struct Model {
  std::set<std::uint64_t> numbers;

  void add(Interval interval) {
    for (std::uint64_t i = interval.first; i <= interval.last; ++i)
      numbers.insert(i);
  }
  std::uint64_t next_absent(std::uint64_t from) const {
    while (numbers.contains(from))
      ++from;
    return from;
  }
  std::uint64_t tip() const { return next_absent(1) - 1; }
};

Interval random_interval(Random& random) {
  const std::uint64_t first = random.between(1, 80);
  return {first, first + random.below(6)};
}

bool well_formed(const IntervalSet& set) {
  std::uint64_t end = 0;
  bool first = true;
  for (const Interval& interval : set.intervals()) {
    if (interval.first > interval.last) return false;
    if (!first && interval.first <= end + 1) return false;
    end = interval.last;
    first = false;
  }
  return true;
}

TEST_CASE("interval set: agrees with a plain set over thousands of random operations") {
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    IntervalSet set;
    Model model;
    for (int step = 0; step < 60; ++step) {
      const Interval interval = random_interval(random);
      if (random.chance(0.5)) {
        CHECK(set.add(interval.first) == model.numbers.insert(interval.first).second);
      } else {
        set.add(interval);
        model.add(interval);
      }
      REQUIRE(well_formed(set));
      const std::uint64_t probe = random.between(1, 100);
      CHECK(set.contains(probe) == model.numbers.contains(probe));
      CHECK(set.next_absent(probe) == model.next_absent(probe));
      CHECK(set.tip() == model.tip());
      CHECK(set.last() == *model.numbers.rbegin());
    }
  }
}

TEST_CASE("interval set: union and inclusion agree with a plain set") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    IntervalSet sets[2];
    Model models[2];
    for (int i = 0; i < 12; ++i) {
      const std::size_t which = random.below(2);
      const Interval interval = random_interval(random);
      sets[which].add(interval);
      models[which].add(interval);
    }
    const bool included = std::includes(models[0].numbers.begin(), models[0].numbers.end(),
                                        models[1].numbers.begin(), models[1].numbers.end());
    CHECK(sets[0].contains(sets[1]) == included);
    IntervalSet common = sets[0];
    common.intersect(sets[1]);
    CHECK(well_formed(common));
    Context contexts[2];
    for (int which : {0, 1}) {
      for (const Interval& interval : sets[which].intervals())
        contexts[which].add(Origin{1, 1, 0}, interval);
    }
    CHECK(contexts[0].count_beyond(contexts[1]) == sets[0].size() - common.size());
    CHECK(contexts[0].count_beyond({}) == models[0].numbers.size());
    for (std::uint64_t i = 1; i <= 90; ++i)
      CHECK(common.contains(i) == (sets[0].contains(i) && sets[1].contains(i)));
    sets[0].add(sets[1]);
    CHECK(well_formed(sets[0]));
    CHECK(sets[0].contains(sets[1]));
    models[0].numbers.insert(models[1].numbers.begin(), models[1].numbers.end());
    for (std::uint64_t i = 1; i <= 90; ++i)
      CHECK(sets[0].contains(i) == models[0].numbers.contains(i));
  }
}

TEST_CASE("interval set: the ends of the numbers are handled") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  IntervalSet set;
  set.add(Interval{most - 1, most});
  set.add(Interval{0, 0});
  set.add(1);
  CHECK(set.contains(most));
  CHECK(set.intervals() == std::vector<Interval>{{0, 1}, {most - 1, most}});
}

Context random_context(Random& random) {
  Context context;
  for (std::uint64_t i = random.below(12); i > 0; --i) {
    const Origin origin{random.between(1, 3), static_cast<std::uint32_t>(random.between(1, 2)),
                        static_cast<std::uint16_t>(random.below(2))};
    context.add(origin, random_interval(random));
  }
  return context;
}

std::string encoded(const Context& context) {
  std::string bytes;
  ByteWriter writer(bytes);
  encode(writer, context);
  return bytes;
}

TEST_CASE("context: what is encoded is decoded, and every cut is noticed") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Context context = random_context(random);
    const std::string bytes = encoded(context);
    ByteReader reader(bytes);
    CHECK(decode_context(reader) == context);
    CHECK(reader.ok());
    CHECK(reader.empty());
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
      ByteReader short_reader(Bytes(bytes).substr(0, cut));
      decode_context(short_reader);
      CHECK(!short_reader.ok());
    }
  }
}

TEST_CASE("context: merging is a union, in whatever order") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const Context a = random_context(random);
    const Context b = random_context(random);
    Context ab = a;
    ab.merge(b);
    Context ba = b;
    ba.merge(a);
    CHECK(ab == ba);
    CHECK(ab.hash() == ba.hash());
    CHECK(ab.contains(a));
    CHECK(ab.contains(b));
    CHECK((a.contains(b) == (ab == a)));
    Context again = ab;
    again.merge(b);
    CHECK(again == ab);
  }
}

// One origin with the given pairs of (gap, length), as they stand in the encoding.
std::string one_origin(const std::vector<std::pair<std::uint64_t, std::uint64_t>>& pairs) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.varint(1);
  writer.u64(1);
  writer.u32(1);
  writer.u16(0);
  writer.varint(pairs.size());
  for (const auto& [gap, length] : pairs) {
    writer.varint(gap);
    writer.varint(length);
  }
  return bytes;
}

TEST_CASE("context: intervals that no encoder writes are refused") {
  constexpr auto most = std::numeric_limits<std::uint64_t>::max();
  struct Case {
    const char* why;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> pairs;
    bool good;
  };
  for (const auto& c : {
           Case{"one interval", {{1, 4}}, true},
           Case{"two with a number between", {{1, 4}, {2, 0}}, true},
           Case{"up to the last number but one", {{1, most - 2}}, true},
           Case{"an origin without dots", {}, false},
           Case{"sequence 0", {{0, 4}}, false},
           Case{"they touch", {{1, 4}, {1, 0}}, false},
           Case{"they overlap", {{1, 4}, {0, 3}}, false},
           Case{"beyond the last number", {{2, most}}, false},
           Case{"the second beyond the last number", {{5, 5}, {most, 0}}, false},
       }) {
    CAPTURE(c.why);
    const std::string bytes = one_origin(c.pairs);
    ByteReader reader(bytes);
    decode_context(reader);
    CHECK(reader.ok() == c.good);
  }
}

TEST_CASE("context: an epoch is over when a later one of the same node is known") {
  Context context;
  context.add(Dot{{.node = 5, .epoch = 3, .loop = 1}, 1});
  struct Case {
    const char* why;
    Origin origin;
    bool over;
  };
  for (const auto& c : {
           Case{"an earlier epoch", {5, 2, 0}, true},
           Case{"the same epoch, another loop", {5, 3, 0}, false},
           Case{"a later epoch", {5, 4, 0}, false},
           Case{"the node before", {4, 1, 0}, false},
           Case{"the node behind", {6, 1, 0}, false},
       }) {
    CAPTURE(c.why);
    CHECK(context.knows_later_epoch(c.origin) == c.over);
  }
}

}  // namespace
}  // namespace dhrt::test
