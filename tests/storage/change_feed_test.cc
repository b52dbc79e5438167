// What is told of a collection that changes: first single rules, then histories by chance, in which
// who watches must end with what the stores hold.
#include "storage/change_feed.h"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"
#include "tests/storage/watched_feed.h"

namespace dhrt::test {
namespace {

TEST_CASE(
    "change feed: who writes more than a step takes does not keep what is new from being told") {
  on_both([](MakeWatchedStore make) {
    ChangeFeed::Options options;
    options.limits.records_max = 2;
    Watched watched(make(), options, ChangeFeed::Begin::now);
    watched.set("first", "1", {here, 1});
    watched.all();
    std::uint64_t sequence = 1;
    for (int steps = 0; steps < 50; ++steps) {
      for (int writes = 0; writes < 3; ++writes) {
        ++sequence;
        watched.set("k" + std::to_string(sequence), "1", {here, sequence});
      }
      watched.told.take(must(watched.feed->step(watched.users(), noon)));
    }
    CHECK(watched.told.values.size() >= 90);
  });
}

TEST_CASE("change feed: from now on only what changes is told, once for each key") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::now);
    watched.set("old", "1", {here, 1});
    CHECK(watched.all() == "");
    CHECK(watched.feed->settled());
    watched.set("a", "1", {here, 2});
    CHECK(watched.all() == "set:a=1");
    watched.set("a", "2", {here, 3});
    watched.set("a", "3", {there, 1});
    watched.del("old", {here, 4});
    CHECK(watched.all() == "del:old set:a=3");
    CHECK(watched.all() == "");
  });
}

TEST_CASE("change feed: from the beginning everything is told, but nothing of what is gone") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {.limits = {.records_max = 2}}, ChangeFeed::Begin::first);
    for (std::uint64_t i = 1; i <= 5; ++i)
      watched.set("k" + std::to_string(i), "v", {here, i});
    watched.del("k2", {here, 6});
    CHECK(watched.all() == "set:k1=v set:k3=v set:k4=v set:k5=v");
    watched.del("k1", {here, 7});
    CHECK(watched.all() == "del:k1");
  });
}

TEST_CASE("change feed: a prefix leaves the rest out") {
  Watched watched(memory_store(), {.prefix = "a"}, ChangeFeed::Begin::first);
  watched.set("a1", "v", {here, 1});
  watched.set("b1", "v", {here, 2});
  CHECK(watched.all() == "set:a1=v");
  const auto number = watched.feed->position_number();
  watched.set("b2", "v", {here, 3});
  CHECK(watched.all() == "");
  CHECK_MESSAGE(watched.feed->position_number() > number,
                "what was left out need not be looked at");
}

TEST_CASE("change feed: what a power cut could take is not told") {
  auto store = make_memory_store({.held_back = true});
  MemoryStore& disk = *store;
  Watched watched(std::move(store), {}, ChangeFeed::Begin::now);
  CHECK(watched.all() == "");
  const Position position = watched.bench.append(batch_of({put("a", "1", {here, 1})}));
  disk.commit();
  disk.collect();
  CHECK(watched.all() == "");
  disk.release(position);
  disk.collect();
  CHECK(watched.all() == "set:a=1");
}

TEST_CASE("change feed: a flush is a reset, and what was not flushed follows") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::first);
    watched.set("a", "1", {here, 1});
    CHECK(watched.all() == "set:a=1");
    watched.flush();
    watched.set("b", "1", {here, 2});
    CHECK(watched.all() == "reset set:b=1");
    watched.bench.maintain_all(noon);
    CHECK(watched.all() == "");
    const FeedPosition behind = watched.feed->position();
    watched.flush();
    ChangeFeed later({}, behind, false);
    std::string log;
    for (bool more = true; more;) {
      const FeedStep step = must(later.step(watched.users(), noon));
      for (const FeedEvent& event : step.events)
        log += std::string(name_of(event.kind)) + event.key + " ";
      more = step.more;
    }
    CHECK(log == "reset ");
  });
}

TEST_CASE("change feed: a collection that is dropped and made again is a reset") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::first);
    watched.set("a", "1", {here, 1});
    CHECK(watched.all() == "set:a=1");
    must(watched.bench.store->erase("users"));
    CHECK(watched.all() == "reset");
    CHECK(watched.all() == "");
    watched.bench.users = &opened(*watched.bench.store, "users", true, 2);
    watched.set("b", "1", {here, 1});
    CHECK(watched.all() == "set:b=1");
  });
}

TEST_CASE("change feed: one may wait for a collection that is not there yet") {
  Watched watched(memory_store(), {}, ChangeFeed::Begin::now);
  must(watched.bench.store->erase("users"));
  CHECK(watched.all() == "");
  CHECK(watched.feed->settled());
  watched.bench.users = &opened(*watched.bench.store, "users", true, 1);
  watched.set("a", "1", {here, 1});
  CHECK_MESSAGE(watched.all() == "set:a=1", "all of it came after the beginning");
}

TEST_CASE("change feed: a position that has nothing in common with what is here is a reset") {
  Watched watched(memory_store(), {}, ChangeFeed::Begin::now);
  watched.set("a", "1", {here, 1});
  FeedPosition lost{.generation = 1, .flushed = Context().hash(), .seen = context_of(there, 1, 9)};
  watched.feed.emplace(ChangeFeed::Options{}, std::move(lost), false);
  CHECK(watched.all() == "reset set:a=1");
}

TEST_CASE("change feed: a deadline that passes is told, unless the key was written again") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::now);
    CHECK(watched.all() == "");
    watched.bench.append(batch_of({put_until("a", {here, 1}, noon + 5)}));
    watched.bench.append(batch_of({put_until("b", {here, 2}, noon + 5)}));
    watched.bench.sync();
    CHECK(watched.all() == "set:a=v set:b=v");
    watched.bench.maintain_all(noon + 5);
    watched.set("b", "again", {here, 3});
    watched.feed->expired("a");
    watched.feed->expired("b");
    CHECK(watched.all(noon + 5) == "expire:a set:b=again");
  });
}

TEST_CASE("change feed: a record that was never told is told as expired if its deadline passed") {
  Watched watched(memory_store(), {}, ChangeFeed::Begin::now);
  CHECK(watched.all() == "");
  watched.bench.append(batch_of({put_until("a", {here, 1}, noon + 5)}));
  watched.bench.sync();
  CHECK(watched.all(noon + 5) == "expire:a");
}

TEST_CASE("change feed: too many deadlines at once, and all that is gone is told again") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {.expired_max = 3}, ChangeFeed::Begin::now);
    CHECK(watched.all() == "");
    for (std::uint64_t i = 1; i <= 8; ++i)
      watched.bench.append(batch_of({put_until("k" + std::to_string(i), {here, i}, noon + 5)}));
    watched.set("stays", "v", {here, 9});
    watched.all();
    CHECK(watched.told.values.size() == 9);
    watched.bench.maintain_all(noon + 5);
    for (std::uint64_t i = 1; i <= 8; ++i)
      watched.feed->expired("k" + std::to_string(i));
    CHECK(watched.all(noon + 5).find("stays") == std::string::npos);
    CHECK(watched.told.values.size() == 1);
  });
}

TEST_CASE("change feed: who goes on and may have missed deadlines hears of them") {
  on_both([](MakeWatchedStore make) {
    Watched watched(make(), {}, ChangeFeed::Begin::first);
    watched.bench.append(batch_of({put_until("a", {here, 1}, noon + 5)}));
    watched.set("b", "1", {here, 2});
    watched.all();
    const FeedPosition behind = watched.feed->position();
    watched.bench.maintain_all(noon + 5);
    watched.feed.emplace(ChangeFeed::Options{}, behind, true);
    CHECK(watched.all(noon + 5) == "del:a");
    CHECK_MESSAGE(watched.feed->position().told_until == noon + 5, "they were told");
  });
}

// Until one slice holds a round a token must not claim what the walk passed without showing it.
TEST_CASE("change feed: within a round the position has nothing but what was told") {
  Watched watched(memory_store(), {.limits = {.records_max = 1}}, ChangeFeed::Begin::first);
  watched.set("a", "1", {there, 1});
  watched.set("b", "1", {there, 2});
  watched.told.take(must(watched.feed->step(watched.users(), noon)));  // The beginning.
  watched.told.take(must(watched.feed->step(watched.users(), noon)));
  CHECK(watched.told.taken() == "set:a=1");
  watched.set("b", "2", {here, 1});  // Behind the cursor.
  watched.told.take(must(watched.feed->step(watched.users(), noon)));
  CHECK(watched.told.taken() == "");
  CHECK(watched.feed->position().seen.contains({there, 1}));
  CHECK_FALSE(watched.feed->position().seen.contains({there, 2}));
  CHECK(watched.all() == "set:b=2");
  CHECK(watched.feed->position().seen.contains({there, 2}));
}

TEST_CASE("change feed: what comes in while a round is under way is told once, by the next") {
  Watched watched(memory_store(), {.limits = {.records_max = 1}}, ChangeFeed::Begin::first);
  watched.set("a", "1", {here, 1});
  watched.set("b", "1", {here, 2});
  watched.told.take(must(watched.feed->step(watched.users(), noon)));  // The beginning.
  watched.told.take(must(watched.feed->step(watched.users(), noon)));
  watched.set("c", "1", {there, 1});  // The walk will come to it.
  CHECK(watched.all() == "set:a=1 set:b=1 set:c=1");
}

TEST_CASE("change feed: a position with too many gaps stands still until the round is told") {
  Watched watched(memory_store(), {.limits = {.records_max = 4}, .intervals_max = 10},
                  ChangeFeed::Begin::first);
  for (std::uint64_t i = 1; i <= 200; ++i)
    watched.bench.set("k" + std::to_string(i), "v", {here, 2 * i});
  watched.bench.sync();
  std::size_t most = 0;
  for (bool more = true; more;) {
    const FeedStep step = must(watched.feed->step(watched.users(), noon));
    watched.told.take(step);
    more = step.more;
    const IntervalSet* set = watched.feed->position().seen.find(here);
    if (more && set != nullptr) most = std::max(most, set->intervals().size());
  }
  CHECK(most <= 14);
  CHECK(watched.told.values.size() == 200);
  CHECK(watched.feed->position().seen == watched.users()->durable());
}

// --- Histories by chance.

// Nodes that hold the same collection. What one writes reaches the others later, in any order, each
// by itself, or never from a node that died.
class World {
 public:
  World(std::uint64_t seed, MakeWatchedStore make) : random_(seed) {
    for (std::size_t i = 0; i < nodes_count; ++i) {
      Node node;
      node.store = make();
      node.users = &opened(*node.store, "users", true);
      nodes_.push_back(std::move(node));
    }
  }

  void run(int steps) {
    go_on();
    for (int i = 0; i < steps; ++i)
      act();
  }

  // Everything arrives, all is told.
  void settle() {
    deliver_all();
    for (Node& node : nodes_)
      sync(node);
    while (step()) {
    }
  }

  void check_equal() {
    std::map<std::string, std::string> held;
    for (const KeyedRecord& entry : must(nodes_[at_].users->scan({.now = now_})).records)
      held[entry.key] = entry.record.value;
    CHECK(told_.values == held);
  }
  // A node died with what it alone had: what is left was told, if perhaps not last.
  void check_all_told() {
    for (const KeyedRecord& entry : must(nodes_[at_].users->scan({.now = now_})).records)
      CHECK_MESSAGE(told_.dots.contains(entry.record.dot), entry.key);
  }
  void kill_watched() {
    nodes_[at_].alive = false;
    go_on();
  }
  std::size_t resets() const { return resets_; }
  std::size_t moves() const { return moves_; }
  std::size_t forgotten() const { return forgotten_; }

 private:
  static constexpr std::size_t nodes_count = 3;
  struct Message {
    std::optional<KeyedRecord> entry;
    Context flushed;
  };
  struct Node {
    std::unique_ptr<Store> store;
    Collection* users = nullptr;
    std::vector<Message> coming;
    std::uint64_t sequence = 0;
    bool alive = true;
  };

  Node& any_alive() {
    for (;;) {
      Node& node = nodes_[random_.below(nodes_.size())];
      if (node.alive) return node;
    }
  }

  void act() {
    const std::uint64_t what = random_.below(100);
    if (what < 40) return write();
    if (what < 41) return flush();
    if (what < 60) {
      const std::size_t i = random_.below(nodes_.size());
      if (nodes_[i].alive && !nodes_[i].coming.empty()) deliver(i);
      return;
    }
    if (what < 75) return sync(any_alive());
    if (what < 80) return expire();
    if (what < 83) return go_on();
    if (what < 86) return forget();
    step();
  }

  void write() {
    Node& node = any_alive();
    const auto number = static_cast<std::size_t>(&node - nodes_.data());
    KeyedRecord entry;
    entry.key = "k" + std::to_string(random_.below(12));
    entry.record.dot = {{.node = 10 + number, .epoch = 1, .loop = 0}, ++node.sequence};
    entry.record.version = {(++clock_) << hlc_counter_bits, 10 + number};
    entry.record.deleted = random_.chance(0.2);
    if (!entry.record.deleted) entry.record.value = std::to_string(clock_);
    if (!entry.record.deleted && random_.chance(0.2))
      entry.record.deadline = now_ + 1 + random_.below(20);
    send(number, {.entry = entry, .flushed = {}});
  }

  void flush() {
    Node& node = any_alive();
    send(static_cast<std::size_t>(&node - nodes_.data()),
         {.entry = std::nullopt, .flushed = node.users->seen()});
  }

  void send(std::size_t from, const Message& message) {
    apply(nodes_[from], message);
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      if (i != from) nodes_[i].coming.push_back(message);
    }
  }

  void deliver_all() {
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      while (nodes_[i].alive && !nodes_[i].coming.empty())
        deliver(i);
    }
  }

  void deliver(std::size_t i) {
    auto& coming = nodes_[i].coming;
    const auto chosen = coming.begin() + static_cast<std::ptrdiff_t>(random_.below(coming.size()));
    const Message message = std::move(*chosen);
    coming.erase(chosen);
    apply(nodes_[i], message);
  }

  static void apply(Node& node, const Message& message) {
    Batch batch;
    batch.flushed = message.flushed;
    if (message.entry) {
      const auto held = must(node.users->find(message.entry->key));
      batch.seen.add(message.entry->record.dot);
      if (!held || newer(message.entry->record, *held)) batch.puts.push_back(*message.entry);
    }
    must(node.store->append(*node.users, std::move(batch)));
  }

  static void sync(Node& node) {
    if (!node.alive) return;
    must(node.store->drain());
    node.store->collect();
  }

  // On every node, as the same clock says; who watches there is told as a node tells it.
  void expire() {
    now_ += random_.below(10);
    for (Node& node : nodes_) {
      std::vector<std::string> live;
      for (const KeyedRecord& entry : must(node.users->walk({})).records) {
        if (!entry.record.deleted && !visible(entry.record, now_)) live.push_back(entry.key);
      }
      sync(node);
      while (node.store->maintain(now_, 10))
        sync(node);
      if (&node != &nodes_[at_]) continue;
      for (const std::string& key : live)
        feed_->expired(key);
    }
  }

  // What every node has durably, and nobody is still to send what it has replaced: then any of
  // them may forget it.
  void forget() {
    if (random_.chance(0.5)) deliver_all();
    for (Node& node : nodes_)
      sync(node);
    Context everywhere = nodes_[0].users->durable();
    std::set<std::string> coming;
    for (const Node& node : nodes_) {
      everywhere.intersect(node.users->durable());
      for (const Message& message : node.coming)
        coming.insert(message.entry ? message.entry->key : "");
    }
    Node& node = any_alive();
    Context dots;
    for (const KeyedRecord& entry : must(node.users->walk({})).records) {
      const Dot& dot = entry.record.dot;
      if (entry.record.deleted && everywhere.contains(dot) && !coming.contains(entry.key))
        dots.add(dot);
    }
    const std::uint64_t before = node.users->counts().tombstones;
    node.store->forget_tombstones(*node.users, dots);
    while (node.store->maintain(0, 10)) {
    }
    forgotten_ += before - node.users->counts().tombstones;
  }

  // With what was told last, at any node that lives.
  void go_on() {
    const ChangeFeed::Options options{
        .limits = {.records_max = 1 + random_.below(4)}, .expired_max = 2, .intervals_max = 12};
    at_ = static_cast<std::size_t>(&any_alive() - nodes_.data());
    if (feed_ == nullptr) {
      feed_ = std::make_unique<ChangeFeed>(options, ChangeFeed::Begin::first);
      return;
    }
    ++moves_;
    const FeedSubject subject{.collection = "users", .prefix = ""};
    const auto behind =
        must(decode_feed_token(encode_feed_token(feed_->position(), subject), subject));
    feed_ = std::make_unique<ChangeFeed>(options, behind, true);
  }

  bool step() {
    const FeedStep step = must(feed_->step(nodes_[at_].users, now_));
    for (const FeedEvent& event : step.events)
      resets_ += event.kind == Kind::reset ? 1 : 0;
    told_.take(step);
    return step.more;
  }

  Random random_;
  std::vector<Node> nodes_;
  std::uint64_t clock_ = noon;
  WallMilliseconds now_ = noon;
  std::size_t at_ = 0;
  std::unique_ptr<ChangeFeed> feed_;
  Told told_;
  std::size_t resets_ = 0;
  std::size_t moves_ = 0;
  std::size_t forgotten_ = 0;
};

void run_histories(std::uint64_t seeds, MakeWatchedStore make) {
  std::size_t resets = 0;
  std::size_t moves = 0;
  std::size_t forgotten = 0;
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    CAPTURE(seed);
    World world(seed, make);
    world.run(250);
    world.settle();
    world.check_equal();
    resets += world.resets();
    moves += world.moves();
    forgotten += world.forgotten();
    world.run(60);
    world.kill_watched();
    world.run(60);
    world.settle();
    world.check_all_told();
  }
  CHECK(resets > 0);
  CHECK(moves > seeds);
  CHECK(forgotten > seeds);
}

TEST_CASE("change feed: who follows any history over any nodes ends with what they hold") {
  run_histories(400, memory_store);
}

TEST_CASE("change feed: the same of the engine") {
  run_histories(25, engine_in_memory);
}

}  // namespace
}  // namespace dhrt::test
