// Pull sessions. The donor and the store are played by the test.
#include "cluster/synchronizer.h"

#include <doctest/doctest.h>

#include "tests/cluster/puller.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

CollectionDigest digest(const CollectionRef& collection, std::uint64_t hash) {
  return {collection, hash};
}

}  // namespace

TEST_CASE("synchronizer: the roots of two nodes are equal if and only if all digests are") {
  const CollectionRef other{"other", 1};
  const auto root = root_hash({digest(users, 1)});
  CHECK(root == root_hash({digest(users, 1)}));
  CHECK(root != root_hash({digest(users, 2)}));
  CHECK(root != root_hash({digest({"users", 2}, 1)}));
  CHECK(root != root_hash({digest(users, 1), digest(other, 1)}));
  CHECK(digest_of(dots(1, 1, 5), {}) != digest_of({}, dots(1, 1, 5)));
}

TEST_CASE("synchronizer: a new link is a reason to ask what was missed") {
  Puller node;
  node.begin();
  node.lists({});
  CHECK(node.claims().size() == 1);
  node.tick_for(400ms);
  CHECK(node.sent<Summary>().size() == 1);
}

TEST_CASE("synchronizer: only collections that differ are asked for, the configuration first") {
  Puller node;
  const CollectionRef same{"same", 1}, newer{"newer", 1}, older{"older", 3};
  node.input(StoreChanged{same, dots(2, 1, 5), {}});
  node.input(StoreChanged{newer, dots(2, 1, 5), {}});
  node.input(StoreChanged{older, dots(2, 1, 5), {}});
  node.begin();
  const std::uint64_t hash = digest_of(dots(2, 1, 5), {});
  node.lists({digest(same, hash), digest({"newer", 2}, hash), digest({"older", 2}, 99),
              digest(users, 7), digest({"_sys", 1}, 8)});
  std::vector<std::string> asked;
  while (asked.size() < node.pulls().size()) {
    asked.push_back(node.pulls().back().collection.name);
    node.slice({}, {});
  }
  CHECK(asked == std::vector<std::string>{"_sys", "newer", "users"});
}

TEST_CASE("synchronizer: when a session is over the next one begins at once") {
  Puller node;
  const ConnectionId control = node.link(3);
  const ConnectionId bulk = node.link(3, LinkClass::bulk);
  node.tick_for(tick_interval);
  const bool is_first = node.sent<Summary>(bulk).empty();
  REQUIRE(node.sent<Summary>().size() == 1);
  const std::uint64_t request = node.sent<Summary>().front().request;
  node.receive(is_first ? node.bulk : bulk, SummaryReply{request, {}});
  CHECK(node.sent<Resynced>(is_first ? node.control : control).size() == 1);
  CHECK(node.sent<Summary>(is_first ? bulk : node.bulk).size() == 1);
}

TEST_CASE("synchronizer: what is durable here is not asked for again") {
  Puller node;
  node.input(StoreChanged{users, dots(2, 1, 5), {}});
  node.begin();
  node.lists({digest(users, 7)});
  REQUIRE(node.pulls().size() == 1);
  CHECK(node.pulls().front().excluded == dots(2, 1, 5));
}

TEST_CASE("synchronizer: the vector follows the last record, and is the one from before them") {
  Puller node;
  node.begin();
  node.lists({digest(users, 7)});
  node.slice({record("a", dot(2, 1))}, dots(2, 1, 2), dot(2, 2));
  CHECK(node.actions<MergeContext>().empty());
  node.slice({record("b", dot(2, 2))}, dots(2, 1, 9));
  CHECK(node.actions<MergeContext>().empty());

  SUBCASE("what changed meanwhile is walked again, until one slice holds all of it") {
    REQUIRE(node.pulls().size() == 3);
    CHECK_FALSE(node.pulls().back().from);
    CHECK(node.pulls().back().excluded == dots(2, 1, 2));
    node.slice({record("c", dot(2, 9))}, dots(2, 1, 12));
    node.store();
    REQUIRE(node.actions<MergeContext>().size() == 1);
    CHECK(node.actions<MergeContext>().front().vector == dots(2, 1, 2));
    CHECK(node.actions<ApplyRecords>().size() == 3);
  }
  SUBCASE("what a later slice takes out of the vector is not merged") {
    node.slice({record("c", dot(2, 9))}, dots(2, 1, 1));
    node.store();
    REQUIRE(node.actions<MergeContext>().size() == 1);
    CHECK(node.actions<MergeContext>().front().vector == dots(2, 1, 1));
  }
  SUBCASE("a donor that writes faster than it sends is given up for the moment") {
    std::uint64_t sequence = 100;
    for (unsigned round = 0; round < 100 && node.core().sync_progress().pulling; ++round) {
      node.slice({record("c", dot(2, sequence))}, dots(2, 1, sequence), dot(2, sequence + 1));
      node.slice({record("d", dot(2, sequence + 1))}, dots(2, 1, sequence + 1));
      sequence += 2;
      node.store();
    }
    CHECK_FALSE(node.core().sync_progress().pulling);
    CHECK(node.claims().empty());
  }
}

TEST_CASE("synchronizer: no more is asked for than the store has room for") {
  CoreOptions options = core_options(1);
  options.cluster.unapplied_bytes_max = 1;
  Puller node(options);
  node.begin();
  node.lists({digest(users, 7)});
  node.slice({record("a", dot(2, 1))}, dots(2, 1, 3), dot(2, 2));
  CHECK_MESSAGE(node.pulls().size() == 1, "the first slice is not stored yet");
  node.store();
  REQUIRE(node.pulls().size() == 2);
  CHECK(node.pulls().back().from == dot(2, 2));
  node.slice({record("b", dot(2, 2))}, dots(2, 1, 3));
  REQUIRE_MESSAGE(node.pulls().size() == 3, "what changed meanwhile is asked for at once");
  node.slice({}, dots(2, 1, 3));
  CHECK(node.actions<MergeContext>().empty());
  node.store();
  CHECK(node.actions<MergeContext>().size() == 1);
}

// A store that has too much to write, or a limit of memory, takes contexts all the same.
TEST_CASE("synchronizer: what the store refused is not called seen") {
  Puller node;
  node.begin();
  node.lists({digest(users, 7)});
  node.slice({record("a", dot(2, 1))}, dots(2, 1, 1));
  node.input(Applied{node.actions<ApplyRecords>().front().token, false});
  CHECK(node.actions<MergeContext>().empty());
  CHECK(node.claims().empty());
}

TEST_CASE("synchronizer: a pull is claimed only when all of it is durable") {
  Puller node;
  node.begin();
  node.lists({digest(users, 7)});
  node.slice({record("a", dot(2, 1))}, dots(2, 1, 1));
  const auto records = node.actions<ApplyRecords>();
  REQUIRE(records.size() == 1);
  CHECK(node.actions<MergeContext>().empty());
  node.input(Applied{records.front().token, true});
  const auto vectors = node.actions<MergeContext>();
  REQUIRE(vectors.size() == 1);
  CHECK(node.claims().empty());
  SUBCASE("stored") {
    node.input(Applied{vectors.front().token, true});
    REQUIRE(node.claims().size() == 1);
    CHECK(node.claims().front().node == 1);
    CHECK(node.claims().front().attestation == Attestation{1, 10});
  }
  SUBCASE("the disk is full: nothing is claimed, and the donor is left alone for a second") {
    node.input(Applied{vectors.front().token, false});
    CHECK(node.claims().empty());
    node.tick_for(900ms);
    CHECK(node.sent<Summary>().size() == 1);
    node.tick_for(200ms);
    CHECK(node.sent<Summary>().size() == 2);
  }
}

TEST_CASE("synchronizer: repeated, late and foreign answers are none") {
  Puller node;
  const ConnectionId other = node.link(3);
  node.begin();
  node.lists({digest(users, 7)});
  const Pull first = node.pulls().back();
  const PullReply answer{.request = first.request,
                         .collection = first.collection,
                         .vector = dots(2, 1, 1),
                         .records = {record("a", dot(2, 1))},
                         .next = dot(2, 2)};
  node.receive(other, answer);
  CHECK(node.actions<ApplyRecords>().empty());
  node.receive(node.bulk, answer);
  CHECK(node.actions<ApplyRecords>().size() == 1);
  node.receive(node.bulk, answer);
  CHECK(node.actions<ApplyRecords>().size() == 1);
  node.lists({digest({"other", 1}, 1)});
  node.input(Applied{12345, false});
  CHECK(node.core().sync_progress().pulling);
}

TEST_CASE("synchronizer: a donor whose walk does not get on is given up") {
  Puller node;
  node.begin();
  node.lists({digest(users, 7)});
  node.slice({}, dots(2, 1, 1), dot(2, 5));
  node.slice({}, dots(2, 1, 1), dot(2, 5));
  CHECK_FALSE(node.core().sync_progress().pulling);
  CHECK(node.pulls().size() == 2);
  CHECK(node.claims().empty());
}

TEST_CASE("synchronizer: a collection that is gone at the donor is passed over") {
  Puller node;
  node.begin();
  node.lists({digest(users, 7)});
  const Pull pull = node.pulls().back();
  node.receive(node.bulk,
               PullReply{.request = pull.request, .collection = pull.collection, .unknown = true});
  CHECK(node.claims().size() == 1);
}

TEST_CASE("synchronizer: a session that hears nothing is begun anew") {
  Puller node;
  node.begin();
  SUBCASE("after the time-out") {
    node.tick_for(9900ms);
    CHECK(node.sent<Summary>().size() == 1);
    node.tick_for(1300ms);
    CHECK(node.sent<Summary>().size() == 2);
  }
  SUBCASE("when the link breaks") {
    node.input(ConnectionDown{node.bulk});
    CHECK_FALSE(node.core().sync_progress().pulling);
    node.tick_for(1s);
    node.bulk = node.link(2, LinkClass::bulk);
    node.tick_for(200ms);
    CHECK(node.sent<Summary>().size() == 2);
  }
}

TEST_CASE("synchronizer: who is dead is asked only if nobody else can be") {
  Member dead = member(2);
  dead.liveness = Liveness::dead;
  dead.died = dead.incarnation;
  Member syncing = member(3);
  syncing.epoch = 2;
  syncing.synced = {1, 10};
  // Among equals the lot decides.
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    CAPTURE(seed);
    CoreOptions options = core_options(1);
    options.random_seed = seed;
    Puller node(options);
    node.receive(node.control, Members{false, {dead}});
    REQUIRE(node.state_of(2) == MemberState::dead);
    node.link(hello_of(syncing));
    const ConnectionId bulk = node.link(hello_of(syncing), LinkClass::bulk);
    REQUIRE(node.state_of(3) == MemberState::syncing);
    node.tick_for(tick_interval);
    CHECK(node.sent<Summary>(bulk).size() == 1);
    CHECK(node.sent<Summary>(node.bulk).empty());
  }
  Puller alone;
  alone.receive(alone.control, Members{false, {dead}});
  alone.begin();
}

TEST_CASE("synchronizer: a session goes on while a large answer comes in, however slowly") {
  Puller node;
  node.begin();
  node.lists({digest(users, 7)});
  for (int i = 0; i < 5; ++i) {
    node.tick_for(9s);
    node.input(MessageComing{node.bulk});
  }
  CHECK(node.pulls().size() == 1);
  node.slice({record("k", dot(2, 1))}, dots(2, 1, 1));
  CHECK(node.actions<ApplyRecords>().size() == 1);
}

TEST_CASE("synchronizer: an answer that comes for ever is given up") {
  CoreOptions options = core_options(1);
  options.cluster.pull_answer_max = 60s;
  Puller node(options);
  node.begin();
  node.lists({digest(users, 7)});
  const auto trickle = [&](int times) {
    for (int i = 0; i < times; ++i) {
      node.tick_for(6s);
      node.input(MessageComing{node.bulk});
    }
  };
  SUBCASE("after a while") {
    trickle(10);
    CHECK(node.sent<Summary>().size() == 1);
    trickle(1);
    CHECK(node.sent<Summary>().size() == 2);
  }
  SUBCASE("each slice has its own while") {
    trickle(8);
    node.slice({record("a", dot(2, 1))}, dots(2, 1, 2), dot(2, 2));
    trickle(8);
    node.slice({record("b", dot(2, 2))}, dots(2, 1, 2));
    CHECK(node.sent<Summary>().size() == 1);
    CHECK(node.pulls().size() == 3);
  }
}

TEST_CASE("synchronizer: only the donor's bulk link shows that an answer is coming") {
  Puller node;
  node.begin();
  node.lists({digest(users, 7)});
  ConnectionId from = node.control;
  SUBCASE("not its live writes") {}
  SUBCASE("not what another peer sends") {
    from = node.link(3, LinkClass::bulk);
  }
  SUBCASE("not a link that is no more") {
    from = node.bulk;
    node.input(ConnectionDown{node.bulk});
    node.bulk = node.link(2, LinkClass::bulk);
    node.tick_for(2s);  // The peer is left alone for a while after a failure.
  }
  const std::size_t begun = node.sent<Summary>().size();
  for (int i = 0; i < 4; ++i) {
    node.tick_for(3s);
    node.input(MessageComing{from});
  }
  CHECK(node.sent<Summary>().size() == begun + 1);
}

TEST_CASE("synchronizer: vectors that stay different for a second are a reason to pull") {
  Puller node;
  node.begin();
  node.lists({});
  node.clear();
  const std::uint64_t equal = node.core().root();
  const auto hear = [&](std::uint64_t root) {
    node.receive(node.control, Ping{1, 1, root, {}});
    node.tick_for(600ms);
  };
  SUBCASE("writes under way are not") {
    for (int i = 0; i < 10; ++i) {
      hear(equal + 1);
      hear(equal);
    }
    CHECK(node.sent<Summary>().empty());
  }
  SUBCASE("a large one whose parts still come is not") {
    for (int i = 0; i < 8; ++i) {
      node.input(MessageComing{node.control});
      hear(equal + 1);
    }
    CHECK(node.sent<Summary>().empty());
    hear(equal + 1);
    CHECK(node.sent<Summary>().size() == 1);
  }
  SUBCASE("one whose parts come for ever is") {
    for (int i = 0; i < 12; ++i) {
      node.input(MessageComing{node.control});
      hear(equal + 1);
    }
    CHECK(node.sent<Summary>().size() == 1);
  }
  SUBCASE("a lost write is, also beside parts of what was asked for") {
    hear(equal + 1);
    node.input(MessageComing{node.bulk});
    hear(equal + 1);
    CHECK(node.sent<Summary>().size() == 1);
  }
}

TEST_CASE("synchronizer: empty collections make no difference") {
  Puller node;
  const std::uint64_t root = node.core().root();
  node.input(StoreChanged{users, {}, {}});
  CHECK(node.core().root() == root);
  node.input(StoreChanged{users, dots(1, 1, 1), {}});
  CHECK(node.core().root() != root);
  node.input(CollectionGone{users});
  CHECK(node.core().root() == root);
}

TEST_CASE("synchronizer: a donor walks for the asker, and tells what is durable") {
  Puller node;
  node.input(StoreChanged{users, dots(1, 1, 5), {}});
  node.clear();
  node.receive(node.bulk, Pull{.request = 9,
                               .collection = users,
                               .excluded = dots(1, 1, 3),
                               .bytes_max = 1'000'000'000});
  const auto walks = node.actions<WalkLocal>();
  REQUIRE(walks.size() == 1);
  CHECK(walks.front().excluded == dots(1, 1, 3));
  CHECK(walks.front().bytes_max <= 4U << 20);

  SUBCASE("the slice") {
    node.input(Walked{.token = walks.front().token,
                      .ok = true,
                      .records = {record("a", dot(1, 4))},
                      .vector = dots(1, 1, 5)});
    REQUIRE(node.sent<PullReply>(node.bulk).size() == 1);
    const PullReply reply = node.sent<PullReply>(node.bulk).front();
    CHECK(reply.request == 9);
    CHECK(reply.vector == dots(1, 1, 5));
    CHECK(reply.records.size() == 1);
    CHECK_FALSE(reply.unknown);
  }
  SUBCASE("a collection dropped meanwhile is unknown") {
    node.input(CollectionGone{users});
    node.input(Walked{.token = walks.front().token});
    REQUIRE(node.sent<PullReply>(node.bulk).size() == 1);
    CHECK(node.sent<PullReply>(node.bulk).front().unknown);
  }
  SUBCASE("a collection that cannot be read is not: the asker would believe that it has all") {
    node.input(Walked{.token = walks.front().token});
    CHECK(node.sent<PullReply>(node.bulk).empty());
  }
  SUBCASE("an asker that is gone gets nothing") {
    node.input(ConnectionDown{node.bulk});
    node.input(Walked{.token = walks.front().token, .ok = true});
    CHECK(node.sent<PullReply>().empty());
  }
}

TEST_CASE("synchronizer: another life of a collection is unknown") {
  Puller node;
  node.input(StoreChanged{users, dots(1, 1, 5), {}});
  node.receive(node.bulk, Pull{.request = 9, .collection = {"users", 2}, .bytes_max = 1});
  REQUIRE(node.sent<PullReply>(node.bulk).size() == 1);
  CHECK(node.sent<PullReply>(node.bulk).front().unknown);
}

TEST_CASE("synchronizer: a peer that asks for many walks at once is cut off") {
  Puller node;
  node.input(StoreChanged{users, dots(1, 1, 5), {}});
  for (std::uint64_t i = 0; i < ClusterOptions{}.walks_per_connection_max; ++i)
    node.receive(node.bulk, Pull{.request = i, .collection = users, .bytes_max = 1});
  CHECK_FALSE(node.closed(node.bulk));
  node.receive(node.bulk, Pull{.request = 9, .collection = users, .bytes_max = 1});
  CHECK(node.closed(node.bulk));
  CHECK(node.actions<WalkLocal>().size() == ClusterOptions{}.walks_per_connection_max);
}

TEST_CASE("synchronizer: a flush that the asker knows of is taken over") {
  Puller node;
  node.input(StoreChanged{users, dots(1, 1, 5), {}});
  node.receive(node.bulk,
               Pull{.request = 1, .collection = users, .flushed = dots(1, 1, 2), .bytes_max = 1});
  REQUIRE(node.actions<ApplyRecords>().size() == 1);
  CHECK(node.actions<ApplyRecords>().front().flushed == dots(1, 1, 2));
}
