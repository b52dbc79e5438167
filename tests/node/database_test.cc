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

}  // namespace dhrt
