#include "storage/writer.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "tests/storage/store_suite.h"

namespace dhrt::test {
namespace {

// A node as far as storage goes: a store, a clock, a writer.
struct Node {
  std::unique_ptr<MemoryStore> store = make_memory_store({});
  HybridClock clock;
  RecordWriter writer;
  Collection& users = opened(*store, "users", false);

  explicit Node(Origin origin) : writer(*store, clock, origin) {}

  Record set(const std::string& key, const std::string& value, WallMilliseconds wall = noon) {
    const WriteRequest request{.key = key, .value = value};
    return record_of(request, must(writer.write(users, request, wall)));
  }
  Record erase(const std::string& key) {
    const WriteRequest request{.key = key, .deletes = true};
    return record_of(request, must(writer.write(users, request, noon)));
  }
  void push(const std::vector<KeyedRecord>& records) {
    must(writer.push(users, views_of(records), noon));
  }
  void pull(const std::vector<KeyedRecord>& records) { must(writer.pull(users, records, noon)); }
  std::string value(const std::string& key) {
    const auto record = must(users.find(key));
    if (!record) return "(none)";
    return record->deleted ? "(deleted)" : record->value;
  }
};

TEST_CASE("writer: writes get the next dot, and a version above what they replace") {
  Node node(here);
  const Record first = node.set("a", "1");
  CHECK(first.dot == Dot{here, 1});
  CHECK(!first.previous);
  const Record second = node.set("a", "2", noon - 1000);
  CHECK(second.dot == Dot{here, 2});
  CHECK_MESSAGE(second.version > first.version, "although the wall clock went back");
  CHECK(second.previous == first.dot);
  CHECK(second.created == noon);
  CHECK(node.erase("a").dot == Dot{here, 3});
  CHECK(node.value("a") == "(deleted)");
  CHECK(node.set("a", "3").created == 0);
  CHECK(node.users.seen() == context_of(here, 1, 4));
}

TEST_CASE("writer: who overwrites wins, whatever the other clock says") {
  Node node(here);
  node.push({put("a", "from the future", {there, 1})});
  KeyedRecord ahead = put("b", "far ahead", {there, 2});
  ahead.record.version.hlc = (noon + 1'000'000) << hlc_counter_bits;
  node.push({ahead});
  const Record record = node.set("b", "ours");
  CHECK(record.version.hlc > ahead.record.version.hlc);
  CHECK(node.value("b") == "ours");
  CHECK(must(node.writer.write(node.users, {.key = "c", .above_hlc = ahead.record.version.hlc + 9},
                               noon))
            .version.hlc > ahead.record.version.hlc + 9);
}

// Poison: what a node with a wrong clock has written.
KeyedRecord from_the_future(const std::string& key, std::uint64_t hlc) {
  KeyedRecord entry = put(key, "poison", {there, 1});
  entry.record.version.hlc = hlc;
  return entry;
}

TEST_CASE(
    "writer: a record from the far future is taken in, overwritten, and spreads to no other key") {
  constexpr WallMilliseconds hundred_years = WallMilliseconds{36'525} * 24 * 3'600'000;
  const std::uint64_t poison = (noon + hundred_years) << hlc_counter_bits;
  // And a step for each write.
  const std::uint64_t limit = ((noon + default_clock_offset_max) << hlc_counter_bits) + 10;
  for (const bool live : {true, false}) {
    CAPTURE(live);
    Node node(here);
    if (live)
      node.push({from_the_future("k", poison)});
    else
      node.pull({from_the_future("k", poison)});
    CHECK(node.value("k") == "poison");
    CHECK(node.set("other", "1").version.hlc <= limit);
    CHECK(node.set("k", "ours").version.hlc == poison + 1);
    CHECK(node.value("k") == "ours");
    CHECK(node.set("another", "1").version.hlc <= limit);
    CHECK_MESSAGE(node.erase("k").version.hlc > poison + 1, "a delete wins, too");
    CHECK_MESSAGE(node.set("k", "again").version.hlc > poison + 2, "and what comes behind it");
    CHECK(node.set("fourth", "1").version.hlc <= limit);
  }
}

TEST_CASE("writer: a key with the last version there is cannot be written, and says so") {
  Node node(here);
  node.push({from_the_future("k", hlc_max)});
  const auto refused = [](const auto& result) {
    REQUIRE(!result);
    CHECK(result.error().code == ErrorCode::precondition);
    CHECK(result.error().message.find("highest version") != std::string::npos);
  };
  refused(node.writer.write(node.users, {.key = "k", .value = "ours"}, noon));
  refused(node.writer.write(node.users, {.key = "new", .above_hlc = hlc_max}, noon));
  refused(node.writer.change(node.users, HashedKey("k"), noon,
                             [](const RecordView*, Change&) { return true; }));
  CHECK(node.value("k") == "poison");
  CHECK(node.set("other", "1").version.hlc < hlc_max / 2);
}

TEST_CASE("writer: a change sees what is visible, and writes what is decided, in one step") {
  Node node(here);
  const auto add_one = [&](const std::string& key) {
    std::string value;
    const auto written = must(node.writer.change(
        node.users, HashedKey(key), noon, [&](const RecordView* held, Change& change) {
          value = (held == nullptr ? std::string() : std::string(held->value)) + "+";
          change.value = value;
          return true;
        }));
    REQUIRE(written.has_value());
    return *written;
  };
  const Written first = add_one("a");
  CHECK(!first.existed);
  CHECK(first.dot == Dot{here, 1});
  const Written second = add_one("a");
  CHECK(second.existed);
  CHECK(second.previous == first.dot);
  CHECK(second.version > first.version);
  CHECK(node.value("a") == "++");
  node.erase("a");
  CHECK(!add_one("a").existed);
  CHECK(node.value("a") == "+");
  KeyedRecord expired = put("old", "v", {there, 1});
  expired.record.deadline = noon;
  node.push({expired});
  CHECK(!add_one("old").existed);
  CHECK(node.value("old") == "+");
}

TEST_CASE("writer: a change begins as what is there, and may delete it or leave it") {
  Node node(here);
  KeyedRecord held = put("k", "v", {there, 1});
  held.record.deadline = noon + 1000;
  held.record.attributes = "attributes";
  node.push({held});
  const auto change = [&](bool writes, bool deletes) {
    return must(node.writer.change(node.users, HashedKey("k"), noon,
                                   [&](const RecordView*, Change& decided) {
                                     decided.deletes = deletes;
                                     return writes;
                                   }));
  };
  CHECK(!change(false, true).has_value());
  CHECK(must(node.users.find("k"))->dot == held.record.dot);
  CHECK(change(true, false).has_value());
  const Record same = *must(node.users.find("k"));
  CHECK(same.dot == Dot{here, 1});
  CHECK(same.value == "v");
  CHECK(same.deadline == noon + 1000);
  CHECK(same.attributes == "attributes");
  CHECK(change(true, true).has_value());
  const Record gone = *must(node.users.find("k"));
  CHECK(gone.deleted);
  CHECK(gone.value.empty());
  CHECK(gone.deadline == 0);
}

TEST_CASE("writer: what a pull brought is seen by who changes it") {
  Node node(here);
  node.pull({put("k", "v", {there, 5})});
  CHECK(!node.users.seen().contains({there, 5}));
  const auto written = must(node.writer.change(node.users, HashedKey("k"), noon,
                                               [](const RecordView*, Change&) { return true; }));
  REQUIRE(written.has_value());
  CHECK(node.users.seen().contains({there, 5}));
}

TEST_CASE("writer: a condition that does not hold writes nothing") {
  Node node(here);
  const Record held = node.set("a", "1");
  KeyedRecord expired = put("old", "v", {there, 1});
  expired.record.deadline = noon;
  node.push({expired});
  node.erase("gone");
  struct Case {
    const char* why;
    WriteRequest request;
    bool written;
  };
  for (const auto& c : {
           Case{"absent, but it is there", {.key = "a", .if_absent = true}, false},
           Case{"absent, never written", {.key = "new", .if_absent = true}, true},
           Case{"absent, deleted", {.key = "gone", .if_absent = true}, true},
           Case{"absent, past its deadline", {.key = "old", .if_absent = true}, true},
           Case{"another version", {.key = "a", .if_version = Version{1, 1}}, false},
           Case{
               "a version, but it is not there", {.key = "no", .if_version = Version{1, 1}}, false},
           Case{"the version held", {.key = "a", .if_version = held.version}, true},
       }) {
    CAPTURE(c.why);
    const Context before = node.users.seen();
    const auto written = node.writer.write(node.users, c.request, noon);
    CHECK(written.has_value() == c.written);
    if (written) continue;
    CHECK(written.error().code == ErrorCode::precondition);
    CHECK(written.error().message.find("was not written") != std::string::npos);
    CHECK(node.users.seen() == before);
  }
}

TEST_CASE("writer: a write tells whether there was a visible record") {
  Node node(here);
  CHECK(!must(node.writer.write(node.users, {.key = "a"}, noon)).existed);
  CHECK(must(node.writer.write(node.users, {.key = "a", .deletes = true}, noon)).existed);
  CHECK(!must(node.writer.write(node.users, {.key = "a", .deletes = true}, noon)).existed);
}

// A store that decides twice, and lets another loop write in between.
class Hesitant final : public Store {
 public:
  explicit Hesitant(Store& store) : store_(store) {}
  std::function<void()> meanwhile = [] {};

  Result<Position> update(Collection& collection, const HashedKey& key, const Terms& terms,
                          Decide decide) override {
    const auto held = must(collection.find(key.bytes));
    const RecordView shown = held ? view_of(*held) : RecordView{};
    RecordView ignored;
    (void)decide(held ? &shown : nullptr, ignored);
    std::exchange(meanwhile, [] {})();
    return store_.update(collection, key, terms, decide);
  }
  Result<Collection*> open(const OpenOptions& options) override { return store_.open(options); }
  Status erase(Bytes name) override { return store_.erase(name); }
  Collection* find(Bytes name) override { return store_.find(name); }
  std::vector<Collection*> collections() override { return store_.collections(); }
  Result<Position> append(Collection& collection, Batch batch) override {
    return store_.append(collection, std::move(batch));
  }
  void forget_tombstones(Collection& collection, Forgettable what) override {
    store_.forget_tombstones(collection, std::move(what));
  }
  Status note_forgotten(Collection& collection, const Context& dots, std::uint64_t hlc) override {
    return store_.note_forgotten(collection, dots, hlc);
  }
  void commit() override { store_.commit(); }
  Position collect() override { return store_.collect(); }
  std::vector<std::string> take_changed() override { return store_.take_changed(); }
  Status health() const override { return store_.health(); }
  bool maintain(WallMilliseconds now, std::size_t most) override {
    return store_.maintain(now, most);
  }
  Status drain() override { return store_.drain(); }

 private:
  Store& store_;
};

TEST_CASE("writer: what another loop writes in between is what a write meets") {
  Node node({.node = here.node, .epoch = here.epoch, .loop = 1});
  Hesitant store(*node.store);
  HybridClock clock;
  RecordWriter writer(store, clock, here);
  store.meanwhile = [&] { node.set("a", "theirs"); };
  CHECK(!writer.write(node.users, {.key = "a", .value = "ours", .if_absent = true}, noon));
  CHECK(node.value("a") == "theirs");

  Version theirs;
  store.meanwhile = [&] { theirs = node.set("a", "theirs again", noon + 9).version; };
  const Written ours = must(writer.write(node.users, {.key = "a", .value = "ours"}, noon));
  CHECK_MESSAGE((ours.dot == Dot{here, 1}), "the write that was refused took no dot");
  CHECK(ours.version > theirs);
  CHECK(node.value("a") == "ours");

  store.meanwhile = [&] { node.set("b", "newer"); };
  must(writer.pull(node.users, {put("b", "older", {there, 1})}, noon));
  CHECK(node.value("b") == "newer");
  store.meanwhile = [&] { node.set("b", "newest"); };
  must(writer.push(node.users, views_of({put("b", "older", {there, 2})}), noon));
  CHECK(node.value("b") == "newest");
  CHECK(node.users.seen().contains(Dot{there, 2}));
  CHECK(!node.users.seen().contains(Dot{there, 1}));
}

TEST_CASE("push: a dot that was seen does not come back") {
  Node node(here);
  const KeyedRecord entry = put("a", "1", {there, 1});
  node.push({entry});
  node.erase("a");
  node.push({entry, entry});
  CHECK(node.value("a") == "(deleted)");
  must(node.writer.merge(node.users, context_of(there, 1, 9)));
  node.push({put("b", "old", {there, 5})});
  CHECK_MESSAGE(node.value("b") == "(none)", "seen and not held means deleted");
}

TEST_CASE("push: an epoch that is over is fenced off") {
  Node node(here);
  const Origin restarted{.node = there.node, .epoch = 2, .loop = 1};
  node.push({put("a", "new", {restarted, 1})});
  node.push({put("b", "late", {there, 1})});
  CHECK(node.value("b") == "(none)");
  CHECK(!node.users.seen().contains(Dot{there, 1}));
  node.pull({put("b", "late", {there, 1})});
  CHECK_MESSAGE(node.value("b") == "late", "on request it is still taken");
}

TEST_CASE("push: any order, with repeats, comes to the same") {
  std::vector<KeyedRecord> records;
  for (std::uint64_t i = 1; i <= 40; ++i) {
    const Origin origin = i % 3 == 0 ? there : here;
    const std::string key = "k" + std::to_string(i % 7);
    records.push_back(i % 5 == 0 ? tombstone(key, {origin, i})
                                 : put(key, std::to_string(i), {origin, i}));
  }
  const Origin reader{.node = 9, .epoch = 1, .loop = 0};
  Node model(reader);
  model.push(records);
  const std::string expected = describe(model.users);
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    std::vector<KeyedRecord> shuffled = records;
    for (int i = 0; i < 10; ++i)
      shuffled.push_back(records[random.below(records.size())]);
    random.shuffle(shuffled);
    Node node(reader);
    while (!shuffled.empty()) {
      const std::size_t count = std::min<std::size_t>(shuffled.size(), random.between(1, 9));
      node.push({shuffled.end() - static_cast<std::ptrdiff_t>(count), shuffled.end()});
      shuffled.resize(shuffled.size() - count);
    }
    CHECK(describe(node.users) == expected);
  }
}

TEST_CASE("pull: what was pulled enters the context with the peer's vector, not before") {
  Node node(here);
  node.pull({put("a", "1", {there, 3}), put("b", "1", {there, 5})});
  CHECK(node.value("a") == "1");
  CHECK(node.users.seen().empty());
  node.set("a", "2");
  CHECK_MESSAGE(node.users.seen().contains(Dot{there, 3}), "who replaces a record has seen it");
  CHECK(!node.users.seen().contains(Dot{there, 5}));
  must(node.writer.merge(node.users, context_of(there, 1, 5)));
  CHECK(node.users.seen().contains(context_of(there, 1, 5)));
}

TEST_CASE("pull: the newer version stays, in either order") {
  const KeyedRecord older = put("a", "older", {there, 1});
  const KeyedRecord newer = put("a", "newer", {there, 2});
  const std::vector<std::vector<KeyedRecord>> orders{{older, newer}, {newer, older}};
  for (const auto& records : orders) {
    Node together(here);
    together.pull(records);
    CHECK(together.value("a") == "newer");
    Node apart(here);
    for (const KeyedRecord& entry : records)
      apart.pull({entry});
    CHECK(apart.value("a") == "newer");
  }
}

TEST_CASE("pull: an intact copy heals a damaged one") {
  Node node(here);
  KeyedRecord damaged = put("a", "", {there, 1});
  damaged.record.damaged = true;
  node.pull({damaged});
  CHECK(must(node.users.find("a"))->damaged);
  node.pull({put("a", "intact", {there, 1})});
  CHECK(node.value("a") == "intact");
  node.pull({damaged});
  CHECK(node.value("a") == "intact");
}

TEST_CASE("flush: deletes what was seen here, and leaves what was not") {
  Node node(here);
  Node peer(there);
  const Record ours = node.set("a", "1");
  const Record theirs = peer.set("b", "1");
  const Context flushed = must(node.writer.flush(node.users));
  CHECK(flushed == context_of(here, 1, 1));
  node.push({{"b", theirs}});
  CHECK(node.value("a") == "(deleted)");
  CHECK(node.value("b") == "1");

  must(peer.writer.apply_flush(peer.users, flushed));
  peer.push({{"a", ours}});
  CHECK_MESSAGE(peer.value("a") == "(deleted)", "it was flushed before it arrived");
  CHECK(peer.value("b") == "1");
  CHECK(node.set("a", "2").dot == Dot{here, 2});
  CHECK(node.value("a") == "2");
}

}  // namespace
}  // namespace dhrt::test
