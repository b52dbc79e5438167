// What the checker of sessions takes for right and wrong, in histories of a few writes of one key.
#include "tests/simulator/session_floors.h"

#include <string>
#include <utility>

#include <doctest/doctest.h>

namespace dhrt::simulator {

namespace {

// Writes of one key, each a dot of its own whose number is its version, too.
class Story {
 public:
  Story& wrote(std::uint64_t number, bool deletes = false, bool joining = false) {
    Context seen;
    seen.add(dot(number));
    history_.assigned(users_, {"k", record(number, deletes)}, seen, joining, true);
    return *this;
  }
  Story& deleted(std::uint64_t number) { return wrote(number, true); }
  Story& flushed(std::uint64_t number) {
    Context dots;
    dots.add(dot(number));
    history_.flush_attempted(users_.name, dots);
    return *this;
  }
  Story& gives_up() {
    history_.nodes_are_evicted();
    return *this;
  }
  // True: in keeping with what the session knows.
  bool reads(std::uint64_t number, bool is_deleted = false) {
    SessionAnswer answer{.collection = users_, .dot = dot(number)};
    if (!is_deleted) answer.record = record(number, false);
    return takes(SessionRequest::Kind::get, answer);
  }
  bool reads_nothing() { return takes(SessionRequest::Kind::get, {.collection = users_}); }
  bool sets(std::uint64_t number) {
    wrote(number);
    return takes(SessionRequest::Kind::set,
                 {.collection = users_, .dot = dot(number), .wrote = true});
  }
  // By a node to whom the one that wrote everything was given up, and which saw only this.
  bool reads_where_given_up(std::uint64_t number) {
    SessionAnswer answer{.collection = users_, .dot = dot(number), .record = record(number, false)};
    answer.seen.add(dot(number));
    answer.ended.insert(origin);
    answer.evicted.insert(origin.node);
    return takes(SessionRequest::Kind::get, answer);
  }
  void is_dropped() { ++users_.generation; }

 private:
  static constexpr Origin origin{1, 1, 0};
  static Dot dot(std::uint64_t number) { return {origin, number}; }
  static Record record(std::uint64_t number, bool deletes) {
    return {.version = {number, 1}, .dot = dot(number), .deleted = deletes};
  }
  bool takes(SessionRequest::Kind kind, const SessionAnswer& answer) {
    return !floors_.take({.kind = kind, .collection = users_.name, .key = "k"}, answer);
  }

  CollectionRef users_{"users", 1};
  History history_;
  SessionFloors floors_{history_};
};

}  // namespace

TEST_CASE("session floors: reads show the session's writes, and never go back") {
  Story story;
  story.wrote(5).wrote(7);
  CHECK(story.reads_nothing());
  CHECK(story.sets(6));
  CHECK_FALSE(story.reads(5));
  CHECK(story.reads(6));
  CHECK(story.reads(7));
  CHECK_FALSE(story.reads(6));
}

TEST_CASE("session floors: what is written is above what was written and shown") {
  Story story;
  story.wrote(5);
  CHECK(story.reads(5));
  CHECK_FALSE(story.sets(4));
  CHECK(story.sets(6));
}

TEST_CASE("session floors: nothing is there if a delete above was made, and then it stays so") {
  Story story;
  story.wrote(5).deleted(3);
  CHECK(story.reads(5));
  CHECK_FALSE(story.reads_nothing());
  story.deleted(7);
  CHECK(story.reads_nothing());
  CHECK_FALSE(story.reads(5));
  CHECK(story.reads(7, true));
  SUBCASE("unless nodes are given up, which know no delete that is forgotten") {
    Story giving;
    giving.wrote(5).deleted(7).gives_up();
    CHECK(giving.reads(5));
    CHECK(giving.reads_nothing());
    CHECK(giving.reads(5));
  }
}

TEST_CASE("session floors: a flush may be here and not yet there") {
  Story story;
  story.wrote(4).wrote(5).flushed(5);
  CHECK(story.reads(5));
  CHECK(story.reads(5, true));
  CHECK(story.reads_nothing());
  CHECK(story.reads(5));
  CHECK_FALSE(story.reads(4));
}

TEST_CASE("session floors: what a joiner brings is new where the delete above is forgotten") {
  Story story;
  story.wrote(4, false, true).wrote(5);
  CHECK(story.reads(5));
  CHECK_FALSE(story.reads(4));
  story.deleted(6);
  CHECK(story.reads(4));
}

TEST_CASE("session floors: a write may be gone with the node that was given up") {
  Story story;
  story.wrote(4).wrote(5);
  CHECK(story.reads(5));
  CHECK(story.reads_where_given_up(4));
  CHECK_FALSE(story.reads(4));
}

TEST_CASE("session floors: what was dropped is forgotten, and does not come back") {
  Story story;
  story.wrote(5);
  CHECK(story.reads(5));
  story.is_dropped();
  CHECK(story.reads_nothing());
  story.wrote(4);
  CHECK(story.reads(4));
}

TEST_CASE("session floors: what is shown somebody wrote") {
  Story story;
  CHECK_FALSE(story.reads(5));
}

}  // namespace dhrt::simulator
