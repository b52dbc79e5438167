#include "storage/counter.h"

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "storage/record_codec.h"
#include "storage/writer.h"
#include "tests/storage/store_suite.h"

namespace dhrt::test {
namespace {

constexpr std::int64_t number_max = std::numeric_limits<std::int64_t>::max();

// A node as far as counting goes. Writes of it wait in `told` until somebody takes them.
struct Node {
  std::unique_ptr<MemoryStore> store = make_memory_store({});
  HybridClock clock;
  std::unique_ptr<RecordWriter> writer;
  Collection& users = opened(*store, "users", false);
  std::vector<KeyedRecord> told;
  std::size_t joins = 0;

  explicit Node(NodeId id) { start(id, 1); }
  void start(NodeId id, std::uint32_t epoch) {
    writer = std::make_unique<RecordWriter>(*store, clock, Origin{id, epoch, 0});
  }

  std::int64_t add(std::int64_t more, WallMilliseconds wall = noon) {
    std::string value;
    const auto written = must(
        writer->change(users, HashedKey("n"), wall, [&](const RecordView* held, Change& change) {
          value =
              std::to_string((held != nullptr ? std::stoll(std::string(held->value)) : 0) + more);
          change.value = value;
          change.adds = more;
          return true;
        }));
    REQUIRE(written.has_value());
    tell({.key = "n", .value = value, .attributes = writer->counted_attributes()}, *written);
    return std::stoll(value);
  }
  void expire_at(WallMilliseconds deadline, WallMilliseconds wall = noon) {
    std::string value;
    std::string attributes;
    const auto written = must(
        writer->change(users, HashedKey("n"), wall, [&](const RecordView* held, Change& change) {
          REQUIRE(held != nullptr);
          value = held->value;
          attributes = held->attributes;
          change.deadline = deadline;
          return true;
        }));
    tell({.key = "n", .value = value, .attributes = attributes}, *written);
  }
  void set(const std::string& value) { write({.key = "n", .value = value}); }
  void erase() { write({.key = "n", .deletes = true}); }
  void write(const WriteRequest& request) {
    tell(request, must(writer->write(users, request, noon)));
  }
  void tell(const WriteRequest& request, const Written& written) {
    told.push_back({"n", record_of(request, written)});
  }

  void take_in(const std::vector<KeyedRecord>& records, bool live, WallMilliseconds wall = noon) {
    if (live)
      must(writer->push(users, views_of(records), wall));
    else
      must(writer->pull(users, records, wall));
    for (Joined& joined : writer->take_joined()) {
      ++joins;
      told.push_back(std::move(joined.entry));
    }
  }
  Record held() { return must(users.find("n")).value_or(Record{.deleted = true}); }
  std::string value(WallMilliseconds wall = noon) {
    const Record record = held();
    return visible(record, wall) ? record.value : "(none)";
  }
};

std::vector<KeyedRecord> taken(Node& node) {
  return std::exchange(node.told, {});
}

// Everybody hears everything, until nobody has anything to say.
void meet(const std::vector<Node*>& nodes, bool live = true) {
  for (int round = 0; round < 20; ++round) {
    bool said = false;
    std::vector<std::vector<KeyedRecord>> news;
    for (Node* node : nodes)
      news.push_back(taken(*node));
    for (std::size_t from = 0; from < nodes.size(); ++from) {
      if (news[from].empty()) continue;
      said = true;
      for (Node* node : nodes) {
        if (node != nodes[from]) node->take_in(news[from], live);
      }
    }
    if (!said) return;
  }
  FAIL("they never come to an end");
}

}  // namespace

TEST_CASE("counter: increments on both sides of a split all count, pushed or pulled") {
  for (const bool live : {true, false}) {
    CAPTURE(live);
    Node one(1);
    Node other(2);
    CHECK(one.add(5) == 5);
    CHECK(other.add(3) == 3);
    CHECK(other.add(-1) == 2);
    meet({&one, &other}, live);
    CHECK(one.value() == "7");
    CHECK(one.held() == other.held());
    CHECK(one.add(1) == 8);
    meet({&one, &other}, live);
    CHECK(other.value() == "8");
  }
}

TEST_CASE("counter: a plain number, a deleted key and an absent one are each counted on") {
  struct Case {
    const char* name;
    std::function<void(Node&)> begin;
    std::string sum;
  };
  for (const Case& begun :
       {Case{"a number", [](Node& node) { node.set("10"); }, "13"},
        Case{"nothing", [](Node&) {}, "3"},
        Case{"a delete", [](Node& node) { node.set("7"), node.erase(); }, "3"}}) {
    CAPTURE(begun.name);
    Node one(1);
    Node other(2);
    begun.begin(one);
    meet({&one, &other});
    one.add(1);
    other.add(2);
    meet({&one, &other});
    CHECK(one.value() == begun.sum);
    CHECK(one.held() == other.held());
  }
}

TEST_CASE("counter: a set or a delete begins anew, whatever is added elsewhere meanwhile") {
  for (const bool deletes : {false, true}) {
    CAPTURE(deletes);
    Node one(1);
    Node other(2);
    Node third(3);
    one.set("100");
    meet({&one, &other, &third});
    if (deletes)
      one.erase();
    else
      one.set("50");
    CHECK(one.add(1) == (deletes ? 1 : 51));
    // Later by its version than all of that, but on what was replaced.
    for (int i = 0; i < 5; ++i)
      other.add(1);
    third.add(1);
    meet({&other, &third});
    CHECK(third.value() == "106");
    meet({&one, &other, &third});
    CHECK(one.value() == (deletes ? "1" : "51"));
    CHECK(one.held() == other.held());
    CHECK(one.held() == third.held());
  }
}

TEST_CASE("counter: what counts on a delete that was carried over a later version is not lost") {
  Node one(1);
  Node other(2);
  Node third(3);
  one.set("100");
  meet({&one, &other, &third});
  one.erase();
  third.take_in(one.told, true);
  for (int i = 0; i < 5; ++i)
    other.add(1);
  other.take_in(taken(one), true);  // The delete has the lower version: it is carried.
  CHECK(other.value() == "(none)");
  CHECK(other.joins == 1);
  CHECK(other.add(3) == 3);
  CHECK(third.add(4) == 4);
  meet({&one, &other, &third});
  CHECK(one.value() == "7");
  CHECK(one.held() == other.held());
  CHECK(one.held() == third.held());
}

TEST_CASE(
    "counter: after a delete that one side has forgotten, or never heard of, both sides count") {
  Node one(1);
  Node other(2);
  one.set("100");
  one.erase();
  one.told.clear();
  CHECK(one.add(2, noon + 1) == 2);
  CHECK(other.add(3, noon + 1) == 3);  // It counts on nothing at all.
  meet({&one, &other});
  CHECK(one.value() == "5");
  CHECK(one.held() == other.held());
}

TEST_CASE("counter: what is counted after the deadline on both sides of a split counts") {
  Node one(1);
  Node other(2);
  one.add(5);
  one.expire_at(noon + 10);
  meet({&one, &other});
  CHECK(one.add(1, noon + 1) == 6);  // So that they do not end the same record.
  CHECK(one.add(1, noon + 20) == 1);
  CHECK(other.add(2, noon + 20) == 2);
  meet({&one, &other});
  CHECK(one.value(noon + 20) == "3");
  CHECK(one.held() == other.held());
}

TEST_CASE("counter: a flush takes what it saw, and not what is counted after it") {
  Node one(1);
  Node other(2);
  Node third(3);
  one.add(5);
  third.take_in(one.told, true);
  const Context flushed = must(third.writer->flush(third.users));
  // Who hears of the flush before it hears of what was flushed counts on nothing.
  must(other.writer->apply_flush(other.users, flushed));
  CHECK(other.add(2, noon + 1) == 2);
  CHECK(third.add(3, noon + 1) == 3);
  must(one.writer->apply_flush(one.users, flushed));
  CHECK(one.add(4, noon + 1) == 4);
  meet({&one, &other, &third});
  CHECK(one.value() == "9");
  CHECK(one.held() == other.held());
  CHECK(one.held() == third.held());
}

TEST_CASE("counter: a record that a flush did not see stays whole") {
  Node one(1);
  Node other(2);
  one.add(5);
  meet({&one, &other});
  CHECK(other.add(2) == 7);
  must(other.writer->apply_flush(other.users, must(one.writer->flush(one.users))));
  CHECK(one.value() == "(none)");
  CHECK(other.value() == "7");
  meet({&one, &other});
  CHECK(one.value() == "7");
  CHECK(one.held() == other.held());
}

TEST_CASE("counter: who forgot a record begins a cell that beats its own of before") {
  Node other(2);
  Node forgets(1);
  forgets.add(5);
  meet({&forgets, &other});
  CHECK(other.add(1) == 6);
  Node again(1);
  CHECK(again.add(2, noon + 1) == 2);
  meet({&again, &other});
  CHECK(again.value() == "3");
  CHECK(again.held() == other.held());
}

TEST_CASE("counter: a wrong clock elsewhere does not pull ours with it when they join") {
  constexpr WallMilliseconds day = 86'400'000;
  Node one(1);
  Node wrong(2);
  one.add(1);
  wrong.add(1, noon + day);
  one.take_in(taken(wrong), true);
  CHECK(one.value() == "2");
  CHECK(hlc_milliseconds(one.clock.last()) < noon + day);
}

TEST_CASE("counter: a burst is joined once, and joins that say the same come to an end") {
  Node one(1);
  Node other(2);
  Node third(3);
  for (int i = 0; i < 16; ++i)
    other.add(1);
  one.add(1);
  meet({&one, &other, &third});
  CHECK(one.value() == "17");
  CHECK(one.held() == third.held());
  CHECK(one.joins + other.joins + third.joins <= 3);
}

TEST_CASE("counter: a node that lost its disk counts beside what it counted before") {
  Node other(2);
  {
    Node lost(1);
    lost.add(5);
    meet({&lost, &other});
  }
  Node again(1);
  again.start(1, 2);
  CHECK(again.add(2) == 2);
  meet({&again, &other});
  CHECK(again.value() == "7");
  CHECK(again.held() == other.held());
}

// A delete that is forgotten by all who knew of it comes to nobody any more.
TEST_CASE("counter: what its writer or its sender had seen, and counts on no more, is not joined") {
  enum class Comes { live_of_its_writer, pulled, mended, of_one_who_may_not_know };
  for (const Comes comes :
       {Comes::live_of_its_writer, Comes::pulled, Comes::mended, Comes::of_one_who_may_not_know}) {
    CAPTURE(static_cast<int>(comes));
    Node one(1);
    Node given_up(2);
    one.set("24");
    given_up.take_in(one.told, true);
    const Dot number = one.held().dot;
    const Context seen = context_of(number.origin, 1, number.sequence);
    // As after the delete and its forgetting.
    Node since(comes == Comes::live_of_its_writer ? 1 : 3);
    must(since.writer->write(since.users, {.key = "other"}, noon));
    since.add(2, noon + 5);
    if (comes == Comes::live_of_its_writer)
      given_up.take_in(since.told, true, noon);
    else if (comes == Comes::mended)
      must(given_up.writer->mend(given_up.users, since.told, {}, seen, noon));
    else
      must(given_up.writer->pull(given_up.users, since.told, noon,
                                 {.node = 3, .vector = comes == Comes::pulled ? &seen : nullptr}));
    CHECK(given_up.value() == (comes == Comes::of_one_who_may_not_know ? "26" : "2"));
  }
}

TEST_CASE("counter: what cannot be judged yet is not joined, and counts as not received") {
  Node one(1);
  Node given_up(2);
  one.set("24");
  given_up.take_in(one.told, true);
  const Dot number = one.held().dot;
  Node since(3);
  must(since.writer->write(since.users, {.key = "other"}, noon));
  since.add(2, noon + 5);
  since.add(1, noon + 6);
  const std::vector<KeyedRecord> counted = taken(since);
  must(given_up.writer->push(given_up.users, views_of(counted), noon, false));
  CHECK(given_up.value() == "24");
  for (const KeyedRecord& record : counted)
    CHECK(!given_up.users.seen().contains(record.record.dot));
  must(given_up.writer->mend(given_up.users, {counted.back()}, {},
                             context_of(number.origin, 1, number.sequence), noon));
  CHECK(given_up.value() == "3");
  // What needs no joining is taken in.
  since.add(4, noon + 7);
  since.set("50");
  const std::vector<KeyedRecord> later = taken(since);
  must(given_up.writer->push(given_up.users, views_of({later[0]}), noon, false));
  CHECK(given_up.value() == "7");
  must(given_up.writer->push(given_up.users, views_of({later[1]}), noon, false));
  CHECK(given_up.value() == "50");
  CHECK(given_up.writer->joins() == 0);
}

TEST_CASE("counter: many starts of a node take few bytes, and are not counted twice") {
  Node one(1);
  Node other(2);
  std::size_t bytes_max = 0;
  for (std::uint32_t epoch = 1; epoch <= 200; ++epoch) {
    one.start(1, epoch);
    one.add(1);
    if (epoch % 3 == 0) meet({&one, &other});
    bytes_max = std::max(bytes_max, one.held().attributes.size());
  }
  other.add(1);
  meet({&one, &other});
  CHECK(one.value() == "201");
  CHECK(one.held() == other.held());
  CHECK(bytes_max < 150);
}

TEST_CASE("counter: a deadline that one side has met already is no delete") {
  Node one(1);
  Node other(2);
  one.add(5);
  one.expire_at(noon + 10);
  meet({&one, &other});
  other.expire_at(noon + 1000);
  CHECK(other.add(2) == 7);
  for (int i = 0; i < 5; ++i)
    one.store->maintain(noon + 10, 10);
  CHECK(one.value() == "(none)");
  meet({&one, &other});
  CHECK(one.value(noon + 20) == "7");
  CHECK(one.held() == other.held());
}

TEST_CASE("counter: a later change of the deadline does not lose to a join that came after it") {
  Node one(1);
  Node other(2);
  Node third(3);
  one.add(5);
  other.add(3);
  const auto of_one = taken(one);
  third.take_in(of_one, true);
  third.expire_at(noon + 90'000, noon + 1'000);
  // It joins two records of noon, late, and has not heard of the deadline.
  one.take_in(taken(other), true, noon + 5'000);
  other.take_in(of_one, true, noon + 5'000);
  meet({&one, &other, &third});
  CHECK(one.held() == third.held());
  CHECK(one.held().deadline == noon + 90'000);
  CHECK(one.value() == "8");
}

// As a version does it that copies what it does not know.
TEST_CASE("counter: a number that was changed beside its attribute is a plain one") {
  Node one(1);
  one.add(5);
  Record record = one.held();
  CHECK(counter_of(view_of(record)));
  record.value = "50";
  CHECK_FALSE(counter_of(view_of(record)));
}

TEST_CASE("counter: after its deadline a count begins at 0") {
  for (const bool maintained : {false, true}) {
    CAPTURE(maintained);
    Node one(1);
    Node other(2);
    one.add(5);
    one.expire_at(noon + 10);
    meet({&one, &other});
    if (maintained) one.store->maintain(noon + 10, 10);
    CHECK(one.add(1, noon + 10) == 1);
    CHECK(other.add(2, noon + 10) == 2);
    meet({&one, &other});
    CHECK(one.value() == "3");
    CHECK(one.held() == other.held());
  }
}

TEST_CASE("counter: sums stay in range") {
  Node one(1);
  Node other(2);
  one.set(std::to_string(number_max - 5));
  meet({&one, &other});
  one.add(4);
  other.add(4);
  meet({&one, &other});
  CHECK(one.value() == std::to_string(number_max));
  CHECK(one.held() == other.held());
  CounterState counter{.start = number_max};
  counter.cells = {{.node = 1, .sum = number_max}, {.node = 2, .sum = -number_max}};
  CHECK(counter.value() == number_max);
  counter.start = -number_max - 1;
  counter.cells[0].sum = -1;
  CHECK(counter.value() == -number_max - 1);
  counter.cells = {{.node = 1, .sum = 5}, {.node = 2, .sum = -7}};
  counter.start = 1;
  CHECK(counter.value() == -1);
}

// Whatever comes in whatever order, however often: equal in the end, and where nothing but numbers
// was added, and nodes began anew, nothing is lost.
TEST_CASE("counter: three nodes that hear each other now and then agree in the end") {
  constexpr WallMilliseconds all_over = noon + 1000;
  for (std::uint64_t seed = 1; seed <= 500; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Node one(1);
    Node other(2);
    Node third(3);
    const std::vector<Node*> nodes{&one, &other, &third};
    const bool only_adds = random.chance(0.5);
    std::uint32_t epoch = 1;
    std::int64_t sum = 0;
    for (int step = 0; step < 40; ++step) {
      const std::uint64_t which = random.below(nodes.size());
      Node& node = *nodes[which];
      const std::uint64_t dice = random.below(only_adds ? 60 : 100);
      if (dice < 50) {
        const auto more = static_cast<std::int64_t>(random.below(20)) - 5;
        node.add(more);
        sum += more;
      } else if (dice < 60) {
        node.start(which + 1, ++epoch);
      } else if (dice < 70) {
        node.set(std::to_string(random.below(100)));
      } else if (dice < 80) {
        node.erase();
      } else if (dice < 90) {
        if (node.value() != "(none)") node.expire_at(noon + 1 + random.below(500));
      } else {
        node.store->maintain(noon + random.below(500), 10);
      }
      // What is said here is said again in the end.
      if (random.chance(0.3))
        nodes[random.below(nodes.size())]->take_in(node.told, random.chance(0.5));
    }
    meet(nodes);
    for (Node* node : nodes)
      node->store->maintain(all_over, 10);
    REQUIRE(one.held() == other.held());
    REQUIRE(one.held() == third.held());
    if (only_adds) REQUIRE(one.value() == std::to_string(sum));
  }
}

TEST_CASE("counter: bytes that are none make a plain record, and nothing is read outside of them") {
  Node one(1);
  one.set("10");
  one.add(3);
  const Record good = one.held();
  REQUIRE(counter_of(view_of(good)).has_value());
  CHECK(counter_of(view_of(good))->value() == 13);
  CHECK(without_counter(good.attributes).empty());
  const std::string encoded = *find_attribute(good.attributes, attribute_counter);
  Random random(7);
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = encoded;
    if (random.chance(0.5)) bytes.resize(random.below(bytes.size() + 1));
    for (std::uint64_t changed = random.below(4); changed > 0 && !bytes.empty(); --changed)
      bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
    Record bad = good;
    bad.dot.sequence += 1;
    bad.attributes = with_attribute({}, attribute_counter, bytes);
    const auto counter = counter_of(view_of(bad));
    if (counter) {
      CHECK(counter->base.version < bad.version);
      for (const CounterCell& cell : counter->cells) {
        CHECK(cell.opened > counter->base.version.hlc);
        CHECK(cell.last <= bad.version.hlc);
      }
    }
    if (!must_join(view_of(good), view_of(bad), CounterMistake::none)) continue;
    const JoinedRecord joined = join(view_of(good), view_of(bad), CounterMistake::none);
    CHECK(joined.attributes.size() <= attributes_bytes_max);
  }
}

}  // namespace dhrt::test
