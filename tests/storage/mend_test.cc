// What a comparison with a peer brings, and what a pull brings again, beside tombstones that were
// forgotten: what was seen and deleted here stays deleted.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/writer.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

struct Node {
  std::unique_ptr<Store> store;
  HybridClock clock;
  RecordWriter writer;
  Collection& users;

  explicit Node(std::unique_ptr<Store> made)
      : store(std::move(made)),
        writer(*store, clock, own_origin()),
        users(opened(*store, "users", false)) {}

  void sync() {
    must(store->drain());
    store->collect();
  }
  // Everybody has everything.
  void forget() {
    sync();
    store->forget_tombstones(users, users.durable());
    sync();
    while (store->maintain(noon, 1000))
      sync();
  }
  std::string value(const std::string& key) {
    const auto record = must(users.find(key));
    if (!record) return "(none)";
    return record->deleted ? "(deleted)" : record->value;
  }
};

void on_both(const std::function<void(Node&)>& test) {
  for (const Bytes kind : {"memory store", "engine", "engine in memory"}) {
    CAPTURE(kind);
    const TemporaryDirectory directory;
    std::unique_ptr<Store> store = make_memory_store({});
    if (kind != "memory store") {
      const std::string path = kind == "engine" ? directory.path() : "";
      auto engine = std::make_unique<EngineStore>(open_engine(engine_options(path)));
      engine->checkpoints = true;
      store = std::move(engine);
    }
    Node node(std::move(store));
    test(node);
  }
}

TEST_CASE("mend: a pull brings nothing back that is gone, though something older has come since") {
  on_both([&](Node& node) {
    const KeyedRecord older = put("k", "older", {there, 3});
    const KeyedRecord newer = put("k", "newer", {there, 5});
    must(node.writer.push(node.users, views_of({newer}), noon));
    must(node.writer.push(node.users, views_of({tombstone("k", {there, 6})}), noon));
    node.forget();
    // From a node that was given up, and had seen neither.
    must(node.writer.pull(node.users, {older}, noon));
    REQUIRE(node.value("k") == "older");
    must(node.writer.pull(node.users, {newer}, noon));
    CHECK(node.value("k") == "older");
    must(node.writer.pull(node.users, {tombstone("k", {there, 5})}, noon));
    CHECK(node.value("k") == "(deleted)");
  });
}

TEST_CASE("mend: what was seen and is absent becomes a tombstone, what was not is put") {
  const KeyedRecord older = put("k", "older", {there, 3});
  const KeyedRecord newer = put("k", "newer", {there, 5});
  KeyedRecord mortal = newer;
  mortal.record.deadline = noon - 1;
  struct Case {
    const char* why;
    std::vector<KeyedRecord> held;
    bool seen;    // The record that comes was seen when the comparison began.
    bool erased;  // And deleted since, and the delete forgotten.
    KeyedRecord comes;
    const char* value;
    bool buries;
  };
  for (const Case& c : {
           Case{"absent, seen", {newer}, true, true, newer, "(deleted)", true},
           Case{"absent, not seen", {}, false, false, newer, "newer", false},
           Case{"an older one, seen", {older}, true, false, newer, "(deleted)", true},
           Case{"an older one, not seen", {older}, false, false, newer, "newer", false},
           Case{"a newer one, seen", {newer}, true, false, older, "newer", false},
           Case{"the same", {newer}, true, false, newer, "newer", false},
           Case{"a tombstone that was seen and is absent",
                {newer},
                true,
                true,
                tombstone("k", {there, 5}),
                "(none)",
                false},
           Case{"a tombstone that was not seen",
                {older},
                false,
                false,
                tombstone("k", {there, 5}),
                "(deleted)",
                false},
           Case{"one past its deadline, seen", {newer}, true, true, mortal, "(none)", false},
       }) {
    CAPTURE(c.why);
    on_both([&](Node& node) {
      must(node.writer.push(node.users, views_of(c.held), noon));
      if (c.erased) {
        must(node.writer.push(node.users, views_of({tombstone("k", {there, 6})}), noon));
        node.forget();
        REQUIRE(node.value("k") == "(none)");
      }
      node.sync();
      Context captured = node.users.durable();
      if (c.seen) captured.add(c.comes.record.dot);
      const CollectionCounts before = node.users.counts();
      const Position position = must(node.writer.mend(node.users, {c.comes}, captured, {}, noon));
      CHECK(node.value("k") == c.value);
      const std::vector<Joined> buried = node.writer.take_joined();
      REQUIRE(buried.size() == (c.buries ? 1 : 0));
      if (!c.buries) return;
      const Record& grave = buried[0].entry.record;
      CHECK(buried[0].entry.key == "k");
      CHECK(grave.deleted);
      CHECK(grave.version == c.comes.record.version);
      CHECK(grave.dot.origin == own_origin());
      CHECK_MESSAGE(dhrt::newer(grave, c.comes.record), "it wins wherever the record is");
      CHECK(node.users.seen().contains(grave.dot));
      CHECK(position >= buried[0].position);
      CHECK(node.users.counts().tombstones == before.tombstones + 1);
      node.sync();
      CHECK(node.users.durable().contains(grave.dot));
      must(node.writer.mend(node.users, {c.comes}, captured, {}, noon));
      CHECK_MESSAGE(node.writer.take_joined().empty(), "the same delete is not written twice");
    });
  }
}

TEST_CASE("mend: what was flushed is not there, and need not be") {
  on_both([](Node& node) {
    must(node.writer.push(node.users, views_of({put("k", "v", {there, 1})}), noon));
    must(node.writer.flush(node.users));
    node.forget();
    node.forget();
    REQUIRE(node.value("k") == "(none)");
    must(node.writer.mend(node.users, {put("k", "v", {there, 1})}, node.users.durable(), {}, noon));
    CHECK(node.writer.take_joined().empty());
    CHECK(node.value("k") == "(none)");
  });
}

TEST_CASE("mend: what was flushed before it came is kept as a tombstone") {
  on_both([](Node& node) {
    Context flushed;
    flushed.add({there, 7});
    must(node.writer.apply_flush(node.users, flushed));
    node.sync();
    const KeyedRecord late = put("k", "v", {there, 7});
    must(node.writer.mend(node.users, {late}, {}, {}, noon));
    CHECK(node.value("k") == "(deleted)");
    const auto next = must(node.writer.write(node.users, {.key = "k", .value = "next"}, 1));
    CHECK_MESSAGE(late.record.version < next.version, "it says above which the next write must be");
  });
}

TEST_CASE("mend: a damaged record is healed, not deleted") {
  on_both([](Node& node) {
    KeyedRecord damaged = put("k", "", {there, 1});
    damaged.record.damaged = true;
    must(node.writer.push(node.users, views_of({damaged}), noon));
    node.sync();
    must(node.writer.mend(node.users, {put("k", "intact", {there, 1})}, node.users.durable(), {},
                          noon));
    CHECK(node.writer.take_joined().empty());
    CHECK(node.value("k") == "intact");
  });
}

TEST_CASE("mend: where records may be evicted, an absent one was not deleted") {
  auto options = engine_options("");
  options.memory_limit = std::size_t{1} << 24;
  options.memory_eviction = Eviction::lru;
  Node node(std::make_unique<EngineStore>(open_engine(options)));
  const KeyedRecord record = put("k", "v", {there, 1});
  Context captured;
  captured.add(record.record.dot);
  must(node.writer.mend(node.users, {record}, captured, {}, noon));
  CHECK(node.writer.take_joined().empty());
  CHECK(node.value("k") != "(deleted)");
}

TEST_CASE("mend: writes go above what was forgotten, also over what is older than that") {
  on_both([](Node& node) {
    must(node.writer.push(node.users,
                          views_of({tombstone("k", {there, 1}), put("j", "v", {there, 2})}), noon));
    constexpr std::uint64_t forgotten = (noon + 60'000) << hlc_counter_bits;
    must(node.store->note_forgotten(node.users, context_of(there, 5, 9), forgotten));
    for (const char* key : {"k", "j", "absent"}) {
      CAPTURE(key);
      CHECK(must(node.writer.write(node.users, {.key = key, .value = "next"}, noon)).version.hlc >
            forgotten);
    }
    must(node.store->note_forgotten(node.users, {}, hlc_max));
    const auto refused = node.writer.write(node.users, {.key = "k", .value = "more"}, noon);
    REQUIRE(!refused);
    CHECK(node.value("k") == "next");
  });
}

TEST_CASE("pull: what was seen and is gone does not come back") {
  on_both([](Node& node) {
    const KeyedRecord old = put("k", "old", {there, 1});
    must(node.writer.push(node.users, views_of({old}), noon));
    must(node.writer.push(node.users, views_of({tombstone("k", {there, 2})}), noon));
    node.forget();
    REQUIRE(node.value("k") == "(none)");
    must(node.writer.pull(node.users, {old}, noon));
    CHECK(node.value("k") == "(none)");
    must(node.writer.pull(node.users, {put("k", "new", {there, 3})}, noon));
    CHECK(node.value("k") == "new");
    must(node.writer.heal(node.users, put("j", "v", {there, 1}), noon));
    CHECK_MESSAGE(node.value("j") == "v", "a copy that was asked for is put");
  });
}

TEST_CASE("pull: a delete that was forgotten and comes again deletes under a dot of ours") {
  on_both([](Node& node) {
    const KeyedRecord deleted = tombstone("k", {there, 5});
    must(node.writer.push(node.users, views_of({deleted}), noon));
    node.forget();
    REQUIRE(node.value("k") == "(none)");
    // Of a node that was given up: what it had written before the delete comes after it.
    constexpr Origin given_up{.node = 3, .epoch = 1, .loop = 0};
    must(node.writer.push(node.users, views_of({put("k", "late", {given_up, 1})}), noon));
    REQUIRE(node.value("k") == "late");
    must(node.writer.pull(node.users, {deleted}, noon));
    CHECK(node.value("k") == "(deleted)");
    const auto anew = node.writer.take_joined();
    REQUIRE(anew.size() == 1);
    const Record& record = anew[0].entry.record;
    CHECK_MESSAGE(record.dot.origin == own_origin(), "who watches was told of the other dot");
    CHECK(record.version == deleted.record.version);
    CHECK(record.deleted);
    REQUIRE(record.previous.has_value());
    CHECK(*record.previous == Dot{given_up, 1});
  });
}

// Or who was told of it and then, elsewhere, of what had come back, would be told nothing there.
TEST_CASE("push: a delete that was made anew replaces the same delete, whatever its dot") {
  on_both([](Node& node) {
    const Origin greater{.node = own_origin().node + 1, .epoch = 1, .loop = 0};
    const KeyedRecord deleted = tombstone("k", {greater, 5});
    must(node.writer.push(node.users, views_of({deleted}), noon));
    node.forget();
    must(node.writer.push(node.users, views_of({put("k", "late", {there, 1})}), noon));
    must(node.writer.pull(node.users, {deleted}, noon));
    const Record anew = node.writer.take_joined().at(0).entry.record;
    REQUIRE_MESSAGE(anew.dot < deleted.record.dot, "the dot alone would not do");
    CHECK(newer(anew, deleted.record));
    CHECK_FALSE(newer(deleted.record, anew));
    CHECK(newer(put("k", "next", {there, 6}).record, anew));

    Node holds(make_memory_store({}));
    must(holds.writer.push(holds.users, views_of({deleted}), noon));
    must(holds.writer.push(holds.users, views_of({{"k", anew}}), noon));
    CHECK(must(holds.users.find("k"))->dot == anew.dot);
    must(holds.writer.pull(holds.users, {deleted}, noon));
    CHECK(must(holds.users.find("k"))->dot == anew.dot);
  });
}

}  // namespace
}  // namespace dhrt::test
