// Two nodes that write the same key: what each of them calls a conflict, and what it keeps of it.
#include "storage/conflicts.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/counter.h"
#include "tests/storage/store_suite.h"

namespace dhrt::test {
namespace {

constexpr NodeId here_id = here.node;
constexpr NodeId there_id = there.node;

struct Node {
  std::unique_ptr<MemoryStore> store = make_memory_store({});
  HybridClock clock;
  RecordWriter writer;
  Catalog catalog;
  Conflicts conflicts;
  Collection* users = nullptr;

  explicit Node(Origin origin, OnConflict on_conflict = OnConflict::last)
      : writer(*store, clock, origin),
        catalog(*store, writer, CatalogOptions{}),
        conflicts(catalog, writer) {
    must(catalog.load(noon));
    CollectionConfig config;
    config.on_conflict = on_conflict;
    users = must(catalog.create("users", config, noon));
  }

  KeyedRecord set(const std::string& key, const std::string& value, WallMilliseconds wall = noon) {
    const WriteRequest request{.key = key, .value = value};
    return {key, record_of(request, must(writer.write(*users, request, wall)))};
  }
  KeyedRecord erase(const std::string& key, WallMilliseconds wall = noon) {
    const WriteRequest request{.key = key, .deletes = true};
    return {key, record_of(request, must(writer.write(*users, request, wall)))};
  }
  KeyedRecord add(const std::string& key, std::int64_t more, WallMilliseconds wall = noon) {
    std::string value;
    const auto count = [&](const RecordView* held, Change& change) {
      value = std::to_string((held != nullptr ? std::stoll(std::string(held->value)) : 0) + more);
      change.value = value;
      change.adds = more;
      return true;
    };
    const auto written = must(writer.change(*users, HashedKey(key), wall, count));
    const WriteRequest request{
        .key = key, .value = value, .attributes = writer.counted_attributes()};
    return {key, record_of(request, *written)};
  }
  void push(const KeyedRecord& record) {
    must(writer.push(*users, views_of({record}), noon));
    write_kept();
  }
  void pull(const KeyedRecord& record, NodeId donor, const Context& vector) {
    must(writer.pull(*users, {record}, noon, {donor, &vector}));
    write_kept();
  }
  void write_kept() {
    conflicts.write_kept(*users, noon, [](const WriteRequest&, const Written& written) {
      CHECK(written.position > 0);
    });
  }
  std::string value(const std::string& key) {
    const auto record = must(users->find(key));
    return !record ? "(none)" : record->deleted ? "(deleted)" : record->value;
  }
  std::uint64_t count() const {
    const auto found = conflicts.counts().find("users");
    return found == conflicts.counts().end() ? 0 : found->second;
  }
  std::size_t kept() {
    return must(users->scan({.prefix = std::string(kept_prefix), .now = noon})).records.size();
  }
};

TEST_CASE("conflicts: who loses live against what was written here without having seen it is one") {
  Node node(here);
  const KeyedRecord theirs = Node(there).set("k", "theirs");
  node.set("k", "ours", noon + 10);
  node.push(theirs);
  CHECK(node.value("k") == "ours");
  CHECK(node.count() == 1);
  node.push(theirs);
  CHECK_MESSAGE(node.count() == 1, "it is seen now");
}

TEST_CASE("conflicts: who writes over what was seen makes none") {
  Node ours(here);
  Node theirs(there);
  for (int round = 0; round < 3; ++round) {
    theirs.push(ours.set("k", "ours" + std::to_string(round)));
    ours.push(theirs.set("k", "theirs" + std::to_string(round)));
  }
  CHECK(ours.count() == 0);
  CHECK(theirs.count() == 0);
}

TEST_CASE("conflicts: what loses nothing is none") {
  Node other(there);
  const KeyedRecord same = other.set("same", "value");
  const KeyedRecord gone = other.erase("gone");
  KeyedRecord expired = other.set("expired", "theirs");
  expired.record.deadline = noon;
  Node node(here);
  node.set("same", "value", noon + 10);
  node.set("gone", "ours", noon + 10);
  node.set("expired", "ours", noon + 10);
  for (const KeyedRecord& record : {same, gone, expired})
    node.push(record);
  CHECK(node.count() == 0);
  const KeyedRecord deleted = other.set("deleted here", "theirs");
  node.erase("deleted here", noon + 10);
  node.push(deleted);
  CHECK_MESSAGE(node.count() == 1, "a value that loses against a delete is lost all the same");
}

TEST_CASE("conflicts: numbers that are added to on both sides lose nothing") {
  Node node(here);
  Node other(there);
  const KeyedRecord first = other.add("n", 1);
  const KeyedRecord second = other.add("n", 2);
  node.add("n", 4, noon + 10);
  node.push(second);
  node.push(first);
  CHECK(node.value("n") == "7");
  CHECK(node.count() == 0);
}

TEST_CASE("conflicts: a number that loses against a set is kept as a plain number") {
  Node node(here, OnConflict::keep);
  const KeyedRecord theirs = Node(there).add("n", 5);
  node.set("n", "ours", noon + 10);
  node.push(theirs);
  CHECK(node.value("n") == "ours");
  CHECK(node.count() == 1);
  const auto kept = must(node.users->find(*kept_key("n", theirs.record.dot)));
  REQUIRE(kept);
  CHECK(kept->value == "5");
  CHECK(!counter_of(view_of(*kept)));
}

TEST_CASE("conflicts: nothing is joined with a number of the last version, nor added to it") {
  Node node(here);
  node.add("n", 1);
  KeyedRecord theirs = Node(there).add("n", 2);
  theirs.record.version.hlc = hlc_max;
  node.push(theirs);
  CHECK(node.value("n") == "2");
  CHECK(node.writer.joins() == 0);
  const auto add = [](const RecordView*, Change& change) {
    change.adds = 1;
    return true;
  };
  CHECK(!node.writer.change(*node.users, HashedKey("n"), noon, add));
}

TEST_CASE("conflicts: between writes of others nothing is proven, and nothing is counted") {
  Node node(here);
  node.push(put("k", "one", {{7, 1, 0}, 9}));
  node.push(put("k", "other", {{8, 1, 0}, 5}));
  CHECK(node.count() == 0);
}

TEST_CASE("conflicts: what an earlier start of this node wrote proves nothing") {
  Node node({.node = here_id, .epoch = 2, .loop = 0});
  node.push(put("k", "from before", {here, 9}));
  node.push(put("k", "theirs", {there, 5}));
  CHECK(node.value("k") == "from before");
  CHECK(node.count() == 0);
}

TEST_CASE(
    "conflicts: who loses against what is pulled from its writer, who has not seen it, is one") {
  struct Case {
    bool donor_has_ours;
    bool donor_has_its_own;
    NodeId donor;
    std::uint64_t count;
  };
  for (const Case& one : {Case{false, true, there_id, 1}, Case{true, true, there_id, 0},
                          Case{false, false, there_id, 0}, Case{false, true, 3, 0}}) {
    Node node(here);
    const KeyedRecord ours = node.set("k", "ours");
    const KeyedRecord theirs = Node(there).set("k", "theirs", noon + 10);
    Context vector;
    if (one.donor_has_ours) vector.add(ours.record.dot);
    if (one.donor_has_its_own) vector.add(theirs.record.dot);
    node.pull(theirs, one.donor, vector);
    CHECK(node.value("k") == "theirs");
    CHECK(node.count() == one.count);
  }
}

TEST_CASE("conflicts: who keeps them has the loser under a key made of its key and dot") {
  for (const bool loses_here : {false, true}) {
    CAPTURE(loses_here);
    Node node(here, OnConflict::keep);
    const KeyedRecord ours = node.set("k", "ours", loses_here ? noon : noon + 10);
    const KeyedRecord theirs = Node(there).set("k", "theirs", loses_here ? noon + 10 : noon);
    const KeyedRecord& loser = loses_here ? ours : theirs;
    const std::string key = *kept_key("k", loser.record.dot);
    CHECK(key == "~conflict/k/" + std::to_string(loser.record.dot.origin.node) + "-1-0-" +
                     std::to_string(loser.record.dot.sequence));
    Context vector;
    vector.add(theirs.record.dot);
    if (loses_here)
      node.pull(theirs, there_id, vector);
    else
      node.push(theirs);
    CHECK(node.value("k") == (loses_here ? "theirs" : "ours"));
    CHECK(node.value(key) == loser.record.value);
    CHECK(node.kept() == 1);
    CHECK(node.count() == 1);
  }
}

TEST_CASE("conflicts: what was lost in one collection is not kept in another") {
  Node node(here, OnConflict::keep);
  const KeyedRecord theirs = Node(there).set("k", "theirs");
  node.set("k", "ours", noon + 10);
  must(node.writer.push(*node.users, views_of({theirs}), noon));
  Collection& others = *must(node.catalog.create("others", {}, noon));
  node.conflicts.write_kept(others, noon, [](const WriteRequest&, const Written&) {
    FAIL("it belongs to another collection");
  });
  CHECK(node.kept() == 0);
}

TEST_CASE("conflicts: who does not keep them has none") {
  Node node(here);
  const KeyedRecord theirs = Node(there).set("k", "theirs");
  node.set("k", "ours", noon + 10);
  node.push(theirs);
  CHECK(node.count() == 1);
  CHECK(node.kept() == 0);
}

TEST_CASE("conflicts: two nodes that keep the same loser do not quarrel about it") {
  Node ours(here, OnConflict::keep);
  Node theirs(there, OnConflict::keep);
  const std::string key = *kept_key("k", {{3, 1, 0}, 1});
  theirs.set(key, "lost");
  const KeyedRecord copy = theirs.set(key, "lost, as somebody changed it");
  ours.set(key, "lost", noon + 10);
  ours.push(copy);
  CHECK(ours.count() == 0);
  CHECK(ours.kept() == 1);
}

TEST_CASE("conflicts: a loser whose new key would be too long is counted, not kept") {
  const std::string longest(key_bytes_max, 'k');
  CHECK(!kept_key(longest, {there, 1}));
  Node node(here, OnConflict::keep);
  const KeyedRecord theirs = Node(there).set(longest, "theirs");
  node.set(longest, "ours", noon + 10);
  node.push(theirs);
  CHECK(node.count() == 1);
  CHECK(node.kept() == 0);
}

}  // namespace
}  // namespace dhrt::test
