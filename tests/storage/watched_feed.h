// Somebody who watches a collection, and keeps what was told.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "storage/change_feed.h"
#include "tests/storage/engine_bench.h"
#include "tests/storage/store_suite.h"

namespace dhrt::test {

using Kind = FeedEvent::Kind;
using MakeWatchedStore = std::unique_ptr<Store> (*)();

inline std::unique_ptr<Store> memory_store() {
  return make_memory_store({});
}
inline std::unique_ptr<Store> engine_in_memory() {
  return std::make_unique<EngineStore>(open_engine(engine_options("")));
}

// Says what was told, and keeps what somebody would keep who believes it.
struct Told {
  std::map<std::string, std::string> values;
  std::set<Dot> dots;
  std::string log;

  void take(const FeedStep& step) {
    for (const FeedEvent& event : step.events) {
      log += (log.empty() ? "" : " ") + std::string(name_of(event.kind));
      if (event.kind != Kind::reset) log += ":" + event.key;
      if (event.kind == Kind::set) log += "=" + event.record.value;
      dots.insert(event.record.dot);
      if (event.kind == Kind::reset)
        values.clear();
      else if (event.kind == Kind::set)
        values[event.key] = event.record.value;
      else
        values.erase(event.key);
    }
  }
  std::string taken() { return std::exchange(log, {}); }
};

struct Watched {
  Bench bench;
  std::optional<ChangeFeed> feed;
  Told told;

  Watched(std::unique_ptr<Store> store, ChangeFeed::Options options, ChangeFeed::Begin begin)
      : bench(std::move(store), true) {
    feed.emplace(std::move(options), begin);
  }

  Collection* users() { return bench.store->find("users"); }
  // Everything that there is to tell, as one text.
  std::string all(WallMilliseconds now = noon) {
    for (int steps = 0; steps < 1000; ++steps) {
      const FeedStep step = must(feed->step(users(), now));
      told.take(step);
      if (!step.more) return told.taken();
    }
    FAIL("the feed does not come to an end");
    return {};
  }
  void set(const std::string& key, const std::string& value, Dot dot) {
    bench.set(key, value, dot);
    bench.sync();
  }
  void del(const std::string& key, Dot dot) {
    bench.append(batch_of({tombstone(key, dot)}));
    bench.sync();
  }
  void flush() {
    Batch flush;
    flush.flushed = bench.users->seen();
    bench.append(std::move(flush));
    bench.sync();
  }
};

inline void on_both(void (*test)(MakeWatchedStore)) {
  SUBCASE("memory store") {
    test(memory_store);
  }
  SUBCASE("engine") {
    test(engine_in_memory);
  }
}

inline KeyedRecord put_until(const std::string& key, Dot dot, WallMilliseconds deadline) {
  KeyedRecord entry = put(key, "v", dot);
  entry.record.deadline = deadline;
  return entry;
}

}  // namespace dhrt::test
