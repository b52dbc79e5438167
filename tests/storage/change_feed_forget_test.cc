// What is told of deletes that were forgotten before they were told.
#include "tests/storage/watched_feed.h"

namespace dhrt::test {
namespace {

TEST_CASE("change feed: who was told of a delete does not mind that it is forgotten") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::first);
    watched.set("a", "1", {here, 1});
    watched.set("b", "1", {here, 2});
    CHECK(watched.all() == "set:a=1 set:b=1");
    watched.del("a", {here, 3});
    CHECK(watched.all() == "del:a");
    const FeedPosition behind = watched.feed->position();
    watched.bench.forget(watched.users()->durable());
    REQUIRE(watched.users()->counts().tombstones == 0);
    CHECK(watched.all() == "");
    watched.feed.emplace(ChangeFeed::Options{}, behind, false);
    CHECK(watched.all() == "");
    watched.set("a", "2", {here, 4});
    CHECK(watched.all() == "set:a=2");
  });
}

TEST_CASE("change feed: who was not told of a delete that is forgotten begins anew") {
  on_both([](MakeWatchedStore make) {
    enum class Goes { on_here, on_elsewhere, on_and_rechecks };
    for (const Goes goes : {Goes::on_here, Goes::on_elsewhere, Goes::on_and_rechecks}) {
      CAPTURE(static_cast<int>(goes));
      Watched watched(make(), {}, ChangeFeed::Begin::first);
      watched.set("a", "1", {here, 1});
      watched.set("b", "1", {here, 2});
      watched.all();
      watched.del("a", {here, 3});
      watched.set("c", "1", {here, 4});
      watched.bench.forget(context_of(here, 1, 3));
      REQUIRE(watched.users()->counts().tombstones == 0);
      const FeedPosition behind = watched.feed->position();
      if (goes != Goes::on_here)
        watched.feed.emplace(ChangeFeed::Options{}, behind, goes == Goes::on_and_rechecks);
      CHECK(watched.all() == "reset set:b=1 set:c=1");
      watched.del("b", {here, 5});
      CHECK_MESSAGE(watched.all() == "del:b", "once is enough");
    }
  });
}

TEST_CASE("change feed: what is forgotten within a round is missed only if it was to come") {
  on_both([](MakeWatchedStore make) {
    for (const bool to_come : {false, true}) {
      CAPTURE(to_come);
      Watched watched(make(), {.limits = {.records_max = 1}}, ChangeFeed::Begin::first);
      for (std::uint64_t i = 1; i <= 3; ++i)
        watched.set("k" + std::to_string(i), "1", {here, i});
      watched.all();
      watched.del("k1", {here, 4});
      watched.set("k4", "1", {here, 5});
      watched.del("k2", {here, 6});
      watched.told.take(must(watched.feed->step(watched.users(), noon)));
      CHECK(watched.told.taken() == "del:k1");
      Context forgotten;
      forgotten.add({here, to_come ? 6U : 4U});
      watched.bench.forget(forgotten);
      CHECK(watched.all() == (to_come ? "reset set:k3=1 set:k4=1" : "set:k4=1 del:k2"));
    }
  });
}

TEST_CASE("change feed: a deadline of which nobody said, and that is forgotten, is a reset") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::first);
    watched.bench.append(batch_of({put_until("a", {here, 1}, noon + 5)}));
    watched.set("b", "1", {here, 2});
    watched.all();
    const FeedPosition behind = watched.feed->position();
    watched.bench.maintain_all(noon + 5);
    watched.bench.forget(watched.users()->durable());
    REQUIRE(watched.users()->counts().tombstones == 0);
    watched.feed.emplace(ChangeFeed::Options{}, behind, true);
    CHECK(watched.all(noon + 5) == "reset set:b=1");
    CHECK(watched.all(noon + 5) == "");
  });
}

TEST_CASE("change feed: a deadline that was said is told, though it is forgotten by then") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::first);
    watched.bench.append(batch_of({put_until("a", {here, 1}, noon + 5)}));
    watched.bench.sync();
    watched.all();
    watched.bench.maintain_all(noon + 5);
    watched.feed->expired("a");
    watched.bench.forget(watched.users()->durable());
    CHECK(watched.all(noon + 5) == "expire:a");
  });
}

}  // namespace
}  // namespace dhrt::test
