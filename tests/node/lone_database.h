// A database on an engine in memory, without loops around it; what it asks of other nodes is kept.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include <doctest/doctest.h>

#include "node/database.h"
#include "storage/base/system_clock.h"
#include "storage/engine.h"

namespace dhrt::test {

class LoneDatabase {
 public:
  LoneDatabase() {
    EngineOptions options{.node = 1};
    options.wake.emplace_back([] {});
    auto opened = Engine::open(options);
    REQUIRE(opened.has_value());
    engine_ = std::move(*opened);
    store_ = &engine_->store(0);
    writer_.emplace(*store_, clock_, Origin{1, 1, 0});
    catalog_.emplace(*store_, *writer_, CatalogOptions{.memory = true});
    REQUIRE(catalog_->load(wall_now()).has_value());
    driver_.emplace(*store_, *catalog_, *writer_, StoreDriverOptions{});
    view.belongs.set(true);
    view.healthy.set(true);
    database_.emplace(
        Database::Parts{*store_, *catalog_, *writer_, *driver_, view, turn_clock_, figures}, "",
        [this](FanoutRead read) { asked.push_back(std::move(read)); });
  }
  Database& operator*() { return *database_; }
  Database* operator->() { return &*database_; }
  StoreDriver& driver() { return *driver_; }
  // What a loop does at the end of a turn.
  void turn() {
    database_->publish();
    store_->commit();
    std::vector<Input> inputs;
    driver_->collect(inputs);
  }

  ClusterView view;  // Healthy, and not alone unless that is set.
  NodeFigures figures;
  std::vector<FanoutRead> asked;

 private:
  TurnClock turn_clock_;
  HybridClock clock_;
  std::unique_ptr<Engine> engine_;
  Store* store_ = nullptr;
  std::optional<RecordWriter> writer_;
  std::optional<Catalog> catalog_;
  std::optional<StoreDriver> driver_;
  std::optional<Database> database_;
};

}  // namespace dhrt::test
