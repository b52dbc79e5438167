// Who is alive (SWIM: Das, Gupta, Motivala 2002, and Lifeguard: Dadgar, Phillips, Currey 2017;
// sections are cited, Lifeguard's in Roman numbers). Times are those of the default options: probes
// every 500 ms, 200 ms for a direct answer, 2 s for a suspect, 8 s where few accuse it.
#include "cluster/failure_detector.h"

#include <set>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

// A node whose linked peers answer pings unless they are silent. Asked to try for another they say
// that they hear nothing, unless they are deaf.
class Probing : public Scripted {
 public:
  explicit Probing(NodeId peers) : Scripted(1) {
    for (NodeId peer = 2; peer < 2 + peers; ++peer)
      links_[peer] = link(peer);
  }

  ConnectionId to(NodeId peer) const { return links_.at(peer); }
  void silence(NodeId peer) { silent_.insert(peer); }
  void speak(NodeId peer) { silent_.erase(peer); }
  void deafen(NodeId peer) { deaf_.insert(peer); }
  // Until it takes the peer for what is said; 0: it does already, -1: it does not within a minute.
  Duration time_until(NodeId peer, MemberState state) {
    for (Duration passed{0}; passed < 60s; passed += tick_interval) {
      if (state_of(peer) == state) return passed;
      run_for(tick_interval);
    }
    return Duration{-1};
  }
  // The peers answer within the tick.
  void run_for(Duration duration) {
    for (Duration passed{0}; passed < duration; passed += tick_interval) {
      clear();
      tick_for(tick_interval);
      for (const auto& [peer, connection] : links_) {
        for (const Ping& ping : sent<Ping>(connection)) {
          asked.push_back(peer);
          if (!silent_.contains(peer)) receive(connection, Ack{ping.sequence, ping.target, 0, {}});
        }
        for (const PingRequest& request : sent<PingRequest>(connection)) {
          requests[peer].push_back(request);
          if (!deaf_.contains(peer)) receive(connection, Nack{request.sequence, request.target});
        }
        for (const Accuse& accuse : sent<Accuse>(connection))
          accusations[peer].push_back(accuse);
      }
    }
  }

  std::vector<NodeId> asked;
  std::map<NodeId, std::vector<PingRequest>> requests;
  std::map<NodeId, std::vector<Accuse>> accusations;

 private:
  std::map<NodeId, ConnectionId> links_;
  std::set<NodeId> silent_;
  std::set<NodeId> deaf_;
};

}  // namespace

TEST_CASE("suspicion timeout: grows with the logarithm of the members (4.2)") {
  struct Case {
    const char* why;
    std::size_t members;
    std::size_t accusers;
    Duration timeout;
  };
  for (const Case& c : {
           Case{"nobody else", 1, 3, 2200ms},
           Case{"not even ourselves, yet no less", 0, 3, 2200ms},
           Case{"up to ten members it stays at four intervals, and a probe's time", 10, 3, 2200ms},
           Case{"twice the digits, twice the time", 100, 3, 4200ms},
           Case{"three times", 1000, 3, 6200ms},
           Case{"a rumour has four times as long (IV.B)", 10, 0, 8200ms},
           Case{"so has what one has found", 10, 1, 8200ms},
           Case{"a second one shortens it, by the logarithm", 10, 2, 4414ms},
           Case{"more than three make no difference", 10, 9, 2200ms},
           Case{"three members cannot confirm each other", 3, 1, 2200ms},
           Case{"four can", 4, 1, 8200ms},
       }) {
    CAPTURE(c.why);
    CHECK(suspicion_timeout({}, c.members, c.accusers) == c.timeout);
  }
}

TEST_CASE("failure detector: a silent member is a suspect after a probe, dead after its time") {
  Probing node(1);
  node.silence(2);
  node.run_for(500ms);
  CHECK(node.state_of(2) == MemberState::healthy);
  node.run_for(100ms);
  CHECK(node.state_of(2) == MemberState::unhealthy);
  node.run_for(2100ms);
  CHECK(node.state_of(2) == MemberState::unhealthy);
  node.run_for(100ms);
  CHECK(node.state_of(2) == MemberState::dead);
}

TEST_CASE("failure detector: who stands still as soon as it is a suspect has time to speak up") {
  Probing node(5);
  node.silence(2);
  REQUIRE(node.time_until(2, MemberState::unhealthy) > 0ms);
  const std::uint64_t incarnation = node.core().members().at(2).incarnation;
  for (const NodeId accuser : {3, 4, 5})
    node.receive(node.to(accuser), Accuse{2, incarnation});
  node.run_for(2100ms);
  node.receive(node.to(2), Members{false, {healthy(member(2, incarnation + 1))}});
  CHECK(node.state_of(2) == MemberState::healthy);
  node.run_for(200ms);
  CHECK(node.state_of(2) != MemberState::dead);
}

TEST_CASE("failure detector: who comes back while we wait for its answer is not accused") {
  Probing node(1);
  node.silence(2);
  node.run_for(500ms);
  node.receive(node.to(2), Members{false, {healthy(member(2, 11))}});
  node.run_for(100ms);
  CHECK(node.state_of(2) == MemberState::healthy);
  node.run_for(500ms);  // The next silence counts.
  CHECK(node.state_of(2) == MemberState::unhealthy);
}

TEST_CASE("failure detector: a node that starts calls those it knows before it accuses them") {
  CoreOptions options = core_options(1);
  options.cluster.first_probe_delay = 2s;
  options.known = {healthy(member(2, 10))};
  Scripted node(std::move(options));
  node.tick_for(2500ms);
  CHECK(node.state_of(2) == MemberState::healthy);
  node.tick_for(200ms);
  CHECK(node.state_of(2) == MemberState::unhealthy);
}

TEST_CASE("failure detector: an answer keeps a member alive") {
  Probing node(1);
  node.run_for(60s);
  CHECK(node.state_of(2) == MemberState::healthy);
}

TEST_CASE("failure detector: a suspect that answers the accusation is alive again (4.2)") {
  Probing node(1);
  node.silence(2);
  node.run_for(1500ms);
  REQUIRE(node.state_of(2) == MemberState::unhealthy);
  Member refuted = healthy(member(2, 11));
  node.receive(node.to(2), Members{false, {refuted}});
  CHECK(node.state_of(2) == MemberState::healthy);
  SUBCASE("and has its full time at the next silence") {
    node.run_for(1500ms);  // The first suspicion would have ended by now.
    CHECK(node.state_of(2) == MemberState::unhealthy);
  }
}

TEST_CASE("failure detector: the suspect is told of the accusation with the next ping") {
  Probing node(1);
  node.silence(2);
  node.run_for(600ms);
  node.clear();
  node.tick_for(600ms);
  const auto pings = node.sent<Ping>(node.to(2));
  REQUIRE_FALSE(pings.empty());
  REQUIRE_FALSE(pings.front().updates.empty());
  CHECK(pings.front().updates.front().liveness == Liveness::suspect);
}

TEST_CASE("failure detector: three others are asked to try before anybody is suspected (3.1)") {
  Probing node(6);
  node.silence(2);
  node.run_for(5s);
  std::size_t helpers = 0;
  std::set<std::uint64_t> probes;
  for (const auto& [helper, requests] : node.requests) {
    CHECK(helper != 2);
    for (const PingRequest& request : requests) {
      CHECK(request.target == 2);
      probes.insert(request.sequence);
      ++helpers;
    }
  }
  REQUIRE_FALSE(probes.empty());
  CHECK(helpers == 3 * probes.size());
}

TEST_CASE("failure detector: an answer that a helper heard counts (3.1)") {
  Probing node(4);
  node.silence(2);
  std::size_t relayed = 0;
  for (int tick = 0; tick < 300; ++tick) {
    node.run_for(tick_interval);
    for (auto& [helper, requests] : node.requests) {
      for (const PingRequest& request : requests) {
        node.receive(node.to(helper), Ack{request.sequence, request.target, 0, {}});
        ++relayed;
      }
      requests.clear();
    }
    REQUIRE(node.state_of(2) == MemberState::healthy);
  }
  CHECK(relayed > 0);
}

TEST_CASE("failure detector: a member without a link is probed by the others") {
  Probing node(2);
  node.receive(node.to(2), Members{false, {healthy(member(9))}});
  node.run_for(5s);
  CHECK_FALSE(node.requests[2].empty());
  CHECK(node.requests[2].front().target == 9);
}

TEST_CASE("failure detector: we try for others, and pass the answer on under their number") {
  Probing node(2);
  node.receive(node.to(2), PingRequest{77, 3, {}});
  const auto pings = node.sent<Ping>(node.to(3));
  REQUIRE_FALSE(pings.empty());
  CHECK(node.sent<Ack>(node.to(2)).empty());

  SUBCASE("of the target's answer") {
    node.receive(node.to(3), Ack{pings.back().sequence, 3, 0, {}});
    REQUIRE(node.sent<Ack>(node.to(2)).size() == 1);
    CHECK(node.sent<Ack>(node.to(2)).front().sequence == 77);
    CHECK(node.sent<Ack>(node.to(2)).front().target == 3);
    node.receive(node.to(3), Ack{pings.back().sequence, 3, 0, {}});
    CHECK(node.sent<Ack>(node.to(2)).size() == 1);
  }
  SUBCASE("not of somebody else's") {
    node.receive(node.to(2), Ack{pings.back().sequence, 3, 0, {}});
    CHECK(node.sent<Ack>(node.to(2)).empty());
  }
  SUBCASE("not after the interval is over") {
    node.tick_for(600ms);
    node.receive(node.to(3), Ack{pings.back().sequence, 3, 0, {}});
    CHECK(node.sent<Ack>(node.to(2)).empty());
  }
}

TEST_CASE("failure detector: whom we cannot try is said at once, also when too much is asked") {
  Probing node(2);
  node.receive(node.to(2), PingRequest{77, 99, {}});
  CHECK(node.sent<Nack>(node.to(2)).size() == 1);
  for (std::uint64_t i = 0; i < 5000; ++i)
    node.receive(node.to(2), PingRequest{i, 3, {}});
  CHECK(node.sent<Ping>(node.to(3)).size() <= 1024);
  CHECK(node.sent<Nack>(node.to(2)).size() > 3000);
}

TEST_CASE("failure detector: a ping is answered, unless it is meant for another node") {
  Probing node(1);
  node.receive(node.to(2), Ping{5, 1, 0, {}});
  REQUIRE(node.sent<Ack>().size() == 1);
  CHECK(node.sent<Ack>().front().sequence == 5);
  node.receive(node.to(2), Ping{6, 99, 0, {}});
  CHECK(node.sent<Ack>().size() == 1);
}

TEST_CASE("failure detector: every member is asked in each round, in shuffled order (4.3)") {
  Probing node(5);
  node.run_for(30s);
  REQUIRE(node.asked.size() >= 50);
  // From any moment on, everybody is asked within two rounds less one.
  for (std::size_t begin = 0; begin + 9 <= node.asked.size(); ++begin) {
    const std::set<NodeId> window(node.asked.begin() + static_cast<std::ptrdiff_t>(begin),
                                  node.asked.begin() + static_cast<std::ptrdiff_t>(begin + 9));
    REQUIRE(window.size() == 5);
  }
}

TEST_CASE("failure detector: the dead are asked nothing") {
  Probing node(2);
  node.silence(2);
  node.run_for(10s);
  REQUIRE(node.state_of(2) == MemberState::dead);
  node.asked.clear();
  node.run_for(10s);
  CHECK(std::ranges::count(node.asked, NodeId{2}) == 0);
}

TEST_CASE("failure detector: whose link breaks is the next to be asked") {
  Probing node(8);
  node.run_for(300ms);
  node.input(ConnectionDown{node.to(5)});
  node.run_for(800ms);
  CHECK(node.state_of(5) == MemberState::unhealthy);
}

TEST_CASE("failure detector: a link that flaps does not hide another member's silence") {
  Probing node(3);
  node.silence(4);
  ConnectionId flapping = node.to(2);
  for (std::uint64_t tick = 1; tick <= 150; ++tick) {
    node.input(ConnectionDown{flapping});
    node.run_for(tick_interval);
    flapping = node.link(hello_of(healthy(member(2, 10 + tick))));
  }
  CHECK(node.state_of(4) == MemberState::dead);
}

TEST_CASE("failure detector: what we did not hear while we were stopped is nobody's fault") {
  Probing node(2);
  node.run_for(1s);
  SUBCASE("a probe that was under way") {
    node.silence(2);
    node.silence(3);
    node.run_for(100ms);
    node.stall_for(10s);
    CHECK(node.state_of(2) == MemberState::healthy);
    CHECK(node.state_of(3) == MemberState::healthy);
  }
  SUBCASE("a suspect has its time of our listening") {
    Member suspect = healthy(member(2));
    suspect.liveness = Liveness::suspect;
    node.receive(node.to(3), Members{false, {suspect}});
    node.run_for(100ms);
    node.stall_for(10s);
    CHECK(node.state_of(2) == MemberState::unhealthy);
  }
}

TEST_CASE("failure detector: who sends a large message is alive, though its answers stand behind") {
  Probing node(2);
  node.silence(2);
  SUBCASE("while parts of it come") {
    for (int i = 0; i < 30; ++i) {
      node.run_for(300ms);
      node.input(MessageComing{node.to(2)});
      CHECK(node.state_of(2) == MemberState::healthy);
    }
    // Then it is silent.
    node.run_for(1100ms);
    CHECK(node.state_of(2) == MemberState::unhealthy);
  }
  SUBCASE("also if others suspect it already") {
    Member accused = healthy(member(2));
    accused.liveness = Liveness::suspect;
    node.receive(node.to(3), Members{false, {accused}});
    REQUIRE(node.state_of(2) == MemberState::unhealthy);
    for (int i = 0; i < 5; ++i) {
      node.run_for(1500ms);
      node.input(MessageComing{node.to(2)});
    }
    CHECK(node.state_of(2) == MemberState::unhealthy);
    node.run_for(2300ms);
    CHECK(node.state_of(2) == MemberState::dead);
  }
  SUBCASE("not because another one sends") {
    for (int i = 0; i < 10; ++i) {
      node.run_for(300ms);
      node.input(MessageComing{node.to(3)});
    }
    CHECK(node.state_of(2) == MemberState::dead);
  }
}

TEST_CASE("failure detector: who asked us hears in time that we hear nothing either (IV.A)") {
  Probing node(2);
  node.silence(3);
  node.receive(node.to(2), PingRequest{77, 3, {}});
  node.run_for(100ms);
  CHECK(node.sent<Nack>(node.to(2)).empty());
  node.run_for(100ms);
  REQUIRE(node.sent<Nack>(node.to(2)).size() == 1);
  CHECK(node.sent<Nack>(node.to(2)).front().sequence == 77);
  CHECK(node.sent<Nack>(node.to(2)).front().target == 3);
  node.run_for(100ms);
  CHECK(node.sent<Nack>(node.to(2)).empty());
}

TEST_CASE("failure detector: a node that seems slow itself is more patient (IV.A)") {
  Probing node(2);
  const auto patience = [&node] { return node.time_until(2, MemberState::unhealthy); };
  SUBCASE("it is not, if others hear nothing either") {
    node.silence(2);
    CHECK(patience() == 600ms);
    CHECK(node.time_until(2, MemberState::dead) == 2200ms);
  }
  SUBCASE("if its loop stood still") {
    node.run_for(500ms);
    node.stall_for(300ms);
    node.silence(2);
    node.run_for(300ms);  // The probe that was under way, or the next, is answered or begun anew.
    CHECK(patience() > 600ms);
  }
  SUBCASE("if it was accused") {
    Member accused = node.core().self();
    accused.liveness = Liveness::suspect;
    node.silence(2);
    node.silence(3);
    node.receive(node.to(3), Members{false, {accused}});
    CHECK(patience() >= 1100ms);
  }
}

TEST_CASE("failure detector: who hears nobody at all takes the fault for its own (IV.A)") {
  Probing node(4);
  for (NodeId peer = 2; peer <= 5; ++peer) {
    node.silence(peer);
    node.deafen(peer);
  }
  const auto asked_in = [&node](Duration duration) {
    node.asked.clear();
    node.run_for(duration);
    return node.asked.size();
  };
  node.run_for(2s);
  CHECK(asked_in(5s) <= 2);
  for (NodeId peer = 2; peer <= 5; ++peer) {
    CHECK(node.state_of(peer) != MemberState::dead);
    node.speak(peer);
    node.receive(node.to(peer), Members{false, {healthy(member(peer, 11))}});
  }
  node.run_for(60s);  // It gets over it, answer by answer.
  CHECK(asked_in(5s) == 10);
}

TEST_CASE("failure detector: whom others find silent as well is dead sooner (IV.B)") {
  Probing node(5);
  node.silence(2);
  REQUIRE(node.time_until(2, MemberState::unhealthy) > 0ms);
  const std::uint64_t incarnation = node.core().members().at(2).incarnation;
  const auto says = [&](NodeId peer) { node.receive(node.to(peer), Accuse{2, incarnation}); };
  SUBCASE("nobody") {
    CHECK(node.time_until(2, MemberState::dead) == 8200ms);
  }
  SUBCASE("one") {
    says(3);
    CHECK(node.time_until(2, MemberState::dead) == 4500ms);
  }
  SUBCASE("one, however often") {
    says(3);
    says(3);
    says(3);
    CHECK(node.time_until(2, MemberState::dead) == 4500ms);
  }
  SUBCASE("two") {
    says(3);
    says(4);
    CHECK(node.time_until(2, MemberState::dead) == 2200ms);
  }
  SUBCASE("two, of an earlier incarnation of it") {
    node.receive(node.to(3), Accuse{2, incarnation - 1});
    node.receive(node.to(4), Accuse{2, incarnation - 1});
    CHECK(node.time_until(2, MemberState::dead) == 8200ms);
  }
}

TEST_CASE("failure detector: what a node finds itself it tells the others, but not the accused") {
  Probing node(4);
  node.silence(2);
  node.run_for(20s);
  CHECK(node.accusations[2].empty());
  for (NodeId peer = 3; peer <= 5; ++peer) {
    REQUIRE(node.accusations[peer].size() == 1);
    CHECK(node.accusations[peer].front().node == 2);
    CHECK(node.accusations[peer].front().incarnation == 10);
  }
}

TEST_CASE("failure detector: whom a peer accuses is asked at once, and suspected meanwhile") {
  Probing node(8);
  node.run_for(500ms);
  node.asked.clear();
  node.receive(node.to(3), Accuse{2, 10});
  CHECK(node.state_of(2) == MemberState::unhealthy);
  node.run_for(600ms);
  CHECK(std::ranges::count(node.asked, NodeId{2}) >= 1);
  SUBCASE("not if nobody knows it, or it is ourselves") {
    node.receive(node.to(3), Accuse{99, 10});
    node.receive(node.to(3), Accuse{1, 10});
    CHECK(node.core().members().size() == 9);
    CHECK(node.core().state() == MemberState::healthy);
  }
}

TEST_CASE("failure detector: a far peer has four of its usual round trips to answer") {
  Probing node(2);
  node.silence(2);  // It answers below, later than others do.
  const auto asked_helper_after = [&node] {
    node.requests.clear();
    while (node.sent<Ping>(node.to(2)).empty())
      node.run_for(tick_interval);
    for (Duration passed{0}; passed < 500ms; passed += tick_interval) {
      if (!node.requests[3].empty()) return passed;
      node.run_for(tick_interval);
    }
    return Duration{-1};
  };
  CHECK(asked_helper_after() == 200ms);
  for (int i = 0; i < 40; ++i) {
    while (node.sent<Ping>(node.to(2)).empty())
      node.run_for(tick_interval);
    const Ping ping = node.sent<Ping>(node.to(2)).back();
    node.run_for(tick_interval);
    node.receive(node.to(2), Ack{ping.sequence, 2, 0, {healthy(member(2, 100))}});
  }
  CHECK(asked_helper_after() ==
        300ms);  // Half an interval is the limit, and ticks are 100 ms apart.
}
