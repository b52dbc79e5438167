// Deletes and sets above level one, when what other nodes show is played by the test.
#include "node/levels.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/node/lone_database.h"

namespace dhrt {

using test::LoneDatabase;

namespace {

constexpr Tally a_majority{.reached = true, .applied = 2, .need = 2};
constexpr Tally too_few{.reached = false, .applied = 1, .need = 2};

class Leveled {
 public:
  LoneDatabase database;
  LevelWaits waits{[this](WaitForLevel wait) { waiting.push_back(std::move(wait)); }};
  Levels levels{*database, waits, database.figures};
  std::vector<WaitForLevel> waiting;

  // The other nodes have it, or were given this.
  void answer(std::optional<Record> record, Tally tally = a_majority) {
    REQUIRE_FALSE(database.asked.empty());
    const FanoutRead asked = std::move(database.asked.back());
    database.asked.pop_back();
    database->fanout_reply({.request = asked.request, .record = std::move(record), .tally = tally});
  }
  // What was written is on this node's disk, and this many have it.
  void reach(Tally tally = a_majority) {
    database.turn();
    waits.durable(~Position{0});
    const auto asked = std::exchange(waiting, {});
    REQUIRE(asked.size() == 1);
    waits.answered({asked.front().request, tally});
  }
  // "1" or "0" for what was there or not, "TIMEOUT applied=..." or empty while it waits.
  std::string remove(WriteLevel level) {
    removed.clear();
    levels.remove(level, "c", "k", [this](const Result<Database::Removed>& made) {
      removed = made ? (made->existed ? "1" : "0") : made.error().message;
    });
    return removed;
  }
  std::string removed;
};

Record foreign(std::uint64_t hlc, bool deleted) {
  return {.version = {hlc, 9}, .dot = {{9, 1, 0}, 1}, .deleted = deleted, .value = "theirs"};
}

}  // namespace

TEST_CASE("levels: a delete that is repeated is not done as long as too few have it") {
  Leveled node;
  REQUIRE(node.database->set("c", "k", "v", {}));
  CHECK(node.remove(WriteLevel::quorum) == "");
  node.reach(too_few);
  CHECK(node.removed == "applied=1 need=2");

  // The key is gone here, and nowhere else.
  CHECK(node.remove(WriteLevel::quorum) == "");
  SUBCASE("and too few can be asked") {
    node.answer(std::nullopt, too_few);
    CHECK(node.removed == "applied=1 need=2");
  }
  SUBCASE("it is deleted once more, and answered when enough have that") {
    node.answer(foreign(1, false));
    CHECK(node.removed == "");
    node.reach();
    CHECK(node.removed == "1");
  }
  SUBCASE("where nobody ever had it there is nothing to wait for") {
    node.answer(std::nullopt);
    CHECK(node.removed == "0");
    CHECK(node.waiting.empty());
  }
}

TEST_CASE("levels: a delete at linear says whether the key was there for a majority, not here") {
  Leveled node;
  SUBCASE("it is still here, and deleted elsewhere") {
    REQUIRE(node.database->set("c", "k", "stale", {}));
    CHECK(node.remove(WriteLevel::linear) == "");
    node.answer(foreign((wall_now() + 1000) << hlc_counter_bits, true));
    node.reach();
    CHECK(node.removed == "0");
  }
  SUBCASE("it never came here") {
    CHECK(node.remove(WriteLevel::linear) == "");
    node.answer(foreign(7, false));
    node.reach();
    CHECK(node.removed == "1");
  }
}

TEST_CASE("levels: sets at linear that ask for the newest version count like those that wait") {
  Leveled node;
  std::vector<Result<Written>> done;
  const auto set = [&](const std::string& value) {
    node.levels.set(WriteLevel::linear, "c", "k", value, {},
                    [&](const Result<Written>& made) { done.push_back(made); });
  };
  SUBCASE("by their number") {
    for (std::size_t i = 0; i < level_waits_max; ++i)
      set("v");
  }
  SUBCASE("by their bytes") {
    set(std::string(level_wait_bytes_max, 'v'));
  }
  CHECK(done.empty());
  set("one more");
  REQUIRE(done.size() == 1);
  REQUIRE_FALSE(done.front());
  CHECK(done.front().error().code == ErrorCode::busy);
  // There is room again when one of them had its answer.
  node.answer(std::nullopt, too_few);
  set("one more");
  REQUIRE(done.size() == 2);
  CHECK(done.back().error().code == ErrorCode::timeout);
}

}  // namespace dhrt
