// Who says who is healthy. Peers and the store are played by the test.
#include <doctest/doctest.h>

#include "cluster/synchronizer.h"
#include "tests/cluster/puller.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

CoreOptions syncing_options(NodeId id) {
  CoreOptions options = core_options(id);
  options.self.epoch = 2;
  options.self.synced = {1, 5};
  return options;
}

}  // namespace

TEST_CASE("attestation: a healthy node attests whoever pulled from it and was pulled from") {
  Scripted node(1);
  const ConnectionId control = node.link(hello_of(member(2)));
  const ConnectionId bulk = node.link(hello_of(member(2)), LinkClass::bulk);
  REQUIRE(node.state_of(2) == MemberState::joining);
  const auto claims = [&] { node.receive(control, Resynced{2, {1, 10}, 0}); };
  const auto is_pulled = [&] {
    node.tick_for(tick_interval);
    node.receive(bulk, SummaryReply{node.sent<Summary>().back().request, {}});
  };
  SUBCASE("its word alone is not enough") {
    claims();
    CHECK(node.state_of(2) == MemberState::joining);
    is_pulled();
  }
  SUBCASE("our pull alone is not enough") {
    is_pulled();
    CHECK(node.state_of(2) == MemberState::joining);
    claims();
  }
  CHECK(node.state_of(2) == MemberState::healthy);
  const auto said = node.sent<Resynced>(control);
  CHECK(std::ranges::any_of(said, [](const Resynced& resynced) {
    return resynced.node == 2 && resynced.attested_by == 1;
  }));
}

TEST_CASE("attestation: what was claimed before a death does not count after it") {
  Scripted node(1);
  const ConnectionId control = node.link(2);
  const ConnectionId bulk = node.link(2, LinkClass::bulk);
  node.tick_for(tick_interval);
  node.receive(bulk, SummaryReply{node.sent<Summary>().back().request, {}});
  Member died = healthy(member(2, 11));
  died.synced = {1, 10};
  died.died = 10;
  node.receive(control, Members{false, {died}});
  node.receive(control, Resynced{2, {1, 10}, 0});
  CHECK(node.state_of(2) == MemberState::syncing);
  node.clear();
  node.tick_for(tick_interval);
  REQUIRE(node.sent<Summary>().size() == 1);
  node.receive(bulk, SummaryReply{node.sent<Summary>().back().request, {}});
  CHECK(node.state_of(2) == MemberState::syncing);
  node.receive(control, Resynced{2, {1, 11}, 0});
  CHECK(node.state_of(2) == MemberState::healthy);
}

TEST_CASE("attestation: nobody claims, or attests, in another's name") {
  Scripted node(1);
  const ConnectionId control = node.link(2);
  node.link(hello_of(member(3)));
  node.receive(control, Resynced{3, {1, 10}, 0});
  node.receive(control, Resynced{3, {1, 10}, 7});
  CHECK(node.state_of(3) == MemberState::joining);
  node.receive(control, Resynced{3, {1, 10}, 2});
  CHECK(node.state_of(3) == MemberState::healthy);
}

TEST_CASE("attestation: a node that is not in step attests nobody, unless it was the accuser") {
  Puller node(syncing_options(1));
  const auto exchange = [&](std::uint64_t incarnation) {
    node.begin();
    node.lists({});
    node.receive(node.control, Resynced{2, {1, incarnation}, 0});
  };
  SUBCASE("not the accuser") {
    node.receive(node.control, Members{false, {[] {
                                         Member died = member(2, 11);
                                         died.died = 10;
                                         died.synced = {1, 10};
                                         return died;
                                       }()}});
    exchange(11);
    CHECK(node.state_of(2) == MemberState::syncing);
  }
  SUBCASE("the accuser may acquit") {
    node.begin();
    node.lists({});
    node.tick_for(4s);  // It answers no ping.
    REQUIRE(node.state_of(2) == MemberState::dead);
    // Nobody else is there, so it had declared itself; now it was called dead as well.
    Member accusation = node.core().self();
    accusation.liveness = Liveness::dead;
    accusation.died = accusation.incarnation;
    node.receive(node.control, Members{false, {accusation}});
    Member back = member(2, 11);
    back.synced = {1, 10};
    node.receive(node.control, Members{false, {back}});
    REQUIRE(node.state_of(2) == MemberState::syncing);
    node.clear();
    exchange(11);
    CHECK(node.core().state() == MemberState::syncing);
    CHECK(node.state_of(2) == MemberState::healthy);
  }
}

TEST_CASE("attestation: when nobody is healthy, an exchange with everybody and 3 s are enough") {
  Puller node(syncing_options(1));
  Member also_syncing = member(2, 11);
  also_syncing.epoch = 2;
  also_syncing.synced = {1, 10};
  // The peer came back from the same power cut.
  node.input(ConnectionDown{node.control});
  node.input(ConnectionDown{node.bulk});
  node.clear();
  Hello hello = hello_of(also_syncing);
  node.control = node.link(hello);
  node.bulk = node.link(hello, LinkClass::bulk);
  REQUIRE(node.state_of(2) == MemberState::syncing);
  node.begin();
  const auto wait_long = [&] {
    for (unsigned i = 0; i < 40; ++i) {
      node.tick_for(tick_interval);
      for (const Ping& ping : node.sent<Ping>(node.control))
        node.receive(node.control, Ack{.sequence = ping.sequence, .target = 2});
    }
    REQUIRE_MESSAGE(node.state_of(2) == MemberState::syncing, "it answers");
  };

  SUBCASE("exchanged both ways") {
    node.lists({});
    node.receive(node.control, Resynced{2, {2, 11}, 0});
    node.tick_for(2800ms);
    CHECK(node.core().state() == MemberState::syncing);
    node.tick_for(400ms);
    CHECK(node.core().state() == MemberState::healthy);
  }
  SUBCASE("whoever is dead is not waited for, though it is linked") {
    node.link(3);
    Member dead = member(3);
    dead.liveness = Liveness::dead;
    dead.died = dead.incarnation;
    node.receive(node.control, Members{false, {dead}});
    REQUIRE(node.state_of(3) == MemberState::dead);
    node.lists({});
    node.receive(node.control, Resynced{2, {2, 11}, 0});
    node.tick_for(3200ms);
    CHECK(node.core().state() == MemberState::healthy);
  }
  SUBCASE("not before the peer has pulled from us") {
    node.lists({});
    wait_long();
    CHECK(node.core().state() == MemberState::syncing);
  }
  SUBCASE("not before we have pulled") {
    node.receive(node.control, Resynced{2, {2, 11}, 0});
    wait_long();
    CHECK(node.core().state() == MemberState::syncing);
  }
  SUBCASE("not if we died after the pull: what was written meanwhile did not come") {
    node.lists({});
    node.receive(node.control, Resynced{2, {2, 11}, 0});
    Member accusation = node.core().self();
    accusation.liveness = Liveness::dead;
    accusation.died = accusation.incarnation;
    node.receive(node.control, Members{false, {accusation}});
    wait_long();
    CHECK(node.core().state() == MemberState::syncing);
  }
}

TEST_CASE("attestation: a node that is its whole cluster needs nobody") {
  Scripted node(syncing_options(1));
  REQUIRE(node.core().state() == MemberState::syncing);
  node.tick_for(tick_interval);
  CHECK(node.core().state() == MemberState::healthy);
}

TEST_CASE("attestation: a joiner never attests itself") {
  Scripted node(joiner(1, {}));
  node.tick_for(60s);
  CHECK(node.core().state() == MemberState::joining);
}
