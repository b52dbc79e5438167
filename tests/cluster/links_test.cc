// Whom a node calls, how two nodes greet, and which connection becomes the link.
#include "cluster/links.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

constexpr ClusterId lower_cluster{0, 5};
constexpr ClusterId higher_cluster{9, 0};

std::size_t count(const std::vector<std::string>& addresses, const std::string& address) {
  return static_cast<std::size_t>(std::ranges::count(addresses, address));
}

void write_something(Scripted& node) {
  node.input(LocalWrites{users, batch_with({record("k", dot(node.core().self().id, 1))}), {}});
}

// The answer to a greeting.
HelloStatus answer(Scripted& node, const Hello& hello) {
  const ConnectionId id = node.called();
  node.receive(id, hello);
  const auto acks = node.sent<HelloAck>(id);
  REQUIRE(acks.size() == 1);
  return acks.front().status;
}

bool one_cluster(Wired& nodes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (nodes[i].belonging() != nodes[0].belonging() || nodes[i].linked_count() + 1 != count)
      return false;
  }
  return true;
}

}  // namespace

TEST_CASE("links: a founder is a healthy cluster of its own") {
  Scripted founder(1);
  founder.tick_for(1s);
  CHECK(founder.core().belongs());
  CHECK(founder.core().state() == MemberState::healthy);
  CHECK(founder.dialled().empty());
}

TEST_CASE("links: a joiner founds nothing; it takes the founder's cluster and becomes healthy") {
  Pair pair;
  CHECK_FALSE(pair[1].belongs());
  pair.tick_for(2s);
  CHECK(pair[1].belonging().id == our_cluster);
  CHECK(pair[1].state() == MemberState::healthy);
  CHECK(pair[0].members().at(2).liveness == Liveness::alive);
}

TEST_CASE("links: two nodes keep one control and one bulk connection") {
  Pair pair;
  pair.tick_for(60s);
  CHECK(pair.wires() == 2);
  CHECK(pair.dials() == 2);
}

TEST_CASE("links: provisional clusters become the one with the lowest id, whoever calls") {
  for (const bool lower_calls : {true, false}) {
    CAPTURE(lower_calls);
    Pair pair(founder(1, higher_cluster,
                      lower_calls ? std::vector<std::string>{} : std::vector<std::string>{"h2:1"}),
              founder(2, lower_cluster,
                      lower_calls ? std::vector<std::string>{"h1:1"} : std::vector<std::string>{}));
    pair.tick_for(2s);
    CHECK(pair[0].belonging().id == lower_cluster);
    CHECK(pair[1].belonging().id == lower_cluster);
  }
}

TEST_CASE("links: an address that is found later is joined by, too") {
  Pair pair(founder(1, higher_cluster, {}), founder(2, lower_cluster, {}));
  pair.tick_for(5s);
  CHECK(pair[0].belonging().id == higher_cluster);
  pair.input(0, SeedFound{"h2:1"});
  pair.tick_for(2s);
  CHECK(pair[0].belonging().id == lower_cluster);
}

TEST_CASE("links: of addresses that are found the first ones are called") {
  Scripted node(1);
  for (std::size_t i = 0; i < 3 * Links::seeds_found_max; ++i) {
    for (int repeat = 0; repeat < 2; ++repeat)
      node.input(SeedFound{"found" + std::to_string(i) + ":1"});
  }
  node.tick_for(100ms);
  const std::vector<std::string> dialled = node.dialled();
  CHECK(dialled.size() == Links::seeds_found_max);
  CHECK(count(dialled, "found0:1") == 1);
}

TEST_CASE("links: three fresh nodes that call each other in a ring at once are one cluster") {
  // Each answers before its own call is answered, so that no two reckon from the same values.
  for (const auto& ring : {std::array<NodeId, 3>{1, 2, 3}, std::array<NodeId, 3>{3, 2, 1}}) {
    std::vector<CoreOptions> options;
    for (std::size_t i = 0; i < 3; ++i) {
      const std::string next = "h" + std::to_string((i + 1) % 3 + 1) + ":1";
      options.push_back(founder(i + 1, {ring[i], 0}, {next}));
    }
    Wired nodes(std::move(options));
    nodes.tick_for(5s);
    CHECK(nodes[0].belonging().id == ClusterId{1, 0});
    CHECK(one_cluster(nodes, 3));
  }
}

TEST_CASE("links: an established cluster gives way to no lower id") {
  Scripted node(core_options(1, higher_cluster));
  write_something(node);
  node.link(hello_of(member(2), {lower_cluster, true}));
  CHECK(node.core().belonging() == Belonging{higher_cluster, false});
}

TEST_CASE("links: the peers hear of the first write's cluster before the write") {
  Scripted node(1);
  const ConnectionId link = node.link(hello_of(member(2), {our_cluster, true}));
  node.clear();
  write_something(node);
  std::vector<MessageType> order;
  for (const Send& send : node.actions<Send>()) {
    CHECK(std::ranges::count(send.connections, link) == 1);
    order.push_back(type_of(*send.message));
  }
  CHECK(order == std::vector{MessageType::welcome, MessageType::write});
  CHECK(node.sent<Welcome>().front().belonging == Belonging{our_cluster, false});
}

TEST_CASE("links: a peer that goes over to another established cluster is cut off") {
  Scripted node(1);
  const ConnectionId link = node.link(2);
  write_something(node);
  node.receive(link, Welcome{{lower_cluster, false}, {}});
  CHECK(node.closed(link));
  CHECK(node.core().belonging().id == our_cluster);
}

TEST_CASE("links: a peer that has not heard of our cluster is told") {
  Scripted node(core_options(1, lower_cluster));
  const ConnectionId link = node.link(hello_of(member(2), {lower_cluster, true}));
  node.clear();
  node.receive(link, Welcome{{higher_cluster, true}, {}});
  REQUIRE(node.sent<Welcome>(link).size() == 1);
  CHECK(node.sent<Welcome>(link).front().belonging.id == lower_cluster);
}

TEST_CASE("links: a greeting is refused with its reason") {
  struct Case {
    const char* why;
    Hello hello;
    HelloStatus status;
  };
  Hello old_protocol = hello_of(member(3));
  old_protocol.member.protocol_max = 0;
  Hello other_process = hello_of(member(2));
  other_process.start_nonce = 7;
  Hello earlier_start = hello_of(member(2));
  earlier_start.member.epoch = 0;
  for (const Case& c : {
           Case{"two established clusters never merge", hello_of(member(3), {lower_cluster, false}),
                HelloStatus::foreign_cluster},
           Case{"the caller is ourselves", hello_of(member(1)), HelloStatus::same_node},
           Case{"nobody", hello_of(member(0)), HelloStatus::same_node},
           Case{"a second process of one start: a copied directory", other_process,
                HelloStatus::duplicate_node},
           Case{"an earlier start than the one we met", earlier_start, HelloStatus::duplicate_node},
           Case{"no protocol in common", old_protocol, HelloStatus::protocol_version},
           Case{"an incarnation that nobody could answer", hello_of(member(3, ~std::uint64_t{0})),
                HelloStatus::not_accepting},
       }) {
    CAPTURE(c.why);
    Scripted node(1);
    write_something(node);
    node.link(2);
    CHECK(answer(node, c.hello) == c.status);
    CHECK(node.core().members().size() == 2);
  }
}

TEST_CASE("links: two nodes without a cluster have nothing to offer each other") {
  Scripted node(joiner(1, {}));
  CHECK(answer(node, hello_of(member(2), {})) == HelloStatus::no_cluster);
}

TEST_CASE("links: whoever was refused and goes on asking is cut off") {
  Scripted node(1);
  const ConnectionId id = node.called();
  node.receive(id, hello_of(member(1)));
  CHECK_FALSE(node.closed(id));
  node.receive(id, hello_of(member(1)));
  CHECK(node.closed(id));
}

TEST_CASE("links: whoever answers our call has to be acceptable to us too") {
  Scripted node(founder(1, our_cluster, {"h3:1"}));
  write_something(node);
  node.link(2);
  node.tick_for(tick_interval);
  struct Case {
    const char* why;
    Hello hello;
  };
  Hello copy = hello_of(member(2));
  copy.start_nonce = 7;
  for (const Case& c : {Case{"a copy of a node that we know", copy},
                        Case{"another cluster", hello_of(member(3), {lower_cluster, false})},
                        Case{"nobody", Hello{}}}) {
    CAPTURE(c.why);
    const ConnectionId id = node.reached("h3:1");
    node.receive(id, HelloAck{.hello = c.hello});
    CHECK(node.closed(id));
    CHECK_FALSE(node.core().greeted(id));
  }
}

TEST_CASE("links: whoever greets is alive, whatever its greeting says") {
  for (const Liveness liveness :
       {Liveness::suspect, Liveness::dead, Liveness::left, Liveness::evicted}) {
    Scripted node(1);
    Member peer = healthy(member(2));
    peer.liveness = liveness;
    node.link(hello_of(peer));
    CHECK(node.state_of(2) == MemberState::healthy);
  }
}

TEST_CASE("links: strangers cannot fill the table, not even by leaving again") {
  Scripted node(1);
  for (NodeId id = 2; id < 1000; ++id) {
    const ConnectionId link = node.called();
    node.receive(link, hello_of(member(id)));
    if (node.core().greeted(link)) node.receive(link, Leave{id, 10});
    node.input(ConnectionDown{link});
  }
  CHECK(node.core().members().size() <= 2 * ClusterOptions{}.members_max);
}

TEST_CASE("links: a seed that turns out to be ourselves is not called again, unless it is a name") {
  std::string seed;
  SUBCASE("a number is ours alone") {
    seed = "10.0.0.1:1";
  }
  SUBCASE("of any family") {
    seed = "[fd00::1]:1";
  }
  SUBCASE("a name may be others' as well") {
    seed = "name:1";
  }
  Scripted node(founder(1, our_cluster, {seed}));
  node.tick_for(tick_interval);
  REQUIRE(node.dialled() == std::vector<std::string>{seed});
  const ConnectionId out = node.reached(seed);
  const ConnectionId in = node.called();
  node.receive(in, node.sent<Hello>(out).front());
  node.receive(out, node.sent<HelloAck>(in).front());
  CHECK(node.closed(out));
  node.input(ConnectionDown{out});
  node.clear();
  node.tick_for(60s);
  CHECK(node.dialled().empty() == (seed != "name:1"));
}

TEST_CASE("links: who finds nobody to join may found a cluster, which gives way like any other") {
  Pair pair(joiner(1, {"h2:1"}), joiner(2, {"h1:1"}));
  pair.tick_for(5s);
  REQUIRE_FALSE(pair[0].belongs());
  const ClusterId lower{1, 1};
  const ClusterId higher{2, 2};
  SUBCASE("one of them") {
    pair.input(0, FoundRequested{higher});
    CHECK(pair[0].belonging() == Belonging{higher, true});
    CHECK(pair[0].state() == MemberState::healthy);
    pair.tick_for(60s);
    CHECK(pair[1].belonging() == Belonging{higher, true});
  }
  SUBCASE("both at once") {
    pair.input(0, FoundRequested{higher});
    pair.input(1, FoundRequested{lower});
    pair.tick_for(60s);
    CHECK(pair[0].belonging() == Belonging{lower, true});
    CHECK(pair[1].belonging() == Belonging{lower, true});
  }
  SUBCASE("not who belongs to one already") {
    pair.input(0, FoundRequested{lower});
    pair.input(0, FoundRequested{higher});
    CHECK(pair[0].belonging().id == lower);
    pair.tick_for(60s);
  }
  CHECK(pair[0].state() == MemberState::healthy);
  CHECK(pair[1].state() == MemberState::healthy);
}

TEST_CASE("links: the own address is learnt from the first connection") {
  CoreOptions options = founder(1, our_cluster);
  options.self.address.clear();
  options.identity.bind_port = "7";
  struct Case {
    const char* host;
    const char* address;
  };
  for (const Case& c : {Case{"10.0.0.1", "10.0.0.1:7"}, Case{"fe80::1", "[fe80::1]:7"}}) {
    Scripted node(options);
    node.input(ConnectionUp{.connection = 1, .local_host = c.host});
    CHECK(node.core().self().address == c.address);
  }
}

TEST_CASE("links: calls that cross leave the lower id's connection, on both sides") {
  for (const NodeId us : {NodeId{1}, NodeId{3}}) {
    for (const bool answered_first : {true, false}) {
      CAPTURE(us);
      CAPTURE(answered_first);
      Scripted node(core_options(us));
      const ConnectionId ours = node.reached("h2:1");
      const ConnectionId theirs = node.called();
      const Hello hello = hello_of(member(2), {our_cluster, true});
      const auto greet = [&](bool by_them) {
        if (by_them)
          node.receive(theirs, hello);
        else
          node.receive(ours, HelloAck{.hello = hello});
      };
      greet(answered_first);
      greet(!answered_first);
      const bool ours_stays = us < 2;
      CHECK(node.closed(theirs) == ours_stays);
      CHECK(node.closed(ours) == !ours_stays);
    }
  }
}

TEST_CASE("links: a peer that started anew takes its link over") {
  Scripted node(1);
  const ConnectionId ours = node.reached("h2:1");
  node.receive(ours, HelloAck{.hello = hello_of(member(2))});
  Member restarted = member(2, 11);
  restarted.epoch = 2;
  Hello hello = hello_of(restarted);
  hello.start_nonce = 7;
  const ConnectionId theirs = node.link(hello);
  CHECK(node.closed(ours));
  CHECK_FALSE(node.closed(theirs));
}

TEST_CASE("links: the lower id calls first, the higher one after a while") {
  const auto calls_within = [](NodeId us, Duration duration) {
    CoreOptions options = core_options(us);
    options.known = {member(2)};
    Scripted node(std::move(options));
    node.tick_for(duration);
    return count(node.dialled(), "h2:1");
  };
  CHECK(calls_within(1, tick_interval) == 1);
  CHECK(calls_within(3, 1s) == 0);
  CHECK(calls_within(3, 1200ms) == 1);
}

TEST_CASE("links: only members that may answer are called") {
  struct Case {
    const char* why;
    Member member;
    bool called;
  };
  Member dead = member(2), gone = member(2), hidden = member(2);
  dead.liveness = Liveness::dead;
  gone.liveness = Liveness::left;
  hidden.address.clear();
  for (const Case& c :
       {Case{"the dead, for ever: that heals a partition", dead, true},
        Case{"not who said goodbye", gone, false}, Case{"not without an address", hidden, false}}) {
    CAPTURE(c.why);
    CoreOptions options = core_options(1);
    options.known = {c.member};
    Scripted node(std::move(options));
    node.tick_for(1s);
    CHECK(node.dialled().empty() != c.called);
  }
}

TEST_CASE("links: silence is called ever more slowly, but for ever") {
  CoreOptions options = core_options(1);
  options.known = {member(2)};
  Scripted node(std::move(options));
  std::vector<std::size_t> calls_per_minute;
  for (int minute = 0; minute < 10; ++minute) {
    node.clear();
    std::size_t calls = 0;
    for (int tick = 0; tick < 600; ++tick) {
      node.clear();
      node.tick_for(tick_interval);
      for (std::size_t i = node.dialled().size(); i > 0; --i, ++calls)
        node.input(ConnectFailed{"h2:1", LinkClass::control, "refused"});
    }
    calls_per_minute.push_back(calls);
  }
  CHECK(calls_per_minute.front() <= 10);
  CHECK(calls_per_minute.front() > calls_per_minute.back());
  CHECK(calls_per_minute.back() >= 2);
  CHECK(calls_per_minute.back() <= 4);
}

TEST_CASE("links: a link that breaks at once is not a reason to call at once") {
  CoreOptions options = core_options(1);
  options.known = {member(2)};
  Scripted node(std::move(options));
  std::size_t calls = 0;
  for (int tick = 0; tick < 3000; ++tick) {
    node.clear();
    node.tick_for(tick_interval);
    if (count(node.dialled(), "h2:1") == 0) continue;
    ++calls;
    const ConnectionId id = node.reached("h2:1");
    node.receive(id, HelloAck{.hello = hello_of(member(2))});
    node.input(ConnectionDown{id});
  }
  CHECK(calls <= 25);  // In five minutes.
}

TEST_CASE("links: two names of one node are not called in turn") {
  // Most members are away, so that the seeds are asked; both lead to the same one.
  CoreOptions options = founder(1, our_cluster, {"name:1", "alias:1"});
  options.known = {member(5), member(6), member(7), member(8)};
  Scripted node(std::move(options));
  ConnectionId last = 0;
  std::size_t calls = 0;
  for (int tick = 0; tick < 600; ++tick) {
    node.clear();
    node.tick_for(tick_interval);
    for (const std::string& address : node.dialled()) {
      if (address.starts_with("h")) continue;
      ++calls;
      const ConnectionId id = node.reached(address);
      node.receive(id, HelloAck{.hello = hello_of(member(2))});
      if (last != 0) node.input(ConnectionDown{last});
      last = id;
    }
  }
  CHECK(calls <= 2);
}

TEST_CASE("links: a member that moves all the time does not make us call without bound") {
  Scripted node(1);
  const ConnectionId link = node.link(2);
  std::size_t calls = 0;
  for (std::uint64_t i = 0; i < 5000; ++i) {
    Member moving = member(3, 10 + i);
    moving.address = "moved" + std::to_string(i) + ":1";
    node.receive(link, Members{false, {moving}});
    node.clear();
    node.tick_for(tick_interval);
    calls += node.dialled().size();
  }
  CHECK(calls <= 8 * ClusterOptions{}.members_max);  // None of them is over yet.
}

TEST_CASE("links: a leaving node calls nobody and lets nobody in") {
  CoreOptions options = core_options(1);
  options.known = {member(3)};
  Scripted node(std::move(options));
  const ConnectionId link = node.link(2);
  node.input(LocalWrites{users, batch_with({record("k", dot(1, 1))}), {}});
  node.input(LeaveRequested{});
  node.clear();
  node.tick_for(500ms);
  CHECK(node.dialled().empty());
  CHECK(answer(node, hello_of(member(4))) == HelloStatus::not_accepting);
  CHECK_FALSE(node.closed(link));
}
