// What decides whether a node serves a session, when what it has seen is played by the test.
#include "node/session_rule.h"

#include <doctest/doctest.h>

#include "tests/node/lone_database.h"

namespace dhrt {

namespace {

constexpr Origin origin{7, 2, 0};
constexpr Origin other{9, 1, 0};

Context with(const std::vector<Interval>& intervals) {
  Context seen;
  for (const Interval& interval : intervals)
    seen.add(origin, interval);
  return seen;
}

}  // namespace

TEST_CASE("session rule: all is seen up to the tip, or the origin has ended and the tip is here") {
  struct Case {
    const char* why;
    std::vector<Interval> seen;
    bool has_ended;
    bool is_missing;
  };
  for (const auto& c : {
           Case{"all", {{1, 5}}, false, false},
           Case{"more", {{1, 9}}, false, false},
           Case{"nothing", {}, false, true},
           Case{"too little", {{1, 4}}, false, true},
           Case{"a gap, which will close", {{1, 3}, {5, 5}}, false, true},
           Case{"a gap, which nobody can close", {{1, 3}, {5, 5}}, true, false},
           Case{"the tip itself is nowhere", {{1, 4}}, true, true},
       }) {
    CAPTURE(c.why);
    const auto missing =
        missing_of(with(c.seen), {{origin, 5}}, [&](const Origin&) { return c.has_ended; });
    CHECK(missing.has_value() == c.is_missing);
    if (missing) CHECK(*missing == origin);
  }
}

TEST_CASE("session rule: an origin has ended when its node says so, and nobody has more of it") {
  Member member{.id = origin.node, .epoch = origin.epoch};
  const auto ended = [&](bool agrees) {
    return has_ended_everywhere(origin, {{member.id, member}}, agrees);
  };
  CHECK_FALSE(ended(true));
  member.epoch = origin.epoch + 1;
  CHECK(ended(true));
  CHECK_FALSE(ended(false));
  member.epoch = origin.epoch;
  member.liveness = Liveness::dead;
  CHECK_FALSE(ended(true));
  member.liveness = Liveness::evicted;
  CHECK(ended(true));
  CHECK_FALSE(has_ended_everywhere(other, {{member.id, member}}, true));
}

TEST_CASE("session rule: what was dropped since is not waited for, what comes to be is") {
  test::LoneDatabase database;
  REQUIRE(database->set("users", "k", "v", {}).has_value());
  const CollectionRef first = shown_in(*database, "users");
  bool has_ended = false;
  const auto ended = [&](const Origin&) { return has_ended; };
  const auto look = [&](const CollectionRef& collection, const Dot& dot) {
    SessionToken token;
    token.saw(collection, dot);
    return SessionRule(*database, ended).look(token, {"users"}).sight;
  };
  const Dot own{{1, 1, 0}, 1};
  CHECK(look(first, own) == SessionSight::seen);
  CHECK(look(first, {other, 1}) == SessionSight::not_yet);
  CHECK(look({"users", first.generation + 1}, own) == SessionSight::not_yet);
  CHECK(look({"others", 1}, {other, 1}) == SessionSight::seen);
  has_ended = true;
  CHECK(look(first, {other, 1}) == SessionSight::lost);
  has_ended = false;
  REQUIRE(database->drop("users").has_value());
  CHECK(look(first, {other, 1}) == SessionSight::seen);
  CHECK(shown_in(*database, "users").generation == first.generation + 1);
}

}  // namespace dhrt
