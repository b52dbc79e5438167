// When what is held here is enough to decide on, and when the other nodes are asked.
#include "node/database.h"

#include <doctest/doctest.h>

#include "storage/engine.h"

namespace dhrt {

namespace {

// A database on an engine in memory; what it asks of other nodes is kept.
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
    view.alone.set(false);
    database_.emplace(
        Database::Parts{*store_, *catalog_, *writer_, *driver_, view, turn_clock_, figures_}, "",
        [this](FanoutRead read) { asked.push_back(std::move(read)); });
  }
  Database& operator*() { return *database_; }
  Database* operator->() { return &*database_; }

  ClusterView view;
  std::vector<FanoutRead> asked;

 private:
  TurnClock turn_clock_;
  NodeFigures figures_;
  HybridClock clock_;
  std::unique_ptr<Engine> engine_;
  Store* store_ = nullptr;
  std::optional<RecordWriter> writer_;
  std::optional<Catalog> catalog_;
  std::optional<StoreDriver> driver_;
  std::optional<Database> database_;
};

}  // namespace

TEST_CASE("database: before a condition others are asked, unless this node knows of the key") {
  LoneDatabase database;
  CHECK(database->asks_before_condition("c", "k"));
  REQUIRE(database->set("c", "k", "v", {}));
  CHECK_FALSE(database->asks_before_condition("c", "k"));
  CHECK(database->asks_before_condition("c", "other"));
  SUBCASE("a node that is not synced yet knows nothing for certain") {
    database.view.healthy.set(false);
    CHECK(database->asks_before_condition("c", "k"));
  }
  SUBCASE("one that is alone knows everything") {
    database.view.alone.set(true);
    CHECK_FALSE(database->asks_before_condition("c", "other"));
  }
  SUBCASE("a delete is known, too") {
    database->remove("c", "k", [](const Result<Database::Removed>& removed) {
      REQUIRE(removed);
      CHECK(removed->existed);
    });
    CHECK_FALSE(database->asks_before_condition("c", "k"));
    CHECK(database.asked.empty());
  }
}

}  // namespace dhrt
