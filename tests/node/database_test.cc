// When what is held here is enough to decide on, and when the other nodes are asked.
#include "node/database.h"

#include <doctest/doctest.h>

#include "tests/node/lone_database.h"

namespace dhrt {

using test::LoneDatabase;

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

TEST_CASE(
    "database: while the clock is too wrong nothing is written for clients, and all is read") {
  LoneDatabase database;
  database.view.alone.set(true);
  REQUIRE(database->set("c", "k", "v", {}));
  const Database::Place place = database->place("c");
  database.view.max_clock_offset_milliseconds = 500;
  database.view.clock_offset_milliseconds = -3'600'000;
  database.view.fenced.set(true);
  const auto refused = [](const auto& result) {
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().code == ErrorCode::unavailable);
    CHECK(result.error().message.find("CLOCK_SKEW the clock of this node is 3600000 ms behind") ==
          0);
    CHECK(result.error().message.find("500 ms (--max-clock-offset)") != std::string::npos);
  };
  refused(database->set("c", "k", "w", {}));
  refused(database->set_at_once(place, HashedKey("k"), "w", {}, Database::Tells::nothing));
  refused(database->change("c", HashedKey("k"), [](const RecordView*, Change& change) {
    change.value = "w";
    return true;
  }));
  database->remove("c", "k", [&](const Result<Database::Removed>& removed) { refused(removed); });
  refused(database->flush("c"));
  refused(database->create("new", {}));
  refused(database->drop("c"));
  std::string value;
  CHECK(database->read_at_once(place, HashedKey("k"),
                               [&](const RecordView* held) { value = held->value; }));
  CHECK(value == "v");

  // What comes from others is taken in.
  CHECK(database->set("c", "copied", "v", {.if_absent = true, .copies = true}));
  const Record brought{.version = {.hlc = 1, .node = 2}, .dot = {{2, 1, 0}, 1}, .value = "v"};
  CHECK(database->take_in("c", "brought", brought));
  CHECK(database->find("c")->find("brought")->has_value());

  database.view.fenced.set(false);
  CHECK(database->set("c", "k", "w", {}));
}

}  // namespace dhrt
