// What the core is told of the writes of this node's clients, and when.
#include "node/store_driver.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/storage/store_suite.h"

namespace dhrt::test {
namespace {

// A store whose disk has what it is said to have.
struct Driven {
  std::unique_ptr<MemoryStore> store = make_memory_store({.held_back = true});
  HybridClock clock;
  RecordWriter writer{*store, clock, here};
  Catalog catalog{*store, writer, CatalogOptions{}};
  std::optional<StoreDriver> driver;
  Collection* users = nullptr;

  Driven() {
    must_hold(catalog.load(noon));
    driver.emplace(*store, catalog, writer, StoreDriverOptions{});
    users = must(catalog.find_or_create("users", noon));
    must_hold(store->drain());
    told();
  }
  static void must_hold(const Status& status) { REQUIRE(status.has_value()); }

  Position set(const std::string& key, const std::string& value) {
    const WriteRequest request{.key = key, .value = value};
    const Written written = must(writer.write(*users, request, noon));
    driver->wrote(*users, key, view_of(request, written), written.previous, written.position);
    return written.position;
  }
  // What the core is told now of client's writes.
  std::vector<LocalWrites> told() {
    std::vector<Input> inputs;
    driver->collect(inputs);
    std::vector<LocalWrites> writes;
    for (Input& input : inputs) {
      if (auto* local = std::get_if<LocalWrites>(&input)) writes.push_back(std::move(*local));
    }
    return writes;
  }
  void apply(const Action& action) {
    std::vector<Input> answers;
    CHECK(driver->perform(action, noon, answers));
    CHECK(answers.empty());
  }
};

std::vector<std::string> keys_of(const std::vector<LocalWrites>& writes) {
  std::vector<std::string> keys;
  for (const LocalWrites& local : writes) {
    for (const KeyedRecord& entry : local.records->records())
      keys.push_back(entry.key);
  }
  return keys;
}

using Keys = std::vector<std::string>;

// Everything so far is on the disk.
void must_hold_all(Driven& node) {
  Driven::must_hold(node.store->drain());
}
void must_drop(Driven& node, const std::string& collection) {
  Driven::must_hold(node.catalog.drop(collection, noon));
}

TEST_CASE("store driver: what belongs together is one message, whatever was written before it") {
  const std::string large(100 << 10, 'v');
  for (const bool together : {true, false}) {
    CAPTURE(together);
    Driven node;
    node.set("a", large);
    node.set("b", large);
    if (together) node.driver->begin_together();
    node.set("c", large);
    node.set("d", large);
    node.set("e", large);
    node.driver->end_together();
    node.set("f", "small");
    REQUIRE(node.store->drain());
    const auto told = node.told();
    CHECK(keys_of(told) == Keys{"a", "b", "c", "d", "e", "f"});
    const auto is_whole = [](const LocalWrites& local) {
      const Keys keys = keys_of({local});
      return std::ranges::count(keys, "c") == 1 && std::ranges::count(keys, "e") == 1;
    };
    CHECK(std::ranges::any_of(told, is_whole) == together);
  }
}

TEST_CASE("store driver: too much to be one message is several") {
  Driven node;
  node.driver->begin_together();
  for (int i = 0; i < 5; ++i)
    node.set("k" + std::to_string(i), std::string(StoreDriver::together_bytes / 4, 'v'));
  node.driver->end_together();
  REQUIRE(node.store->drain());
  const auto told = node.told();
  CHECK(told.size() == 2);
  CHECK(keys_of(told).size() == 5);
}

TEST_CASE("store driver: the writes of a turn are told together, when the last one is durable") {
  Driven node;
  node.set("a", "1");
  const Position second = node.set("b", "1");
  const Position third = node.set("c", "1");
  CHECK(node.told().empty());
  node.store->release(second);
  CHECK(node.told().empty());
  CHECK_FALSE(node.driver->settled());
  node.store->release(third);
  const auto told = node.told();
  REQUIRE(told.size() == 1);
  CHECK(told.front().collection == node.users->ref());
  CHECK(keys_of(told) == Keys{"a", "b", "c"});
  CHECK(told.front().records->tips() == std::vector<std::uint64_t>{3});
  CHECK(node.driver->settled());
}

TEST_CASE("store driver: a turn does not wait for the next one") {
  Driven node;
  const Position first = node.set("a", "1");
  CHECK(node.told().empty());
  node.set("b", "1");
  node.store->release(first);
  CHECK(keys_of(node.told()) == Keys{"a"});
  node.set("c", "1");
  must(node.store->append(*node.users, {}));
  Driven::must_hold(node.store->drain());
  CHECK(keys_of(node.told()) == Keys{"b", "c"});
}

TEST_CASE("store driver: many records are split, so that pings fit between the messages") {
  struct Case {
    const char* why;
    std::size_t records, value_bytes, messages;
  };
  for (const Case& c : {
           Case{"small ones go together", 100, 100, 1},
           Case{"256 KiB are a message", 100, 10'000, 4},
           Case{"a record is never cut", 3, 1'000'000, 3},
       }) {
    CAPTURE(c.why);
    Driven node;
    Keys expected;
    for (std::size_t i = 0; i < c.records; ++i) {
      expected.push_back("k" + std::to_string(i));
      node.set(expected.back(), std::string(c.value_bytes, 'v'));
    }
    Context flushed = node.users->seen();
    node.driver->flushed(*node.users, flushed, must(node.writer.apply_flush(*node.users, flushed)));
    Driven::must_hold(node.store->drain());
    const auto told = node.told();
    CHECK(told.size() == c.messages);
    CHECK(keys_of(told) == expected);
    // A flush takes effect behind the records that it was made after.
    for (const LocalWrites& local : told)
      CHECK(local.flushed == (&local == &told.back() ? flushed : Context()));
  }
}

TEST_CASE("store driver: what comes in late does not make earlier news durable") {
  Driven node;
  const WriteRequest request{.key = "a", .value = "1"};
  const Written written = must(node.writer.write(*node.users, request, noon));
  const Context flushed = context_of(there, 1, 2);
  node.driver->flushed(*node.users, flushed, must(node.writer.apply_flush(*node.users, flushed)));
  node.driver->wrote(*node.users, "a", view_of(request, written), {}, written.position);
  node.store->release(written.position);
  CHECK(node.told().empty());
  Driven::must_hold(node.store->drain());
  CHECK(node.told().size() == 1);
}

TEST_CASE("store driver: writes to many collections by turns are all told") {
  Driven node;
  std::vector<Collection*> places;
  for (int i = 0; i < 20; ++i)
    places.push_back(must(node.catalog.find_or_create("c" + std::to_string(i), noon)));
  Driven::must_hold(node.store->drain());
  node.told();
  const std::vector<std::string> twice{"1", "2"};
  for (const std::string& key : twice) {
    for (Collection* place : places) {
      const WriteRequest request{.key = key, .value = "v"};
      const Written written = must(node.writer.write(*place, request, noon));
      node.driver->wrote(*place, key, view_of(request, written), {}, written.position);
    }
  }
  Driven::must_hold(node.store->drain());
  CHECK(keys_of(node.told()).size() == 40);
}

TEST_CASE("store driver: each collection is told of its own, in the order in which they came") {
  Driven node;
  node.set("a", "1");
  Collection* others = must(node.catalog.find_or_create("others", noon));
  const WriteRequest request{.key = "x", .value = "1"};
  const Written written = must(node.writer.write(*others, request, noon));
  for (const auto& config : node.catalog.take_written())
    node.driver->wrote(node.catalog.configurations(), config.record, config.position);
  node.driver->wrote(*others, "x", view_of(request, written), {}, written.position);
  node.set("b", "1");
  Driven::must_hold(node.store->drain());
  const auto told = node.told();
  REQUIRE(told.size() == 3);
  CHECK(told[0].collection == node.users->ref());
  CHECK(told[1].collection.name == configuration_collection);
  CHECK(told[2].collection == others->ref());
  CHECK(keys_of(told) == Keys{"a", "b", "others/1", "x"});
}

TEST_CASE("store driver: news that nobody is to hear of come down to the last ones") {
  Driven node;
  StoreNews news;
  const auto collect = [&] {
    Driven::must_hold(node.store->drain());
    node.driver->collect(news);
  };
  node.set("a", "1");
  collect();
  node.driver->flushed(*node.users, context_of(there, 1, 2), node.set("b", "1"));
  collect();
  node.set("c", "1");
  collect();
  CHECK(keys_of(news.writes) == Keys{"a", "b", "c"});
  news.keep_last_writes();
  REQUIRE(news.writes.size() == 1);
  CHECK(keys_of(news.writes) == Keys{"c"});
  CHECK(news.writes.front().flushed == context_of(there, 1, 2));
}

TEST_CASE("store driver: what a peer wrote is pushed, however much it is") {
  Driven node;
  std::vector<KeyedRecord> theirs;
  for (std::uint64_t i = 1; i <= 1000; ++i)
    theirs.push_back(put("k" + std::to_string(i), "theirs", {there, i}));
  node.apply(ApplyWrite{node.users->ref(), batch_with(theirs), {}});
  CHECK(node.users->seen() == context_of(there, 1, 1000));
  CHECK(node.users->counts().live == 1000);
  node.apply(ApplyWrite{node.users->ref(), nullptr, context_of(there, 1, 999)});
  CHECK(must(node.users->find("k999"))->deleted);
  CHECK_FALSE(must(node.users->find("k1000"))->deleted);
}

TEST_CASE("store driver: records that a peer lacks are fetched by their keys") {
  Driven node;
  for (int i = 1000; i < 6000; ++i)
    node.set("k" + std::to_string(i), "v");
  must_hold_all(node);
  node.told();
  const auto fetch = [&](const Keys& keys, std::size_t bytes_max = std::size_t{1} << 20) {
    std::vector<Input> answers;
    const FetchLocal action{
        .token = 7, .collection = node.users->ref(), .keys = keys, .bytes_max = bytes_max};
    CHECK(node.driver->perform(action, noon, answers));
    REQUIRE(answers.size() == 1);
    Ranged ranged = std::get<Ranged>(answers[0]);
    CHECK(ranged.token == 7);
    CHECK(ranged.ok == (ranged.done > 0));
    return ranged;
  };
  const auto keys_in = [](const Ranged& ranged) {
    Keys keys;
    for (const KeyedRecord& entry : ranged.records) {
      CHECK(entry.record.value == "v");
      keys.push_back(entry.key);
    }
    return keys;
  };
  Keys near;
  for (int i = 2000; i < 3000; ++i)
    near.push_back("k" + std::to_string(i));
  CHECK(keys_in(fetch(near)) == near);
  CHECK(fetch(near).done == near.size());
  const Keys far{"k1000", "k3000", "k5999"};
  CHECK(keys_in(fetch(far)) == far);
  const Ranged absent = fetch({"a", "k1000", "k1000x", "z"});
  CHECK(keys_in(absent) == Keys{"k1000"});
  CHECK_MESSAGE(absent.done == 4, "what is not there was looked for");
  // As much as fits; who asks goes on behind it.
  const Ranged some = fetch(near, 100);
  CHECK(some.done > 0);
  CHECK(some.done < near.size());
  CHECK(some.records.size() == some.done);
  Keys sparse;
  for (int i = 1000; i < 6000; i += 100)
    sparse.push_back("k" + std::to_string(i));
  Keys found;
  for (auto rest = sparse; !rest.empty();) {
    const Ranged part = fetch(rest);
    REQUIRE(part.ok);
    for (const std::string& key : keys_in(part))
      found.push_back(key);
    rest.erase(rest.begin(), rest.begin() + part.done);
  }
  CHECK(found == sparse);
  CHECK_MESSAGE(!fetch({"k2", "k1"}).ok, "who asks lists them in order");
  CHECK(!fetch({}).ok);
}

TEST_CASE("store driver: a peer's configurations make their collections") {
  Driven node;
  Driven peer;
  must(peer.catalog.find_or_create("made_there", noon));
  std::vector<KeyedRecord> configurations;
  for (const auto& config : peer.catalog.take_written())
    configurations.push_back(config.record);
  node.apply(ApplyWrite{node.catalog.configurations().ref(), batch_with(configurations), {}});
  CHECK(node.catalog.find("made_there") != nullptr);
}

TEST_CASE("store driver: what a concurrent write lost is counted, kept where wanted, and told") {
  for (const OnConflict on_conflict : {OnConflict::last, OnConflict::keep}) {
    Driven node;
    node.driver->note_conflicts();
    CollectionConfig config;
    config.on_conflict = on_conflict;
    node.users = must(node.catalog.create("notes", config, noon));
    node.set("k", "ours");
    must_hold_all(node);
    node.told();
    const KeyedRecord theirs{
        "k", {.version = {.hlc = 1, .node = there.node}, .dot = {there, 1}, .value = "theirs"}};
    node.apply(ApplyWrite{.collection = node.users->ref(), .records = batch_with({theirs})});
    CHECK(node.driver->conflicts().at("notes") == 1);
    must_hold_all(node);
    const Keys kept = keys_of(node.told());
    if (on_conflict == OnConflict::keep)
      CHECK(kept == Keys{"~conflict/k/2-1-0-1"});
    else
      CHECK(kept.empty());
    must_hold_all(node);
    must_drop(node, "notes");
    node.told();
    CHECK_MESSAGE(node.driver->conflicts().empty(), "its number goes with a collection");
  }
}

}  // namespace
}  // namespace dhrt::test
