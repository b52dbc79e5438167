// What walks show and claim while records are replaced and synced, and what is remembered for them.
#include <atomic>
#include <map>
#include <optional>
#include <thread>

#include "storage/base/system_clock.h"
#include "storage/engine_collection.h"
#include "tests/storage/engine_bench.h"

namespace dhrt::test {
namespace {

// Turns of so many writes; the last one is of a key of its own, which is never replaced, so that
// the last dot that a walk claims is the last one that was durable.
constexpr std::uint64_t turn = 11;
constexpr std::uint64_t turns = 4000;

std::string key_of(std::uint64_t sequence) {
  if (sequence % turn == 0) return "mark " + std::to_string(sequence);
  return std::to_string(sequence % turn) + "-" + std::to_string(sequence / turn % 4);
}

// The newest durable write of every key must be in a walk that claims it. The first that is not.
std::optional<std::uint64_t> claimed_but_missing(const WalkSlice& slice, const Origin& origin) {
  std::map<std::string, std::uint64_t> shown;
  for (const KeyedRecord& entry : slice.records)
    shown[entry.key] = entry.record.dot.sequence;
  const IntervalSet* claimed = slice.durable.find(origin);
  if (claimed == nullptr) return std::nullopt;
  std::map<std::string, std::uint64_t> newest;
  for (std::uint64_t n = 1; n <= claimed->last(); ++n)
    newest[key_of(n)] = n;
  for (const auto& [key, sequence] : newest) {
    if (claimed->contains(sequence) && shown[key] != sequence) return sequence;
  }
  return std::nullopt;
}

TEST_CASE("engine walk: what is claimed is shown, whatever becomes durable meanwhile") {
  const TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path());
  options.checkpoint_bytes = std::size_t{64} << 10;
  Store::Terms terms = Store::Joins::seen;
  SUBCASE("in memory") {}
  SUBCASE("in memory or in the file") {
    options.cache_bytes = 0;
    options.checkpoint_bytes = 1024;
  }
  SUBCASE("the same, and written blindly") {
    options.cache_bytes = 0;
    options.checkpoint_bytes = 1024;
    terms.unread_hlc_max = ~std::uint64_t{0};
  }
  const auto engine = open_engine(options);
  Store& store = engine->store(0);
  Collection& users = opened(store, "users", false);
  store.commit();
  std::atomic<bool> ended{false};
  std::thread writer([&] {
    for (std::uint64_t n = 1; n <= turn * turns; ++n) {
      set_own(store, users, key_of(n), "value", own_origin(), false, terms);
      if (n % turn == 0) store.commit();
      store.collect();
    }
    ended = true;
  });
  std::optional<std::uint64_t> missing;
  while (!ended && !missing) {
    const WalkSlice slice =
        must(users.walk({.excluded = {}, .from = {}, .limits = {.records_max = turn * turns}}));
    REQUIRE(!slice.next);
    missing = claimed_but_missing(slice, own_origin());
  }
  writer.join();
  CHECK_MESSAGE(!missing, "sequence ", missing.value_or(0));
}

TEST_CASE("engine walk: without syncs no more is remembered than the logs are synced for") {
  const TemporaryDirectory directory;
  EngineOptions options = engine_options(directory.path());
  options.durability = Durability::none;
  options.checkpoint_age = Duration{3'600'000};
  const auto engine = open_engine(options);
  Store& store = engine->store(0);
  auto& users = static_cast<EngineCollection&>(opened(store, "users", false));
  const auto overwrite = [&](int times) {
    for (int i = 0; i < times; ++i) {
      set_own(store, users, "always the same", "value", own_origin());
      if (i % 16 == 0) store.commit();
      store.collect();
    }
  };
  constexpr std::size_t most = EngineCollection::replaced_max;
  // Several times: what is forgotten must not become less each time.
  for (int i = 0; i < 4; ++i) {
    while (users.replaced_dots() < most)
      overwrite(1);
    // Somebody syncs, and the next writes forget nearly all.
    const Time patience = monotonic_now() + Duration(20'000);
    while (users.replaced_dots() >= most / 2 && monotonic_now() < patience)
      overwrite(64);
    CHECK(users.replaced_dots() < most / 2);
  }
  CHECK(engine->figures().checkpoints == 0);
}

}  // namespace
}  // namespace dhrt::test
