// Engines for tests: on a directory of the test's own, as one Store, killed or stopped.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/engine.h"
#include "tests/storage/store_suite.h"
#include "tests/storage/temporary_directory.h"

namespace dhrt::test {

// No origin of the shared suite is the engine's own.
inline constexpr NodeId engine_node = 99;

inline EngineOptions engine_options(const std::string& directory, std::uint32_t run = 1,
                                    unsigned loops = 1) {
  EngineOptions options;
  options.directory = directory;
  options.node = engine_node;
  options.run = run;
  options.loops = loops;
  options.log_segment_bytes = std::size_t{1} << 20;
  options.map_bytes_initial = std::size_t{1} << 18;
  return options;
}

inline std::unique_ptr<Engine> open_engine(const EngineOptions& options) {
  return must(Engine::open(options));
}

// Loop 0 of an engine that lives as long as this.
class EngineStore final : public Store {
 public:
  explicit EngineStore(std::unique_ptr<Engine> engine) : engine_(std::move(engine)) {}

  Engine& engine() { return *engine_; }
  Result<Collection*> open(const OpenOptions& options) override { return store().open(options); }
  Status erase(Bytes name) override { return store().erase(name); }
  Collection* find(Bytes name) override { return store().find(name); }
  std::vector<Collection*> collections() override { return store().collections(); }
  Result<Position> append(Collection& collection, Batch batch) override {
    return store().append(collection, std::move(batch));
  }
  Result<Position> update(Collection& collection, const HashedKey& key, const Terms& terms,
                          Decide decide) override {
    return store().update(collection, key, terms, decide);
  }
  void forget_tombstones(Collection& collection, Forgettable what) override {
    store().forget_tombstones(collection, std::move(what));
  }
  Status note_forgotten(Collection& collection, const Context& dots, std::uint64_t hlc) override {
    return store().note_forgotten(collection, dots, hlc);
  }
  void commit() override { store().commit(); }
  Position collect() override { return store().collect(); }
  std::vector<std::string> take_changed() override { return store().take_changed(); }
  std::vector<DamagedKey> take_damaged() override { return store().take_damaged(); }
  Status health() const override { return engine_->store(0).health(); }
  bool maintain(WallMilliseconds now, std::size_t records_max) override {
    return store().maintain(now, records_max);
  }
  // With everything in the files, if the test is about those.
  Status drain() override {
    if (auto status = store().drain(); !status || !checkpoints) return status;
    store().collect();
    return engine_->checkpoint();
  }

  bool checkpoints = false;

 private:
  Store& store() { return engine_->store(0); }

  std::unique_ptr<Engine> engine_;
};

inline Origin own_origin(std::uint32_t run = 1, std::uint16_t loop = 0) {
  return {.node = engine_node, .epoch = run, .loop = loop};
}

// A write of a loop's own, numbered as a writer does it.
inline Position set_own(Store& store, Collection& collection, const std::string& key,
                        const std::string& value, const Origin& origin, bool deletes = false,
                        const Store::Terms& terms = Store::Joins::seen) {
  return must(
      store.update(collection, HashedKey(key), terms, [&](const RecordView* held, RecordView& put) {
        const std::uint64_t stored = held == nullptr ? 0 : held->version.hlc;
        put.dot = {origin, collection.last_sequence(origin) + 1};
        put.version = {std::max(stored, noon << hlc_counter_bits) + 1, origin.node};
        put.deleted = deletes;
        put.value = value;
        if (held != nullptr && held->unread) put.created = created_unknown;
        return true;
      }));
}

}  // namespace dhrt::test
