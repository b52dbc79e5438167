// Who is woken when a collection changes: the loops that have watchers of it, once until they look.
#include "node/watch_hub.h"

#include <deque>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace dhrt::test {
namespace {

struct Listening final : Watcher {
  int changes = 0;
  int turns = 0;
  std::vector<std::string> keys;

  void changed() override { ++changes; }
  void expired(Bytes key) override { keys.emplace_back(key); }
  void go_on() override { ++turns; }
};

// Two loops, whose letters wait until they are delivered.
struct Post {
  WatchHub hub;
  Watchers first{hub, 0};
  Watchers second{hub, 1};
  std::deque<std::pair<unsigned, WatchHub::Letter>> letters;

  Post() {
    hub.set_post([this](unsigned loop,
                        WatchHub::Letter letter) { letters.emplace_back(loop, std::move(letter)); },
                 0);
  }
  std::size_t deliver() {
    const std::size_t count = letters.size();
    for (; !letters.empty(); letters.pop_front())
      letters.front().second(letters.front().first == 0 ? first : second);
    return count;
  }
};

TEST_CASE("watch hub: only loops with a watcher of the collection get a letter") {
  Post post;
  Listening one;
  Listening two;
  post.hub.changed("c");
  CHECK(post.deliver() == 0);
  CHECK_FALSE(post.hub.any());
  post.first.add("c", one);
  post.second.add("d", two);
  CHECK(post.hub.any());
  post.hub.changed("c");
  post.hub.changed("e");
  CHECK(post.deliver() == 1);
  CHECK(one.changes == 1);
  CHECK(two.changes == 0);
  post.first.remove("c", one);
  post.hub.changed("c");
  CHECK(post.deliver() == 0);
  post.second.remove("d", two);
  CHECK_FALSE(post.hub.any());
}

TEST_CASE("watch hub: while a letter is under way no second one is written") {
  Post post;
  Listening one;
  Listening two;
  post.first.add("c", one);
  post.first.add("c", two);
  for (int i = 0; i < 100; ++i)
    post.hub.changed("c");
  CHECK(post.deliver() == 1);
  CHECK(one.changes == 1);
  CHECK(two.changes == 1);
  post.hub.changed("c");
  CHECK_MESSAGE(post.deliver() == 1, "they have looked, and this is news");
  post.hub.changed("c");
  post.first.remove("c", one);
  CHECK(post.deliver() == 1);
  CHECK_MESSAGE(one.changes == 2, "a letter may come too late");
  CHECK(two.changes == 3);
  post.first.remove("c", two);
}

TEST_CASE("watch hub: keys whose deadline passed are told to those who watch the collection") {
  Post post;
  Listening one;
  Listening two;
  post.first.add("c", one);
  post.second.add("c", two);
  post.hub.expired("c", "a", 1000);
  post.hub.expired("other", "b", 1000);
  CHECK_MESSAGE(post.deliver() == 0, "a lock is held");
  post.hub.tell_expired();
  CHECK(post.deliver() == 2);
  CHECK(one.keys == std::vector<std::string>{"a"});
  CHECK(two.keys == one.keys);
  post.hub.tell_expired();
  CHECK(post.deliver() == 0);
  post.first.remove("c", one);
  post.second.remove("c", two);
}

TEST_CASE("watch hub: so many look in a turn, and the others follow in their order") {
  constexpr std::size_t turns = 3;
  Post post;
  std::vector<Listening> many(turns * Watchers::looks_a_turn);
  for (Listening& each : many)
    post.first.add("c", each);
  std::size_t looked = 0;
  for (Listening& each : many)
    looked += post.first.may_look(each) ? 1 : 0;
  CHECK(looked == Watchers::looks_a_turn);
  CHECK_MESSAGE(!post.first.may_look(many.back()), "it asks again, and waits once");
  post.first.remove("c", many.back());
  for (std::size_t turn = 1; turn < turns; ++turn) {
    CHECK(post.deliver() == 1);
    for (std::size_t i = 1; i + 1 < many.size(); ++i) {
      const std::size_t its_turn = i / Watchers::looks_a_turn;
      CHECK(many[i].turns == (its_turn > 0 && its_turn <= turn ? 1 : 0));
      if (its_turn == turn) CHECK(post.first.may_look(many[i]));
    }
    CHECK_MESSAGE(post.first.may_look(many.front()) == (turn + 1 == turns),
                  "who looked before does not go first");
  }
  CHECK(many.back().turns == 0);
  for (std::size_t i = 0; i + 1 < many.size(); ++i)
    post.first.remove("c", many[i]);
  CHECK(post.deliver() == 1);
}

TEST_CASE("watch hub: what expired before a token, or before the start, may be unheard") {
  constexpr WallMilliseconds minute = 60000;
  WatchHub hub;
  hub.set_started(10 * minute);
  CHECK(hub.may_have_expired_since("c", 11 * minute));
  CHECK_FALSE(hub.may_have_expired_since("c", 11 * minute + 1));
  hub.expired("c", "a", 20 * minute);
  CHECK(hub.may_have_expired_since("c", 21 * minute));
  CHECK_FALSE(hub.may_have_expired_since("c", 21 * minute + 1));
  CHECK_FALSE(hub.may_have_expired_since("d", 11 * minute + 1));
  // Of too many collections the earlier ones are forgotten, and may have had any.
  for (int i = 0; i < 20000; ++i)
    hub.expired("x" + std::to_string(i), "a", 30 * minute);
  CHECK(hub.may_have_expired_since("d", 30 * minute));
}

}  // namespace
}  // namespace dhrt::test
