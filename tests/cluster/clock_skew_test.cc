#include "cluster/clock_skew.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

namespace dhrt::test {
namespace {

constexpr WallMilliseconds noon = 1'700'000'000'000;
constexpr std::int64_t hour = 3'600'000;
constexpr NodeId self = 1;

WallMilliseconds shifted(WallMilliseconds wall, std::int64_t milliseconds) {
  return static_cast<WallMilliseconds>(static_cast<std::int64_t>(wall) + milliseconds);
}

// The clock of node 1, and what it hears of others. Time stands still unless it is moved.
struct Clocks {
  ClusterOptions options;
  Membership membership{member(self)};
  Random random{1};
  Time now{Duration{123'456}};
  std::int64_t own = 0;  // How far our wall clock is ahead of the true time.
  Actions actions;
  ClockSkew skew{options, membership};

  void tick() { skew.tick(shifted(noon + elapsed(), own), {now, random, actions}); }
  WallMilliseconds elapsed() const {
    return static_cast<WallMilliseconds>(now.since_start.count() - 123'456);
  }
  void pass(Duration duration) { now = now + duration; }
  // The clock of a node is so far ahead of the true time, as told by an answer that took so long
  // (half of it each way).
  void hears(NodeId node, std::int64_t ahead, Duration round_trip = 2ms, bool fenced = false) {
    membership.apply(healthy(member(node)));
    const auto when = static_cast<std::int64_t>(elapsed()) - round_trip.count() / 2;
    skew.heard(node, {shifted(noon, when + ahead), fenced}, round_trip, now);
  }
  void all_show(const std::vector<std::int64_t>& ahead) {
    NodeId node = self;
    for (const std::int64_t one : ahead)
      hears(++node, one);
    tick();
  }
  std::vector<std::string> told() {
    std::vector<std::string> lines;
    for (const Action& action : actions) {
      if (const auto* log = std::get_if<Log>(&action)) lines.push_back(log->text);
    }
    actions.clear();
    return lines;
  }
};

TEST_CASE("clocks: the middle one of all, ours among them, is the nearer one if there are two") {
  const auto middle = [](const std::vector<int>& others) {
    std::vector<Duration> ahead;
    for (const int one : others)
      ahead.emplace_back(one);
    return middle_clock(ahead).count();
  };
  CHECK(middle({}) == 0);
  CHECK(middle({9}) == 0);
  CHECK(middle({9, 10}) == 9);
  CHECK(middle({-10, -9}) == -9);
  CHECK(middle({-9, 10}) == 0);
  CHECK(middle({1, 8, 9}) == 1);
  CHECK(middle({-3, 8, 9}) == 0);
  CHECK(middle({1, 7, 8, 9}) == 7);
}

TEST_CASE("clocks: who is off a majority of three and more is fenced") {
  struct Case {
    const char* what;
    std::vector<std::int64_t> others;
    bool fenced;
    bool apart;
  };
  const std::vector<Case> cases{
      {"alone", {}, false, false},
      {"two that agree", {400}, false, false},
      {"two: nobody can tell", {hour}, false, true},
      {"three: both others are ahead", {hour, hour + 30}, true, false},
      {"three: both others are behind", {-hour, -600}, true, false},
      {"three: ours is in the middle", {hour, -hour}, false, true},
      {"three: one of the others is off", {hour, 20}, false, false},
      {"three: just within the limit", {490, 480}, false, false},
      {"three: just beyond it", {520, 510}, true, false},
      {"four: two of them are no majority", {hour, hour, 0}, false, true},
      {"four: three of them are", {hour, hour, hour}, true, false},
      {"five: three of them are", {hour, hour, hour, 0}, true, false},
      {"five: on two sides they are none", {hour, hour, -hour, 0}, false, true},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    Clocks clocks;
    clocks.all_show(one.others);
    CHECK(clocks.skew.fenced() == one.fenced);
    CHECK(clocks.skew.apart() == one.apart);
    CHECK(clocks.told().size() == (one.fenced || one.apart ? 1 : 0));
  }
}

TEST_CASE("clocks: whatever they show, one node at least goes on taking writes") {
  Random random(7);
  for (int round = 0; round < 500; ++round) {
    std::vector<std::int64_t> shows;
    for (std::uint64_t i = random.between(3, 9); i > 0; --i)
      shows.push_back(static_cast<std::int64_t>(random.below(4000)) - 2000);
    bool someone_writes = false;
    for (std::size_t i = 0; i < shows.size(); ++i) {
      Clocks clocks;
      clocks.own = shows[i];
      std::vector<std::int64_t> others = shows;
      others.erase(others.begin() + static_cast<std::ptrdiff_t>(i));
      clocks.all_show(others);
      someone_writes = someone_writes || !clocks.skew.fenced();
    }
    CHECK(someone_writes);
  }
}

TEST_CASE("clocks: when our own is set that is noticed at once, and when it is set right, too") {
  Clocks clocks;
  clocks.all_show({10, -10});
  CHECK_FALSE(clocks.skew.fenced());
  CHECK(clocks.skew.offset() == 0ms);
  for (const std::int64_t set : {hour, -hour}) {
    clocks.own = set;
    clocks.pass(50ms);
    clocks.tick();  // Nobody has said anything since.
    CHECK(clocks.skew.fenced());
    CHECK(std::abs(clocks.skew.offset().count() - set) <= 10);
    CHECK(clocks.told().size() == 1);
    clocks.own = 0;
    clocks.pass(50ms);
    clocks.tick();
    CHECK_FALSE(clocks.skew.fenced());
    CHECK(clocks.told().size() == 1);
  }
}

TEST_CASE("clocks: who is fenced is free again well within the limit, not just below it") {
  Clocks clocks;
  clocks.all_show({520, 530});
  CHECK(clocks.skew.fenced());
  clocks.told();
  for (const std::int64_t ahead : {499, 490, 450, 400}) {
    clocks.all_show({ahead, ahead});
    CHECK(clocks.skew.fenced());
  }
  CHECK(clocks.told().empty());
  clocks.all_show({370, 370});
  CHECK_FALSE(clocks.skew.fenced());
  CHECK(clocks.told().size() == 1);
  clocks.all_show({490, 490});
  CHECK_FALSE(clocks.skew.fenced());
}

TEST_CASE("clocks: the limit is the option's") {
  Clocks clocks;
  clocks.options.max_clock_offset = 5s;
  clocks.all_show({4900, 4900});
  CHECK_FALSE(clocks.skew.fenced());
  clocks.all_show({5100, 5100});
  CHECK(clocks.skew.fenced());
  const std::string told = clocks.told().at(0);
  CHECK(told.find("5100 ms behind") != std::string::npos);
  CHECK(told.find("5000 ms (--max-clock-offset)") != std::string::npos);
  CHECK(clock_skew_explanation(9ms, 5ms).find(
            "CLOCK_SKEW the clock of this node is 9 ms ahead of") == 0);
}

TEST_CASE(
    "clocks: a slow answer says little, and nobody is fenced because of what it does not say") {
  Clocks clocks;
  clocks.hears(2, 700, 600ms);
  clocks.hears(3, 700, 600ms);
  clocks.tick();
  CHECK_MESSAGE(!clocks.skew.fenced(), "it is between 400 and 1000 ms");
  clocks.hears(2, 900, 600ms);
  clocks.hears(3, 900, 600ms);
  clocks.tick();
  CHECK_MESSAGE(clocks.skew.fenced(), "it is 600 ms at least");
}

TEST_CASE("clocks: those of two nodes that differ are told once, and told to agree again") {
  Clocks clocks;
  for (int i = 0; i < 5; ++i)
    clocks.all_show({-hour});
  const auto told = clocks.told();
  REQUIRE(told.size() == 1);
  CHECK(told[0].find("3600000 ms") != std::string::npos);
  CHECK(told[0].find("n2") != std::string::npos);
  CHECK(clocks.skew.offset() == Duration{hour});
  clocks.all_show({450});
  CHECK_MESSAGE(clocks.skew.apart(), "not well within the limit");
  clocks.all_show({10});
  CHECK_FALSE(clocks.skew.apart());
  CHECK(clocks.told().size() == 1);
}

TEST_CASE("clocks: what was heard long ago, of strangers and of those that left does not count") {
  Clocks clocks;
  clocks.all_show({hour, hour});
  CHECK(clocks.skew.fenced());
  clocks.pass(clocks.options.clock_age_max);
  clocks.tick();
  CHECK_MESSAGE(clocks.skew.fenced(), "a round of probes takes time, too");
  clocks.pass(clocks.options.probe_interval * 3 + 1ms);
  clocks.tick();
  CHECK_FALSE(clocks.skew.fenced());
  CHECK(clocks.skew.peers().empty());

  clocks.all_show({hour, hour});
  clocks.membership.mark_left(2, 10);
  clocks.tick();
  CHECK_FALSE(clocks.skew.fenced());
  CHECK(clocks.skew.peers().size() == 1);
  clocks.skew.heard(99, {noon, false}, 2ms, clocks.now);
  CHECK(clocks.skew.peers().size() == 1);
  clocks.hears(2, hour);  // An answer that was under way when it left.
  clocks.tick();
  CHECK(clocks.skew.peers().size() == 1);
}

TEST_CASE("clocks: a peer that shows nonsense, or nothing, is not listened to") {
  Clocks clocks;
  clocks.all_show({0, 0});
  for (const WallMilliseconds wall :
       {WallMilliseconds{0}, WallMilliseconds{1} << 48, ~WallMilliseconds{0}})
    clocks.skew.heard(2, {wall, false}, 2ms, clocks.now);
  clocks.tick();
  CHECK(clocks.skew.peers().at(2).ahead == 0ms);
  CHECK_FALSE(clocks.skew.fenced());
}

TEST_CASE("clocks: without a clock of its own a node concludes nothing and tells nothing") {
  Clocks clocks;
  clocks.hears(2, hour);
  clocks.hears(3, hour);
  clocks.skew.tick(0, {clocks.now, clocks.random, clocks.actions});
  CHECK_FALSE(clocks.skew.fenced());
  CHECK(clocks.skew.reading(clocks.now) == ClockReading{});
  CHECK(clocks.skew.peers().empty());
}

TEST_CASE("clocks: what is told to others goes on between two ticks, and says if we are fenced") {
  Clocks clocks;
  clocks.tick();
  clocks.pass(70ms);
  CHECK(clocks.skew.reading(clocks.now) == ClockReading{noon + 70, false});
  clocks.all_show({hour, hour});
  CHECK(clocks.skew.reading(clocks.now) == ClockReading{noon + 70, true});
  clocks.hears(2, hour, 2ms, true);
  CHECK(clocks.skew.peers().at(2).fenced);
  CHECK_FALSE(clocks.skew.peers().at(3).fenced);
}

// --- The core: readings travel with the answers to probes.

TEST_CASE(
    "core: an answer to a probe says what the clock shows, and a node of an earlier version none") {
  Scripted node;
  const ConnectionId two = node.link(2);
  node.input(Tick{noon});
  node.clear();
  node.receive(two, Ping{.sequence = 5, .target = 1});
  const auto acks = node.sent<Ack>(two);
  REQUIRE(acks.size() == 1);
  CHECK(acks[0].clock == ClockReading{noon, false});

  Scripted clockless;
  const ConnectionId other = clockless.link(2);
  clockless.receive(other, Ping{.sequence = 5, .target = 1});
  CHECK(clockless.sent<Ack>(other).at(0).clock == ClockReading{});
}

TEST_CASE(
    "core: a node among two whose clocks are an hour ahead of its own is fenced by their answers") {
  Scripted node;
  const std::map<NodeId, ConnectionId> links{{2, node.link(2)}, {3, node.link(3)}};
  const auto live_for = [&](Duration duration, std::int64_t ahead, bool says) {
    for (Duration passed{0}; passed < duration; passed += tick_interval) {
      node.tick_for(tick_interval);
      const auto now = static_cast<WallMilliseconds>(node.now().since_start.count());
      node.input(Tick{noon + now});
      for (const auto& [peer, connection] : links) {
        for (const Ping& ping : node.sent<Ping>(connection))
          node.receive(connection, Ack{.sequence = ping.sequence,
                                       .target = peer,
                                       .clock = {says ? shifted(noon + now, ahead) : 0, false}});
      }
      node.clear();
    }
  };
  live_for(5s, hour, false);
  CHECK_MESSAGE(node.core().clocks().peers().empty(), "they say nothing of their clocks");
  CHECK_FALSE(node.core().clocks().fenced());
  live_for(5s, 0, true);
  CHECK(node.core().clocks().peers().size() == 2);
  CHECK_FALSE(node.core().clocks().fenced());
  live_for(5s, hour, true);
  CHECK(node.core().clocks().fenced());
  live_for(5s, 0, true);
  CHECK_FALSE(node.core().clocks().fenced());
}

}  // namespace
}  // namespace dhrt::test
