// A store with one collection, and short words to speak to it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/store.h"

namespace dhrt::test {

inline constexpr Origin here{.node = 1, .epoch = 1, .loop = 0};
inline constexpr Origin there{.node = 2, .epoch = 1, .loop = 0};
inline constexpr WallMilliseconds noon = 1'000'000;

inline KeyedRecord put(const std::string& key, const std::string& value, Dot dot) {
  KeyedRecord entry;
  entry.key = key;
  entry.record.version = {(noon << hlc_counter_bits) + dot.sequence, dot.origin.node};
  entry.record.dot = dot;
  entry.record.value = value;
  return entry;
}

inline KeyedRecord tombstone(const std::string& key, Dot dot) {
  KeyedRecord entry = put(key, "", dot);
  entry.record.deleted = true;
  return entry;
}

// Borrows from `records`.
inline std::vector<KeyedView> views_of(const std::vector<KeyedRecord>& records) {
  std::vector<KeyedView> views;
  for (const KeyedRecord& entry : records)
    views.push_back(view_of(entry));
  return views;
}

// A batch that has seen what it puts, as a client's write does.
inline Batch batch_of(std::vector<KeyedRecord> puts) {
  Batch batch;
  for (const KeyedRecord& entry : puts)
    batch.seen.add(entry.record.dot);
  batch.puts = std::move(puts);
  return batch;
}

inline Context context_of(const Origin& origin, std::uint64_t first, std::uint64_t last) {
  Context context;
  context.add(origin, Interval{first, last});
  return context;
}

template <typename T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result.has_value(), (result ? "" : result.error().message));
  return std::move(*result);
}

inline void must(const Status& status) {
  REQUIRE_MESSAGE(status.has_value(), (status ? "" : status.error().message));
}

inline Collection& opened(Store& store, const std::string& name, bool memory,
                          std::uint32_t generation = 1) {
  return *must(store.open({.ref = {name, generation}, .memory = memory}));
}

// One store with one collection, spoken to in short words.
struct Bench {
  std::unique_ptr<Store> store;
  bool memory = false;
  Collection* users = nullptr;
  std::function<void(Store&)> write_files;  // Of a store that has some.

  Bench(std::unique_ptr<Store> made, bool in_memory)
      : store(std::move(made)), memory(in_memory), users(&opened(*store, "users", in_memory)) {}

  Position append(Batch batch) { return must(store->append(*users, std::move(batch))); }
  void set(const std::string& key, const std::string& value, Dot dot) {
    append(batch_of({put(key, value, dot)}));
  }
  Position sync() {
    must(store->drain());
    return store->collect();
  }
  // Half of the suite runs on what is only appended, half on what went to the disk.
  void settle(bool synced) {
    if (synced) sync();
  }
  std::optional<Record> find(const std::string& key) { return must(users->find(key)); }
  std::string value(const std::string& key) {
    const auto record = find(key);
    if (!record) return "(none)";
    return record->deleted ? "(deleted)" : record->value;
  }
  // The keys of a whole scan, a comma between them and a bar between slices.
  std::string scan(ScanRequest request) {
    std::string keys;
    if (request.now == 0) request.now = noon;
    for (;;) {
      const ScanSlice slice = must(users->scan(request));
      for (const KeyedRecord& entry : slice.records)
        keys += (keys.empty() || keys.back() == '|' ? "" : ",") + entry.key;
      if (!slice.next) return keys;
      keys += "|";
      request.from = *slice.next;
    }
  }
  // The same for a walk; a deleted record has a minus in front.
  std::string walk(WalkRequest request) {
    std::string keys;
    for (;;) {
      const WalkSlice slice = must(users->walk(request));
      for (const KeyedRecord& entry : slice.records)
        keys += (keys.empty() || keys.back() == '|' ? "" : ",") +
                std::string(entry.record.deleted ? "-" : "") + entry.key;
      if (!slice.next) return keys;
      keys += "|";
      request.from = slice.next;
    }
  }
  // The same for a range; one that is damaged has a mark behind.
  std::string range(RangeRequest request) {
    std::string keys;
    for (;;) {
      const RangeSlice slice = must(users->range(request));
      for (const KeyedRecord& entry : slice.records)
        keys += (keys.empty() || keys.back() == '|' ? "" : ",") +
                std::string(entry.record.deleted ? "-" : "") + entry.key +
                (entry.record.damaged ? "!" : "");
      if (!slice.next) return keys;
      keys += "|";
      request.from = *slice.next;
    }
  }
  // Everybody has these, and what may go has the time to.
  void forget(const Store::Forgettable& what) {
    sync();
    store->forget_tombstones(*users, what);
    maintain_all(0);
    if (write_files) write_files(*store);
  }
  void maintain_all(WallMilliseconds now) {
    sync();
    for (int i = 0; i < 1000; ++i) {
      const bool more = store->maintain(now, 10);
      sync();
      if (!more) return;
    }
    FAIL("maintenance does not come to an end");
  }
};

}  // namespace dhrt::test
