// Who votes, and how a member comes to.
#include "cluster/voters.h"

#include <doctest/doctest.h>

#include "tests/cluster/voting_fixture.h"

namespace dhrt::test {

TEST_CASE("levels: a founder votes, and a joiner when the voters have let it in") {
  Wired nodes({founder(1, our_cluster), joiner(2, {"h1:1"}), joiner(3, {"h1:1"})});
  nodes.tick_for(20s);
  // Nothing was written: nobody knows yet whether this cluster stays.
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(nodes[i].layout().voters == std::vector<NodeId>{1});
  nodes.input(2, first_write(3));
  nodes.tick_for(20s);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(nodes[i].layout().voters.size() == 3);
    CHECK(nodes[i].layout() == nodes[0].layout());
    CHECK(nodes[i].layout().next.none());
  }
}

TEST_CASE("levels: joiners that see each other and no voter let nobody in") {
  Wired nodes({founder(1, our_cluster), joiner(2, {"h1:1"}), joiner(3, {"h1:1"}),
               joiner(4, {"h2:1", "h1:1"}), joiner(5, {"h2:1", "h1:1"})});
  nodes.tick_for(20s);
  nodes.unplug(0);
  nodes.input(1, first_write(2));
  nodes.tick_for(60s);
  for (std::size_t i = 1; i < 5; ++i)
    CHECK(nodes[i].layout().voters == std::vector<NodeId>{1});
}

TEST_CASE("levels: who founded one cluster and gave way to another votes there when let in") {
  const ClusterId lower{1, 1};
  Wired nodes({founder(1, lower), founder(2, {2, 2})});
  nodes.input(0, first_write(1));
  nodes.input(1, SeedFound{"h1:1"});
  for (int i = 0; i < 100 && nodes[1].belonging().id != lower; ++i)
    nodes.tick_for(100ms);
  REQUIRE(nodes[1].belonging().id == lower);
  CHECK_FALSE(nodes[1].layout().contains(2));
  nodes.tick_for(20s);
  CHECK(nodes[1].layout().voters == std::vector<NodeId>{1, 2});
}

TEST_CASE("levels: of a cluster in which nobody noted who votes, those vote who were healthy") {
  const Belonging belonging{our_cluster, false};
  CHECK(
      notes_at_start({}, belonging, member(1), {healthy(member(1)), healthy(member(2)), member(3)})
          .layout.voters == std::vector<NodeId>{1, 2});
  CHECK(notes_at_start({}, belonging, member(1), {joining(1), healthy(member(2))})
            .layout.voters.empty());
}

TEST_CASE("levels: a voter lets nobody through below what it promised, and tells whom before") {
  Asked node;
  CHECK(node.reply(8, 1, VotePhase::promise).other.none());
  CHECK(node.reply(8, 1, VotePhase::accept).given);
  CHECK(node.core().layout().next == Ballot{1, 8});
  CHECK(node.reply(9, 2, VotePhase::promise).other == Ballot{1, 8});
  CHECK_FALSE(node.reply(8, 1, VotePhase::accept).given);
  CHECK(node.reply(9, 2, VotePhase::accept).given);
}

TEST_CASE("levels: what could not be noted is not answered") {
  Asked node;
  node.clear();
  node.receive(node.eight, request_of(8, 1, VotePhase::promise));
  node.input(LayoutNoted{node.actions<NoteLayout>().back().number, false});
  CHECK(node.sent<VoteReply>().empty());
  node.tick_for(200ms);
  node.input(LayoutNoted{node.actions<NoteLayout>().back().number, true});
  CHECK(node.sent<VoteReply>(node.eight).size() == 1);
}

namespace {

// Node 8, healthy and not one of the voters 1 and 2, who are linked and were pulled from.
struct Outside : Scripted {
  explicit Outside(std::vector<NodeId> voters = {1, 2}) : Scripted(outside(std::move(voters))) {
    for (const NodeId id : {NodeId{1}, NodeId{2}}) {
      controls.push_back(link(hello_of(voter(id))));
      bulks.push_back(link(hello_of(voter(id)), LinkClass::bulk));
    }
    for (int i = 0; i < 2; ++i)
      pull();
  }
  static CoreOptions outside(std::vector<NodeId> voters) {
    CoreOptions options = core_options(8);
    options.identity.belonging = {our_cluster, false};
    options.layout = {.cluster = our_cluster, .layout = {.voters = std::move(voters)}};
    return options;
  }
  // The session that begins next: the peer holds one collection, of which it shows `vector`, and
  // has `durable`.
  void pull(const Context& vector = dots(1, 1, 5), const Context& durable = dots(1, 1, 5)) {
    for (int tries = 0; tries < 100 && sent<Summary>().empty(); ++tries)
      tick_for(100ms);
    REQUIRE(sent<Summary>().size() == 1);
    const std::size_t peer = sent<Summary>(bulks[0]).empty() ? 1 : 0;
    const std::uint64_t session = sent<Summary>().front().request;
    clear();
    receive(bulks[peer], SummaryReply{session, {{users, 1}}});
    for (auto pulls = sent<Pull>(); !pulls.empty(); pulls = sent<Pull>()) {
      clear();
      PullReply reply{.request = pulls.front().request, .collection = users};
      reply.vector = vector;
      if (vector != durable) reply.unshown = durable;
      receive(bulks[peer], std::move(reply));
    }
    for (const MergeContext& merge : actions<MergeContext>()) {
      input(StoreChanged{users, merge.vector, {}});
      input(Applied{merge.token, true});
    }
    if (sent<Summary>().empty()) clear();  // The next one may have begun.
  }
  // Both voters answer what is asked of them; how many requests there were.
  std::size_t vote() {
    std::size_t requests = 0;
    for (int tries = 0; tries < 100; ++tries) {
      tick_for(100ms);
      for (std::size_t peer = 0; peer < controls.size(); ++peer) {
        for (const VoteRequest& request : sent<VoteRequest>(controls[peer])) {
          ++requests;
          let_in = let_in || request.phase == VotePhase::accept;
          answers.push_back({controls[peer],
                             {.cluster = our_cluster,
                              .number = 2,
                              .ballot = request.ballot,
                              .phase = request.phase,
                              .given = true}});
        }
      }
      const bool waits_for_pull = !sent<Summary>().empty();
      if (!waits_for_pull) clear();
      for (const auto& [from, reply] : std::exchange(answers, {}))
        receive(from, reply);
      if (let_in && waits_for_pull) break;
    }
    return requests;
  }
  bool votes() { return core().layout().contains(8); }

  std::vector<ConnectionId> controls, bulks;
  std::vector<std::pair<ConnectionId, VoteReply>> answers;
  bool let_in = false;
};

}  // namespace

TEST_CASE("levels: who was let in votes when it has all that a majority had by then") {
  Outside node;
  CHECK(node.vote() >= 4);
  REQUIRE(node.let_in);
  CHECK_FALSE(node.votes());
  node.pull();
  CHECK_FALSE(node.votes());
  SUBCASE("of both") {
    node.pull();
    node.tick_for(200ms);
    CHECK(node.votes());
  }
  SUBCASE("also what the second could not show, because something had replaced it") {
    node.pull(dots(1, 1, 5), dots(1, 1, 6));
    node.tick_for(2s);
    CHECK_FALSE(node.votes());
    node.input(StoreChanged{users, dots(1, 1, 6), {}});
    node.tick_for(200ms);
    CHECK(node.votes());
  }
}

TEST_CASE("levels: who leaves does not become a voter any more") {
  Outside node;
  node.input(first_write(8));  // Nobody has it: leaving takes its time.
  node.input(LeaveRequested{});
  node.clear();
  node.tick_for(1s);
  CHECK(node.sent<VoteRequest>().empty());
  CHECK(node.actions<Left>().empty());
}

// --- Who votes no more ----------------------------------------------------------------------

namespace {

// Nodes 1, 2 and so on, which all vote.
Wired voting(std::size_t count) {
  std::vector<CoreOptions> options{founder(1, our_cluster)};
  for (NodeId id = 2; id <= count; ++id)
    options.push_back(joiner(id, {"h1:1"}));
  Wired nodes(std::move(options));
  nodes.input(0, first_write(1));
  nodes.tick_for(30s);
  for (std::size_t i = 0; i < count; ++i)
    REQUIRE(nodes[i].layout().voters.size() == count);
  return nodes;
}

}  // namespace

TEST_CASE(
    "levels: a voter that does not come back is retired by a majority, and never votes again") {
  for (const std::size_t count : {3U, 4U, 5U}) {
    CAPTURE(count);
    Wired nodes = voting(count);
    nodes.unplug(count - 1);
    nodes.tick_for(20s);
    CHECK(!nodes[0].why_not_retired(count));
    nodes.input(0, RetireRequested{count});
    nodes.tick_for(10s);
    std::vector<NodeId> left;
    for (NodeId id = 1; id < count; ++id)
      left.push_back(id);
    for (std::size_t i = 0; i + 1 < count; ++i)
      check_retired(nodes, i, left, count);
    nodes.plug(count - 1);
    nodes.tick_for(60s);
    CHECK(nodes[count - 1].state() == MemberState::healthy);
    for (std::size_t i = 0; i < count; ++i)
      check_retired(nodes, i, left, count);
  }
}

TEST_CASE("levels: half of the voters with the first one are enough for a change, others are not") {
  CHECK(Layout{.voters = {1}}.can_decide([](NodeId node) { return node == 1; }));
  CHECK(Layout{.voters = {4, 2}}.can_decide([](NodeId node) { return node == 4; }));
  CHECK_FALSE(Layout{.voters = {4, 2}}.can_decide([](NodeId node) { return node == 2; }));
  CHECK_FALSE(Layout{.voters = {4, 2, 3}}.can_decide([](NodeId node) { return node == 4; }));
  CHECK(Layout{.voters = {4, 2, 3}}.can_decide([](NodeId node) { return node < 4; }));
  CHECK(Layout{.voters = {1, 2, 3, 4}}.can_decide([](NodeId node) { return node % 2 == 1; }));
  CHECK_FALSE(Layout{.voters = {1, 2, 3, 4}}.can_decide([](NodeId node) { return node % 2 == 0; }));
  CHECK_FALSE(Layout().can_decide([](NodeId) { return true; }));
}

TEST_CASE("levels: of two voters the first may retire the other without it") {
  Wired nodes = voting(2);
  const NodeId first = nodes[0].layout().voters.front();
  REQUIRE(first == 1);
  nodes.unplug(1);
  nodes.tick_for(20s);
  nodes.input(0, RetireRequested{2});
  nodes.tick_for(10s);
  check_retired(nodes, 0, {1}, 2);
  nodes.plug(1);
  nodes.tick_for(60s);
  for (std::size_t i = 0; i < 2; ++i)
    check_retired(nodes, i, {1}, 2);
  CHECK(nodes[0].why_not_retired(1) == "it is the only voter: somebody must vote");
  nodes.input(0, RetireRequested{1});
  nodes.tick_for(10s);
  CHECK(nodes[0].layout().voters == std::vector<NodeId>{1});
}

TEST_CASE("levels: of two voters the second does not retire the first without it") {
  Wired nodes = voting(2);
  nodes.unplug(0);
  nodes.tick_for(20s);
  nodes.input(1, RetireRequested{1});
  nodes.tick_for(60s);
  CHECK(nodes[1].layout().voters.size() == 2);
  CHECK(nodes[1].is_retiring_somebody());
  nodes.plug(0);
  nodes.tick_for(60s);
  for (std::size_t i = 0; i < 2; ++i)
    check_retired(nodes, i, {2}, 1);
}

TEST_CASE("levels: with the first of two voters others are let in while the second is away") {
  Wired nodes({founder(1, our_cluster), joiner(2, {"h1:1"}), joiner(3, {"h1:1"})});
  nodes.unplug(2);
  nodes.input(0, first_write(1));
  nodes.tick_for(30s);
  REQUIRE(nodes[0].layout().voters == std::vector<NodeId>{1, 2});
  nodes.unplug(1);
  nodes.plug(2);
  nodes.tick_for(60s);
  for (const std::size_t i : {0U, 2U})
    CHECK(nodes[i].layout().voters == std::vector<NodeId>{1, 2, 3});
}

TEST_CASE("levels: a voter may retire itself, and who does not vote somebody else") {
  Wired nodes = voting(3);
  nodes.input(2, RetireRequested{3});
  nodes.tick_for(5s);
  for (std::size_t i = 0; i < 3; ++i)
    check_retired(nodes, i, {1, 2}, 3);
  nodes.input(2, RetireRequested{1});
  nodes.tick_for(5s);
  CHECK(nodes[1].layout().voters == std::vector<NodeId>{2});
  CHECK(nodes[1].layout().retired == std::vector<NodeId>{3, 1});
}

TEST_CASE("levels: two who retire different voters at once retire both, one after the other") {
  Wired nodes = voting(5);
  nodes.input(0, RetireRequested{4});
  nodes.input(1, RetireRequested{5});
  nodes.tick_for(30s);
  for (std::size_t i = 0; i < 5; ++i) {
    CHECK(nodes[i].layout().voters.size() == 3);
    CHECK(nodes[i].layout() == nodes[0].layout());
  }
}

TEST_CASE(
    "levels: a retirement that was begun is gone on with by others, when who began it is gone") {
  Voting node;
  node.receive(node.two, LayoutTold{our_cluster, {{1, 2, 3, 9}, {1, 2, 9}}, false});
  node.clear();
  node.tick_for(20s);
  CHECK(node.sent<VoteRequest>().empty());
  node.input(ConnectionDown{node.two});
  node.tick_for(1s);
  REQUIRE_FALSE(node.sent<VoteRequest>(node.three).empty());
  CHECK(node.sent<VoteRequest>(node.three).front().ballot == Ballot{2, 1, 9});
}

TEST_CASE(
    "levels: while somebody is retired, a majority of those who stay must have what is written") {
  Voting node({1, 2, 3, 8, 9});
  node.receive(node.two, LayoutTold{our_cluster, {{1, 2, 3, 8, 9}, {1, 2, 9}}, false});
  const ConnectionId nine = node.link(hello_of(voter(9)));
  node.wait(WriteLevel::quorum);
  node.has(node.two, 5);
  node.has(nine, 5);
  CHECK(node.outcome() == "");
  node.has(node.three, 5);
  CHECK(node.outcome() == "3/3 yes");
  node.wait(WriteLevel::all);
  CHECK(node.outcome() == "");
  node.tick_for(ClusterOptions().write_timeout);
  CHECK(node.outcome() == "4/5 no");
}

TEST_CASE("levels: who stays has all of those who let it through, before somebody is retired") {
  Outside node({8, 1, 2});
  const VoteRequest request{.cluster = our_cluster,
                            .voters = {8, 1, 2},
                            .ballot = {1, 1, 2},
                            .phase = VotePhase::hold,
                            .let_through = {1, 8}};
  node.input(first_write(8));
  node.clear();
  node.receive(node.controls[0], request);
  CHECK(node.sent<VoteReply>().empty());
  SUBCASE("which it has not while something is missing that the other could not show") {
    node.pull(dots(1, 1, 5), dots(1, 1, 6));
    node.tick_for(2s);
    node.receive(node.controls[0], request);
    CHECK(node.sent<VoteReply>().empty());
    node.input(StoreChanged{users, dots(1, 1, 6), {}});
  }
  SUBCASE("and says so again when it is asked again") {
    node.pull();
  }
  node.clear();
  node.tick_for(200ms);
  REQUIRE(node.sent<VoteReply>(node.controls[0]).size() == 1);
  CHECK(node.sent<VoteReply>().front().phase == VotePhase::hold);
  node.receive(node.controls[0], request);
  CHECK(node.sent<VoteReply>().size() == 2);
}

TEST_CASE("levels: who voted before somebody came and went is asked nothing about it") {
  Asked node;
  // The same three voters, two changes later.
  node.receive(node.two, LayoutTold{our_cluster, {{1, 2, 3}, {}, {9}}, false});
  node.input(LayoutNoted{node.actions<NoteLayout>().back().number, true});
  node.clear();
  for (const VotePhase phase : {VotePhase::promise, VotePhase::accept}) {
    node.receive(node.eight, request_of(8, 7, phase));
    CHECK(node.sent<VoteReply>().empty());
    CHECK(node.core().layout().next.none());
  }
  CHECK(node.sent<LayoutTold>(node.eight).size() == 2);
  node.receive(node.eight, VoteRequest{our_cluster, {1, 2, 3}, {7, 8}, VotePhase::promise, {9}});
  node.input(LayoutNoted{node.actions<NoteLayout>().back().number, true});
  REQUIRE(node.sent<VoteReply>(node.eight).size() == 1);
  CHECK(node.sent<VoteReply>().front().other.none());
}

TEST_CASE("levels: who is given up and comes back before that was begun is not retired") {
  Wired nodes = voting(3);
  nodes.unplug(1);
  nodes.unplug(2);
  nodes.tick_for(20s);
  nodes.input(0, RetireRequested{.node = 3, .unless_alive = true});
  nodes.tick_for(20s);
  CHECK(nodes[0].is_retiring_somebody());
  nodes.plug(2);
  nodes.tick_for(30s);
  CHECK_FALSE(nodes[0].is_retiring_somebody());
  nodes.plug(1);
  nodes.tick_for(30s);
  CHECK(nodes[0].layout().voters.size() == 3);
}

TEST_CASE("levels: a request to retire somebody who does not vote, or all, is not answered") {
  Asked node;
  for (const NodeId retires : {NodeId{8}, NodeId{77}}) {
    node.receive(node.eight, VoteRequest{our_cluster, {1, 2, 3}, {1, 8, retires}});
    CHECK(node.sent<VoteReply>().empty());
  }
  Voting alone({1});
  alone.input(first_write(1));
  alone.clear();
  alone.receive(alone.two, VoteRequest{our_cluster, {1}, {1, 2, 1}});
  CHECK(alone.sent<VoteReply>().empty());
}

TEST_CASE("levels: while somebody is let in, a majority with it must have what is written") {
  Voting node;
  node.receive(node.two, LayoutTold{our_cluster, {{1, 2, 3}, {1, 8}}, false});
  node.wait(WriteLevel::quorum);
  node.has(node.two, 5);
  CHECK(node.outcome() == "");
  node.has(node.three, 5);
  CHECK(node.outcome() == "3/3 yes");
}

TEST_CASE("levels: an answer by a later layout counts when that is known") {
  Voting node;
  node.wait(WriteLevel::quorum);
  const LayoutStamp later{3, {1, 8}};
  node.receive(node.two, WriteAck{.tips = {{users, 0, {1, 1, 0}, 5}}, .layout = later});
  CHECK(node.outcome() == "");
  node.tick_for(200ms);
  CHECK_FALSE(node.sent<LayoutTold>(node.two).empty());
  node.receive(node.two, LayoutTold{our_cluster, {{1, 2, 3}, {1, 8}}, false});
  CHECK(node.outcome() == "");
  node.has(node.three, 5);
  CHECK(node.outcome() == "3/3 yes");
}

}  // namespace dhrt::test
