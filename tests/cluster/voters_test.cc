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
    CHECK(nodes[i].layout().adding.none());
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

namespace {

VoteRequest request_of(NodeId node, std::uint64_t round, VotePhase phase) {
  return {our_cluster, {1, 2, 3}, {round, node}, phase};
}

// Node 1 of three voters, whom 8 and 9 ask.
struct Asked : Voting {
  Asked() {
    input(first_write(1));  // The cluster stays.
    eight = link(hello_of(healthy(joining(8))));
    nine = link(hello_of(healthy(joining(9))));
  }
  VoteReply reply(NodeId node, std::uint64_t round, VotePhase phase) {
    clear();
    const ConnectionId from = node == 8 ? eight : nine;
    receive(from, request_of(node, round, phase));
    const auto notes = actions<NoteLayout>();
    // Nothing is answered before it is on the disk.
    if (!notes.empty()) {
      CHECK(sent<VoteReply>(from).empty());
      input(LayoutNoted{notes.back().number, true});
    }
    REQUIRE(sent<VoteReply>(from).size() == 1);
    return sent<VoteReply>(from).front();
  }
  ConnectionId eight, nine;
};

}  // namespace

TEST_CASE("levels: a voter lets nobody through below what it promised, and tells whom before") {
  Asked node;
  CHECK(node.reply(8, 1, VotePhase::promise).other.none());
  CHECK(node.reply(8, 1, VotePhase::accept).given);
  CHECK(node.core().layout().adding == Ballot{1, 8});
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
  Outside() : Scripted(outside()) {
    for (const NodeId id : {NodeId{1}, NodeId{2}}) {
      controls.push_back(link(hello_of(voter(id))));
      bulks.push_back(link(hello_of(voter(id)), LinkClass::bulk));
    }
    for (int i = 0; i < 2; ++i)
      pull();
  }
  static CoreOptions outside() {
    CoreOptions options = core_options(8);
    options.identity.belonging = {our_cluster, false};
    options.layout = {.cluster = our_cluster, .layout = {.voters = {1, 2}, .adding = {}}};
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
    clear();
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
                              .voters = 2,
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
