// What becomes of who was let in by the voters and is away.
#include <doctest/doctest.h>

#include "cluster/voters.h"
#include "tests/cluster/voting_fixture.h"

namespace dhrt::test {

namespace {

// Nodes 1, 2 and so on, of which all but the last vote; the first has let the last one in, which is
// unplugged.
Wired letting_in(std::size_t count) {
  std::vector<CoreOptions> options;
  std::vector<NodeId> voters;
  for (NodeId id = 1; id < count; ++id)
    voters.push_back(id);
  for (NodeId id = 1; id <= count; ++id) {
    CoreOptions one = id == 1 ? founder(1, our_cluster) : joiner(id, {"h1:1"});
    one.identity.belonging = {our_cluster, false};
    one.layout = {.cluster = our_cluster, .layout = {.voters = voters}};
    if (id == 1) {
      one.layout.layout.next = {1, count};
      one.layout.promised = one.layout.accepted = {1, count};
    }
    options.push_back(std::move(one));
  }
  Wired nodes(std::move(options));
  nodes.unplug(count - 1);
  return nodes;
}

}  // namespace

TEST_CASE("levels: who was let in and is away is made a voter by the others, and may come back") {
  for (const std::size_t count : {3U, 4U, 5U, 6U}) {
    CAPTURE(count);
    Wired nodes = letting_in(count);
    nodes.tick_for(40s);
    for (std::size_t i = 0; i + 1 < count; ++i) {
      CHECK(nodes[i].layout().voters.size() == count);
      CHECK(nodes[i].layout().voters.back() == count);
      CHECK(nodes[i].layout().next.none());
    }
    nodes.plug(count - 1);
    nodes.tick_for(60s);
    CHECK(nodes[count - 1].layout() == nodes[0].layout());
    CHECK(nodes[count - 1].state() == MemberState::healthy);
  }
}

TEST_CASE("levels: who was let in and does not come back is retired, and holds up nobody") {
  Wired nodes = letting_in(4);
  nodes.tick_for(2s);
  CHECK_FALSE(nodes[0].why_not_retired(4));
  nodes.input(0, RetireRequested{.node = 4, .unless_alive = true});
  nodes.tick_for(20s);
  for (std::size_t i = 0; i < 3; ++i)
    check_retired(nodes, i, {1, 2, 3}, 4);
}

TEST_CASE("levels: whom the only voter let in is waited for until it is retired") {
  Wired nodes = letting_in(2);
  nodes.tick_for(30s);
  CHECK(nodes[0].layout().voters == std::vector<NodeId>{1});
  SUBCASE("it comes back") {
    nodes.plug(1);
    nodes.tick_for(30s);
    CHECK(nodes[0].layout().voters == std::vector<NodeId>{1, 2});
  }
  SUBCASE("it does not, or too late") {
    nodes.input(0, RetireRequested{.node = 2, .unless_alive = true});
    nodes.tick_for(10s);
    check_retired(nodes, 0, {1}, 2);
    nodes.plug(1);
    nodes.tick_for(30s);
    check_retired(nodes, 1, {1}, 2);
  }
}

TEST_CASE("levels: who does not vote retires whom the only voter let in") {
  std::vector<CoreOptions> options{founder(1, our_cluster), joiner(2, {"h1:1"}),
                                   joiner(3, {"h1:1"})};
  for (CoreOptions& one : options) {
    one.identity.belonging = {our_cluster, false};
    one.layout = {.cluster = our_cluster, .layout = {.voters = {1}}};
  }
  options[0].layout.layout.next = options[0].layout.promised = options[0].layout.accepted = {1, 3};
  Wired nodes(std::move(options));
  nodes.unplug(2);
  nodes.tick_for(30s);
  CHECK(nodes[1].layout().voters == std::vector<NodeId>{1});
  nodes.input(1, RetireRequested{.node = 3, .unless_alive = true});
  nodes.tick_for(30s);
  for (const std::size_t i : {0U, 1U})
    check_retired(nodes, i, {1, 2}, 3);
}

TEST_CASE("levels: a voter goes on for who was let in when that is away, and not at once") {
  Voting node;
  const ConnectionId eight = node.link(hello_of(healthy(joining(8))));
  node.receive(eight, LayoutTold{our_cluster, {{1, 2, 3}, {1, 8}}, false});
  node.clear();
  node.tick_for(30s);
  CHECK(node.sent<VoteRequest>().empty());
  node.input(ConnectionDown{eight});
  node.tick_for(1s);
  REQUIRE_FALSE(node.sent<VoteRequest>(node.two).empty());
  CHECK(node.sent<VoteRequest>(node.two).front().ballot == Ballot{2, 8});
}

TEST_CASE("levels: who is let in and retired at once is counted until that is decided") {
  Voting node({1});
  node.input(first_write(1));  // The cluster stays.
  for (const NodeId id : {NodeId{2}, NodeId{3}}) {
    Member current = voter(id);
    current.features |= feature::retires;
    node.learn(current);
  }
  node.receive(node.two, LayoutTold{our_cluster, {{1}, {1, 2}}, false});
  node.wait(WriteLevel::quorum);
  node.clear();
  const auto note_is_kept = [&] {
    REQUIRE_FALSE(node.actions<NoteLayout>().empty());
    const std::uint64_t number = node.actions<NoteLayout>().back().number;
    node.clear();
    node.input(LayoutNoted{number, true});
  };
  node.input(RetireRequested{2});
  node.tick_for(200ms);
  note_is_kept();  // That nobody else is let through.
  CHECK(node.core().layout().next.retires == 2);
  CHECK(node.outcome() == "");
  note_is_kept();
  CHECK(node.core().layout().retired == std::vector<NodeId>{2});
  CHECK(node.outcome() == "1/1 yes");
}

TEST_CASE("levels: who is let in and retired at once does not undo that when it is back") {
  Voting node({1});
  node.input(first_write(1));  // The cluster stays.
  node.receive(node.two, LayoutTold{our_cluster, {{1}, {1, 2}}, false});
  const auto ask = [&](VotePhase phase) {
    node.clear();
    node.receive(node.three, VoteRequest{our_cluster, {1}, {2, 3, 2}, phase});
    REQUIRE_FALSE(node.actions<NoteLayout>().empty());
    return LayoutNoted{node.actions<NoteLayout>().back().number, true};
  };
  const LayoutTold votes{our_cluster, {{1, 2}, {}}, false};
  node.input(ask(VotePhase::promise));
  const LayoutNoted kept = ask(VotePhase::accept);
  node.receive(node.two, votes);
  CHECK_MESSAGE(node.core().layout().number() == 1, "nothing is decided before it is on the disk");
  node.input(kept);
  node.receive(node.two, votes);
  CHECK(node.core().layout().voters == std::vector<NodeId>{1});
  CHECK(node.core().layout().retired == std::vector<NodeId>{2});
}

TEST_CASE("levels: only a voter asks in the name of another node") {
  Asked node;
  node.clear();
  node.receive(node.nine, request_of(8, 1, VotePhase::promise));
  CHECK(node.actions<NoteLayout>().empty());
  node.receive(node.two, request_of(8, 1, VotePhase::promise));
  REQUIRE_FALSE(node.actions<NoteLayout>().empty());
  node.input(LayoutNoted{node.actions<NoteLayout>().back().number, true});
  CHECK(node.sent<VoteReply>(node.nine).empty());
  REQUIRE(node.sent<VoteReply>(node.two).size() == 1);
  CHECK(node.sent<VoteReply>(node.two).front().given);
}

TEST_CASE("levels: of several voters none retires who is let in before that votes") {
  Asked node;
  CHECK(node.reply(8, 1, VotePhase::promise).given);
  CHECK(node.reply(8, 1, VotePhase::accept).given);
  node.clear();
  node.receive(node.nine, VoteRequest{our_cluster, {1, 2, 3}, {2, 9, 8}});
  CHECK(node.actions<NoteLayout>().empty());
  CHECK(node.sent<VoteReply>(node.nine).empty());
}

}  // namespace dhrt::test
