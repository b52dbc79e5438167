#include "storage/hot_keys.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "storage/writer.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

using Keys = std::vector<std::string>;

TEST_CASE("hot keys: the hottest come first, and what was read once is not hot") {
  HotKeys hot(1);
  for (int i = 0; i < 9; ++i)
    hot.read("often");
  for (int i = 0; i < 3; ++i) {
    hot.read("b");
    hot.read("a");
  }
  hot.read("once");
  CHECK(hot.hottest(10) == Keys{"often", "a", "b"});
  CHECK(hot.hottest(1) == Keys{"often"});
  CHECK(hot.hottest(0).empty());
}

TEST_CASE("hot keys: what is read no more gives way, and what is read stays") {
  HotKeys hot(1);
  for (int i = 0; i < 100; ++i)
    hot.read("before");
  for (std::size_t i = 0; i < 100 * HotKeys::counters_max; ++i) {
    hot.read("cold" + std::to_string(i));
    if (i % 100 == 0) hot.read("now");
  }
  CHECK(hot.hottest(10) == Keys{"now"});
}

TEST_CASE("hot keys: longer keys are not counted") {
  HotKeys hot(1);
  const std::string longest(HotKeys::key_bytes_max, 'k');
  for (int i = 0; i < 2; ++i) {
    hot.read(longest);
    hot.read(longest + 'k');
  }
  CHECK(hot.hottest(10) == Keys{longest});
}

TEST_CASE("hot keys: of many reads some are counted, of each key about its share") {
  HotKeys hot(64);
  Random random(1);
  for (int i = 0; i < 200'000; ++i)
    hot.read(random.chance(0.5)   ? "half"
             : random.chance(0.5) ? "quarter"
                                  : std::to_string(random.below(1000)));
  const Keys keys = hot.hottest(2);
  CHECK(keys == Keys{"half", "quarter"});
}

TEST_CASE("hot keys: a collection says which of its keys are read, in memory and on a disk") {
  for (const Bytes kind : {"memory store", "engine", "engine in memory"}) {
    CAPTURE(kind);
    const TemporaryDirectory directory;
    std::unique_ptr<Store> store = make_memory_store({});
    if (kind != "memory store")
      store = std::make_unique<EngineStore>(
          open_engine(engine_options(kind == "engine" ? directory.path() : "")));
    Collection& users = opened(*store, "users", false);
    HybridClock clock;
    RecordWriter writer(*store, clock, own_origin());
    for (int i = 0; i < 100; ++i)
      must(writer.write(users, {.key = "k" + std::to_string(i), .value = "v"}, noon));
    CHECK(users.hottest(3).empty());
    for (int i = 0; i < 20'000; ++i) {
      must(users.find("k7"));
      must(users.find("k" + std::to_string(i % 100)));
    }
    REQUIRE(!users.hottest(1).empty());
    CHECK(users.hottest(1) == Keys{"k7"});
  }
}

}  // namespace
}  // namespace dhrt::test
