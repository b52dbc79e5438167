// What every store must do, as one function that each store's test file calls with a way to
// make a store.
//
// Script words: a record is written "key=value" by an origin with its next sequence.
#pragma once

#include "storage/counter.h"
#include "storage/record_codec.h"
#include "tests/storage/forget_suite.h"
#include "tests/storage/store_bench.h"

namespace dhrt::test {

// Everything that can be asked of a collection, as one text.
inline std::string describe(Collection& collection) {
  std::string text;
  for (const KeyedRecord& entry : must(collection.walk({})).records)
    text += entry.key + (entry.record.deleted ? "-" : "=") + entry.record.value + "@" +
            std::to_string(entry.record.dot.sequence) + " ";
  const ScanSlice slice = must(collection.scan({.now = noon}));
  for (const KeyedRecord& entry : slice.records)
    text += entry.key + " ";
  const CollectionCounts counts = collection.counts();
  text += std::to_string(counts.live) + " " + std::to_string(counts.tombstones) + " " +
          std::to_string(counts.bytes) + " " + std::to_string(collection.seen().hash()) + " " +
          std::to_string(collection.flushed().hash());
  return text;
}

using MakeStore = std::function<std::unique_ptr<Store>()>;

struct StoreSuiteOptions {
  MakeStore make;
  bool memory_collections = false;            // OpenOptions::memory of the collections made.
  std::function<void(Store&)> write_files{};  // Everything goes to the files, if there are any.
};

inline void run_records(Bench& bench, bool synced) {
  bench.set("a", "1", {here, 1});
  bench.set("b", "2", {here, 2});
  bench.settle(synced);
  CHECK(bench.value("a") == "1");
  CHECK(bench.value("c") == "(none)");

  bench.set("a", "3", {there, 1});
  CHECK_MESSAGE(bench.value("a") == "3", "a put replaces what was there, whatever it was");
  bench.append(batch_of({tombstone("b", {here, 3})}));
  bench.settle(synced);
  CHECK(bench.value("b") == "(deleted)");
  CHECK(bench.value("a") == "3");
  CHECK(bench.users->counts().live == 1);
  CHECK(bench.users->counts().tombstones == 1);
  CHECK(bench.users->counts().bytes == 2);
  CHECK(bench.users->highest_hlc() == (noon << hlc_counter_bits) + 3);
  bench.sync();
  CHECK_MESSAGE(bench.walk({}) == "-b,a", "each key is in the dot order once, by its last dot");

  bench.append(batch_of({put("b", "back", {here, 4})}));
  CHECK(bench.users->counts().live == 2);
  CHECK(bench.users->counts().tombstones == 0);
}

inline void run_full_record(Bench& bench, bool synced) {
  Record full = put("k", std::string("\0\xff value", 8), {there, 7}).record;
  full.version.node = 9;
  full.deadline = noon + 5;
  full.created = noon - 5;
  full.attributes = with_attribute({}, attribute_content_type, "text/plain");
  bench.append(batch_of({{"k", full}}));
  bench.settle(synced);
  const auto found = bench.find("k");
  REQUIRE(found.has_value());
  CHECK(*found == full);
}

inline void run_scan(Bench& bench, bool synced) {
  std::uint64_t sequence = 0;
  for (const char* key : {"d", "ab", "b", "a", "ba", "abc", "c"})
    bench.set(key, std::string(10, 'x'), {here, ++sequence});
  bench.settle(synced);
  // Half of them are written again and one is deleted, so that old and new are merged.
  for (const char* key : {"b", "abc", "e"})
    bench.set(key, std::string(10, 'y'), {here, ++sequence});
  bench.append(batch_of({tombstone("c", {here, ++sequence})}));

  struct Case {
    const char* why;
    ScanRequest request;
    const char* keys;
  };
  for (const Case& c : {
           Case{"everything", {}, "a,ab,abc,b,ba,d,e"},
           Case{"one at a time", {.limits = {.records_max = 1}}, "a|ab|abc|b|ba|d|e"},
           Case{"from a key that is there", {.from = "ba"}, "ba,d,e"},
           Case{"from a key that is not there", {.from = "bb"}, "d,e"},
           Case{"a prefix", {.prefix = "ab"}, "ab,abc"},
           Case{"a prefix of nothing", {.prefix = "x"}, ""},
           Case{"inside a prefix", {.from = "aba", .prefix = "a"}, "abc"},
           Case{"behind a prefix", {.from = "c", .prefix = "a"}, ""},
           Case{"by bytes, keys and values", {.limits = {.bytes_max = 23}}, "a,ab|abc|b,ba|d,e"},
           Case{"less than one record", {.prefix = "a", .limits = {.bytes_max = 1}}, "a|ab|abc"},
       }) {
    CAPTURE(c.why);
    CHECK(bench.scan(c.request) == c.keys);
  }
  const ScanSlice bare = must(bench.users->scan({.with_values = false, .now = noon}));
  REQUIRE(bare.records.size() == 7);
  CHECK(bare.records[0].record.value.empty());
  CHECK(bare.records[0].record.dot == Dot{here, 4});
}

inline void run_walk(Bench& bench) {
  for (std::uint64_t i = 1; i <= 5; ++i)
    bench.set("h" + std::to_string(i), "v", {here, i});
  for (std::uint64_t i = 1; i <= 3; ++i)
    bench.set("t" + std::to_string(i), "v", {there, i});
  bench.set("h2", "again", {here, 6});
  bench.append(batch_of({tombstone("t3", {there, 4})}));
  bench.sync();

  Context some = context_of(here, 1, 3);
  some.add({here, 5});
  Context all = context_of(here, 1, 6);
  all.merge(context_of(there, 1, 4));
  struct Case {
    const char* why;
    WalkRequest request;
    const char* keys;
  };
  for (const Case& c : {
           Case{"everything", {}, "h1,h3,h4,h5,h2,t1,t2,-t3"},
           Case{"one at a time", {.limits = {.records_max = 1}}, "h1|h3|h4|h5|h2|t1|t2|-t3"},
           Case{"one origin is known", {.excluded = context_of(here, 1, 9)}, "t1,t2,-t3"},
           Case{"a gap", {.excluded = some}, "h4,h2,t1,t2,-t3"},
           Case{"a gap, one at a time",
                {.excluded = some, .limits = {.records_max = 1}},
                "h4|h2|t1|t2|-t3"},
           Case{"nothing is new", {.excluded = all}, ""},
           Case{"from a dot", {.from = Dot{here, 5}}, "h5,h2,t1,t2,-t3"},
           Case{"from between origins", {.from = Dot{here, 99}}, "t1,t2,-t3"},
       }) {
    CAPTURE(c.why);
    CHECK(bench.walk(c.request) == c.keys);
  }
  CHECK(must(bench.users->walk({})).durable == all);
}

inline void run_flush(Bench& bench, bool synced) {
  for (std::uint64_t i = 1; i <= 30; ++i)
    bench.set("k" + std::to_string(i), "v", {here, i});
  bench.append(batch_of({tombstone("gone", {here, 31})}));
  bench.settle(synced);

  Batch flush;
  flush.flushed = bench.users->seen();
  bench.append(std::move(flush));
  CHECK(bench.value("k7") == "(deleted)");
  CHECK(bench.find("k7")->dot == Dot{here, 7});
  CHECK(bench.scan({}) == "");
  CHECK_MESSAGE(bench.users->counts().live == 0, "at once, however many there were");
  CHECK(bench.users->counts().bytes == 0);
  CHECK(bench.users->counts().tombstones == 31);

  bench.set("k7", "new", {here, 32});
  bench.append({.puts = {put("late", "v", {here, 20})}, .seen = {}, .flushed = {}});
  CHECK_MESSAGE(bench.value("late") == "(deleted)", "it was flushed before it arrived");
  CHECK(bench.scan({}) == "k7");
  CHECK(bench.users->counts().live == 1);
  bench.maintain_all(noon);
  CHECK(bench.scan({}) == "k7");
  CHECK(bench.value("k8") == "(deleted)");
  CHECK(bench.users->counts().live == 1);
  CHECK(bench.users->counts().tombstones == 31);
  CHECK(bench.walk({.excluded = context_of(here, 2, 31)}) == "-k1,k7");
}

inline void run_partial_flush(Bench& bench, bool synced) {
  for (std::uint64_t i = 1; i <= 6; ++i)
    bench.set("k" + std::to_string(i), "v", {here, i});
  bench.settle(synced);
  bench.append({.puts = {}, .seen = {}, .flushed = context_of(here, 2, 4)});
  CHECK(bench.scan({}) == "k1,k5,k6");
  bench.maintain_all(noon);
  CHECK(bench.users->counts().live == 3);
  CHECK(bench.users->counts().tombstones == 3);
  CHECK(bench.users->counts().bytes == 9);
  bench.append({.puts = {}, .seen = {}, .flushed = context_of(here, 1, 5)});
  bench.maintain_all(noon);
  CHECK(bench.scan({}) == "k6");
  CHECK(bench.walk({}) == "-k1,-k2,-k3,-k4,-k5,k6");
}

inline void run_deadline(Bench& bench, bool synced) {
  for (std::uint64_t i = 1; i <= 40; ++i) {
    KeyedRecord entry = put("k" + std::to_string(i), "v", {here, i});
    entry.record.deadline = noon + i;
    bench.append(batch_of({entry}));
  }
  bench.set("k40", "stays", {here, 41});
  bench.settle(synced);
  CHECK(bench.scan({.prefix = "k3", .now = noon + 34}) == "k35,k36,k37,k38,k39");
  CHECK_MESSAGE(bench.value("k3") == "v", "find() leaves the deadline to visible()");

  bench.maintain_all(noon + 39);
  CHECK(bench.value("k39") == "(deleted)");
  CHECK(bench.find("k39")->dot == Dot{here, 39});
  CHECK(bench.users->counts().tombstones == 39);
  CHECK(bench.users->counts().live == 1);
  bench.maintain_all(noon + 100);
  CHECK_MESSAGE(bench.value("k40") == "stays", "a rewrite takes the deadline away");
}

// What counts on, and what was counted, outlives a deadline, but no flush.
inline void run_counter_deadline(Bench& bench, bool synced) {
  const auto counted = [](std::uint64_t sequence, const std::string& key) {
    KeyedRecord entry = put(key, "1", {here, sequence});
    entry.record.deadline = noon + 10;
    entry.record.attributes = count_on(nullptr, false, {here, 1, 1},
                                       with_attribute({}, attribute_content_type, "text/plain"));
    return entry;
  };
  const KeyedRecord flushed = counted(1, "flushed");
  const KeyedRecord kept = counted(2, "kept");
  bench.append(batch_of({flushed, kept}));
  bench.append({.puts = {}, .seen = {}, .flushed = context_of(here, 1, 1)});
  bench.settle(synced);
  bench.maintain_all(noon + 10);
  CHECK(bench.value("kept") == "(deleted)");
  CHECK(bench.find("kept")->attributes == kept.record.attributes);
  CHECK(bench.value("flushed") == "(deleted)");
  CHECK(bench.find("flushed")->attributes.empty());
  // Who compares is shown the same: two contents under one dot would never come together.
  bench.sync();
  const RangeSlice all = must(bench.users->range({}));
  REQUIRE(all.records.size() == 2);
  CHECK(all.records[0].record.attributes.empty());
  CHECK(all.records[1].record.attributes == kept.record.attributes);
}

inline void run_range(Bench& bench, bool synced) {
  std::uint64_t sequence = 0;
  for (const char* key : {"d", "ab", "b", "a", "ba", "abc", "c"})
    bench.set(key, std::string(10, 'x'), {here, ++sequence});
  KeyedRecord mortal = put("e", "v", {here, ++sequence});
  mortal.record.deadline = 5;
  bench.append(batch_of({mortal}));
  bench.settle(synced);
  bench.set("b", std::string(10, 'y'), {here, ++sequence});
  bench.append(batch_of({tombstone("c", {here, ++sequence}), tombstone("f", {there, 1})}));
  bench.append({.puts = {}, .seen = {}, .flushed = context_of(here, 2, 2)});
  bench.sync();

  struct Case {
    const char* why;
    RangeRequest request;
    const char* keys;
  };
  for (const Case& c : {
           Case{"everything that is held", {}, "a,-ab,abc,b,ba,-c,d,e,-f"},
           Case{"one at a time", {.limits = {.records_max = 1}}, "a|-ab|abc|b|ba|-c|d|e|-f"},
           Case{"from a key that is there", {.from = "ba"}, "ba,-c,d,e,-f"},
           Case{"to a key that is there", {.to = "b"}, "a,-ab,abc"},
           Case{"a part, one at a time",
                {.from = "abc", .to = "d", .limits = {.records_max = 1}},
                "abc|b|ba|-c"},
           Case{"by bytes, keys and values",
                {.to = "c", .limits = {.bytes_max = 26}},
                "a,-ab,abc|b,ba"},
       }) {
    CAPTURE(c.why);
    std::string keys = bench.range(c.request);
    // Where one slice is full may be seen by the next.
    if (keys.ends_with('|')) keys.pop_back();
    CHECK(keys == c.keys);
  }
  const RangeSlice all = must(bench.users->range({}));
  CHECK(all.durable == bench.users->durable());
  CHECK(all.durable.contains(context_of(here, 1, sequence)));
  CHECK(all.records[3].record.value == std::string(10, 'y'));
  CHECK(all.records[1].record == tombstone_of(*bench.find("ab")));
  CHECK(all.records[7].record.deadline == 5);
  const RangeSlice bare = must(bench.users->range({.from = "b", .with_values = false}));
  REQUIRE(bare.records.size() == 6);
  CHECK(bare.records[0].record.value.empty());
  for (const RangeRequest& request :
       {RangeRequest{}, RangeRequest{.from = "ba", .to = "e"}, RangeRequest{.with_values = false},
        RangeRequest{.to = "c", .limits = {.bytes_max = 26}}}) {
    CAPTURE(request.from);
    RangeRequest to_send = request;
    to_send.encoded = true;
    const RangeSlice plain = must(bench.users->range(request));
    const RangeSlice sent = must(bench.users->range(to_send));
    CHECK(sent.records.empty());
    CHECK(sent.batch.records() == plain.records);
    CHECK(sent.batch.count() == plain.records.size());
    CHECK(sent.next == plain.next);
    CHECK(sent.durable == plain.durable);
  }
}

inline void run_generations(Bench& bench) {
  Store& store = *bench.store;
  bench.set("a", "1", {here, 1});
  bench.sync();
  CHECK(&opened(store, "users", bench.memory) == bench.users);
  CHECK(store.find("users") == bench.users);
  CHECK(store.find("nobody") == nullptr);

  bench.users = &opened(store, "users", bench.memory, 3);
  CHECK(bench.users->ref() == CollectionRef{"users", 3});
  CHECK_MESSAGE(bench.value("a") == "(none)", "a later life starts empty");
  CHECK(bench.users->seen().empty());
  const auto older = store.open({.ref = {"users", 2}, .memory = bench.memory});
  REQUIRE(!older);
  CHECK(older.error().code == ErrorCode::precondition);
  const auto badly_named = store.open({.ref = {"../users", 1}, .memory = bench.memory});
  REQUIRE(!badly_named);
  CHECK(badly_named.error().code == ErrorCode::invalid_argument);

  opened(store, "_sys", bench.memory);
  opened(store, "apples", bench.memory);
  std::string names;
  for (const Collection* collection : store.collections())
    names += collection->ref().name + " ";
  CHECK(names == "_sys apples users ");

  bench.set("a", "1", {here, 1});
  must(store.erase("users"));
  must(store.erase("users"));
  CHECK(store.find("users") == nullptr);
  bench.sync();
  CHECK(store.take_changed().empty());
  bench.users = &opened(store, "users", bench.memory, 1);
  CHECK(bench.value("a") == "(none)");
  bench.set("a", "2", {here, 1});
  bench.sync();
  CHECK(bench.value("a") == "2");
}

inline void run_positions(Bench& bench) {
  Store& store = *bench.store;
  Collection& other = opened(store, "others", bench.memory);
  const Position first = bench.append(batch_of({put("a", "1", {here, 1})}));
  const Position second = must(store.append(other, batch_of({put("a", "1", {here, 1})})));
  const Position third = bench.append(batch_of({put("b", "1", {here, 2})}));
  CHECK(first > 0);
  CHECK(second > first);
  CHECK(third > second);
  CHECK_MESSAGE(bench.users->durable().empty(), "nobody has collected yet");
  CHECK(bench.users->seen() == context_of(here, 1, 2));

  CHECK(bench.sync() >= third);
  CHECK(bench.users->durable() == context_of(here, 1, 2));
  CHECK(other.durable() == context_of(here, 1, 1));
  CHECK(store.take_changed() == std::vector<std::string>{"others", "users"});
  CHECK(store.take_changed().empty());

  bench.append(batch_of({}));
  bench.sync();
  CHECK_MESSAGE(store.take_changed().empty(), "nothing was learned from an empty batch");
  bench.append({.puts = {}, .seen = {}, .flushed = context_of(there, 1, 1)});
  bench.sync();
  CHECK(store.take_changed() == std::vector<std::string>{"users"});
}

inline void run_store_suite(const StoreSuiteOptions& options) {
  const auto bench = [&] {
    Bench made(options.make(), options.memory_collections);
    made.write_files = options.write_files;
    return made;
  };
  const auto both = [&](void (*run)(Bench&, bool)) {
    for (const bool synced : {false, true}) {
      CAPTURE(synced);
      Bench fresh = bench();
      run(fresh, synced);
    }
  };
  SUBCASE("a put is read back, replaced and deleted") {
    both(run_records);
  }
  SUBCASE("every field of a record is kept") {
    both(run_full_record);
  }
  SUBCASE("a scan gives visible keys in order, in slices") {
    both(run_scan);
  }
  SUBCASE("a flush deletes what was seen, at once") {
    both(run_flush);
  }
  SUBCASE("a flush of some leaves the others") {
    both(run_partial_flush);
  }
  SUBCASE("records past their deadline become tombstones") {
    both(run_deadline);
  }
  SUBCASE("a counter past its deadline still says what was counted") {
    both(run_counter_deadline);
  }
  SUBCASE("a walk gives what is not excluded, by dot") {
    Bench fresh = bench();
    run_walk(fresh);
  }
  SUBCASE("a range gives everything that is held, by key") {
    both(run_range);
  }
  SUBCASE("tombstones are forgotten when everybody has them, and nothing else") {
    both(run_forget);
  }
  SUBCASE("so are those that a flush or a deadline made") {
    both(run_forget_others);
  }
  SUBCASE("a tombstone ahead of the clock stays until it is not") {
    both(run_forget_ahead);
  }
  SUBCASE("what is not durable is not forgotten") {
    Bench fresh = bench();
    run_forget_durable(fresh);
  }
  SUBCASE("collections are opened, erased and told apart by generation") {
    Bench fresh = bench();
    run_generations(fresh);
  }
  SUBCASE("positions rise, and contexts become durable in order") {
    Bench fresh = bench();
    run_positions(fresh);
  }
}

}  // namespace dhrt::test
