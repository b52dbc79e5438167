// The core as a whole: broadcast, acknowledgement, leaving, and what peers can do to it.
#include "cluster/core.h"

#include <set>
#include <utility>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

LocalWrites writes(std::uint64_t first, std::uint64_t last) {
  std::vector<KeyedRecord> made;
  for (std::uint64_t sequence = first; sequence <= last; ++sequence)
    made.push_back(record("k" + std::to_string(sequence), dot(1, sequence)));
  return {users, batch_with(made), {}};
}

WriteAck has(std::uint64_t sequence, Origin origin = {1, 1, 0}) {
  return {{{users, 0, origin, sequence}}};
}

bool left(const Scripted& node) {
  return !node.actions<Left>().empty();
}

// One message of every type, as a decoder makes it from a payload of zeros.
template <std::size_t... index>
std::vector<Message> empty_messages(std::index_sequence<index...>) {
  return {Message(std::in_place_index<index>)...};
}
std::vector<Message> empty_messages() {
  return empty_messages(std::make_index_sequence<std::variant_size_v<Message>>());
}

}  // namespace

TEST_CASE("core: a write goes to every linked peer in one message") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  const ConnectionId three = node.link(3);
  node.clear();
  const LocalWrites made = writes(1, 3);
  node.input(made);
  for (const ConnectionId peer : {two, three}) {
    REQUIRE(node.sent<Write>(peer).size() == 1);
    CHECK(node.sent<Write>(peer).front().records == made.records);  // The same bytes.
  }
  CHECK(node.sent<Write>().size() == 1);  // Encoded once for both.
}

TEST_CASE("core: who catches up tells how far it is, until it has") {
  Scripted node;
  const ConnectionId two = node.link(2);
  CHECK(node.core().catching_up().empty());
  const CatchUp half{.records = 5, .records_expected = 10};
  node.receive(two, Ping{.sequence = 1, .target = 1, .catch_up = half});
  CHECK(node.core().catching_up().at(2) == half);
  const CatchUp more{.records = 6, .records_expected = 10};
  node.receive(two, Ack{.sequence = 9, .target = 2, .catch_up = more});
  CHECK(node.core().catching_up().at(2) == more);
  SUBCASE("and says nothing any more") {
    node.receive(two, Ping{.sequence = 2, .target = 1});
  }
  SUBCASE("or is gone") {
    node.input(ConnectionDown{two});
  }
  CHECK(node.core().catching_up().empty());
}

TEST_CASE("core: the dead get no writes, suspects do") {
  struct Case {
    Liveness liveness;
    std::size_t messages;
  };
  for (const Case& c : {Case{Liveness::suspect, 1}, Case{Liveness::dead, 0}}) {
    Scripted node(1);
    const ConnectionId two = node.link(2);
    Member accused = healthy(member(2));
    accused.liveness = c.liveness;
    node.receive(two, Members{false, {accused}});
    node.input(writes(1, 1));
    CHECK(node.sent<Write>(two).size() == c.messages);
  }
}

TEST_CASE("core: what a client says is told once to every peer that is not dead") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  const ConnectionId three = node.link(3);
  node.clear();
  node.input(LocalPublish{{.channel = "news", .payload = "a"}});
  for (const ConnectionId peer : {two, three}) {
    REQUIRE(node.sent<Publish>(peer).size() == 1);
    CHECK(node.sent<Publish>(peer).front().channel == "news");
    CHECK(node.sent<Publish>(peer).front().payload == "a");
  }
  CHECK(node.sent<Publish>().size() == 1);
  CHECK_MESSAGE(node.actions<Published>().empty(), "its own listeners have heard it");
}

TEST_CASE("core: what a peer's client said is for those who listen here, and goes no further") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  node.link(3);
  node.clear();
  node.receive(two, Publish{.channel = "news", .payload = "a"});
  REQUIRE(node.actions<Published>().size() == 1);
  CHECK(node.actions<Published>().front().said.channel == "news");
  CHECK(node.actions<Published>().front().said.payload == "a");
  CHECK(node.sent<Publish>().empty());
}

TEST_CASE("core: a flush without records is told too") {
  Scripted node(1);
  node.link(2);
  node.input(LocalWrites{users, {}, dots(1, 1, 5)});
  REQUIRE(node.sent<Write>().size() == 1);
  CHECK(node.sent<Write>().front().flushed == dots(1, 1, 5));
}

TEST_CASE("core: a peer hears how far its own writes are durable here, once, without gaps") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  const auto told = [&](const Context& durable) {
    node.clear();
    node.input(StoreChanged{users, durable, {}});
    std::uint64_t sequence = 0;
    for (const WriteAck& ack : node.sent<WriteAck>(two)) {
      for (const WriteAck::Tip& tip : ack.tips)
        sequence = tip.sequence;
    }
    return sequence;
  };
  CHECK(told(dots(2, 1, 5)) == 5);
  CHECK(told(dots(2, 1, 5)) == 0);  // Told already.
  Context gap = dots(2, 1, 6);
  gap.add({2, 1, 0}, {8, 9});
  CHECK(told(gap) == 6);
  CHECK(told(dots(3, 1, 9)) == 0);  // Not its own.
  Context earlier_start;
  earlier_start.add({2, 0, 0}, {1, 4});
  CHECK(told(earlier_start) == 0);  // It waits for none of those.
}

TEST_CASE("core: a peer whose link broke hears it again") {
  Scripted node(1);
  const ConnectionId before = node.link(2);
  node.input(StoreChanged{users, dots(2, 1, 5), {}});
  node.input(ConnectionDown{before});
  const ConnectionId after = node.link(2);
  REQUIRE(node.sent<WriteAck>(after).size() == 1);
  CHECK(node.sent<WriteAck>(after).front().tips.front().sequence == 5);
}

TEST_CASE("core: a leaving node waits for a healthy peer that has its writes") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  node.input(writes(1, 5));
  node.input(LeaveRequested{});
  CHECK_FALSE(left(node));

  SUBCASE("a peer has them all") {
    node.receive(two, has(4));
    node.tick_for(tick_interval);
    CHECK_FALSE(left(node));
    node.receive(two, has(5));
    node.tick_for(tick_interval);
  }
  SUBCASE("the last peer is gone") {
    node.input(ConnectionDown{two});
    node.tick_for(tick_interval);
  }
  SUBCASE("nobody has them when the time is up") {
    Member alive = healthy(member(2));
    for (int i = 0; i < 100 && !left(node); ++i) {
      node.clear();
      node.tick_for(tick_interval);
      for (const Ping& ping : node.sent<Ping>(two))
        node.receive(two, Ack{ping.sequence, 2, 0, {}});
      if (i < 98) CHECK_FALSE(left(node));
    }
  }
  SUBCASE("acknowledgements of other starts and of unknown writes do not count") {
    node.receive(two, has(5, {1, 0, 0}));
    node.receive(two, has(5, {1, 1, 7}));
    node.tick_for(tick_interval);
    CHECK_FALSE(left(node));
    node.receive(two, has(99));
    node.tick_for(tick_interval);
  }
  REQUIRE(left(node));
  CHECK(node.core().state() == MemberState::left);
  // What comes now finds nobody at home.
  node.clear();
  node.tick_for(1s);
  node.receive(two, Ping{1, 1, 0, {}});
  CHECK(node.sent<Ack>().empty());
}

TEST_CASE("core: whoever leaves says so to everybody, and what it persists says so too") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  node.input(LeaveRequested{});
  REQUIRE(left(node));
  REQUIRE(node.sent<Leave>(two).size() == 1);
  CHECK(node.sent<Leave>(two).front().node == 1);
  CHECK(node.actions<Persist>().back().members.front().liveness == Liveness::left);
}

TEST_CASE("core: who leaves is left at once, not dead after a while") {
  Pair pair;
  pair.tick_for(2s);
  pair.input(1, LeaveRequested{});
  pair.tick_for(tick_interval);
  REQUIRE(pair.left(1));
  CHECK(state_of(pair[0].members().at(2)) == MemberState::left);
  pair.tick_for(10s);
  CHECK(state_of(pair[0].members().at(2)) == MemberState::left);
}

TEST_CASE("core: a node that was cut off is dead, and healthy again when it is back") {
  std::vector<CoreOptions> options;
  options.push_back(founder(1, our_cluster));
  options.push_back(joiner(2, {"h1:1"}));
  options.push_back(joiner(3, {"h1:1"}));
  Wired nodes(std::move(options));
  nodes.tick_for(10s);
  for (std::size_t i = 0; i < 3; ++i)
    REQUIRE(nodes[i].state() == MemberState::healthy);
  nodes.unplug(2);
  nodes.tick_for(10s);
  CHECK(state_of(nodes[0].members().at(3)) == MemberState::dead);
  CHECK(state_of(nodes[2].members().at(1)) == MemberState::dead);
  nodes.plug(2);
  nodes.tick_for(60s);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(nodes[i].state() == MemberState::healthy);
    CHECK(nodes[i].linked_count() == 2);
    CHECK(nodes[i].members() == nodes[0].members());
  }
}

TEST_CASE("core: a message before the greeting ends the connection") {
  for (const Message& message : empty_messages()) {
    if (std::holds_alternative<Hello>(message) || std::holds_alternative<HelloAck>(message))
      continue;
    CAPTURE(to_text(type_of(message)));
    Scripted node(1);
    const ConnectionId stranger = node.called();
    node.receive(stranger, message);
    CHECK(node.closed(stranger));
    CHECK(node.actions<ApplyWrite>().empty());
    CHECK(node.actions<ApplyRecords>().empty());
  }
}

TEST_CASE("core: an empty message of any type does no harm") {
  for (const LinkClass link_class : {LinkClass::control, LinkClass::bulk}) {
    for (const Message& message : empty_messages()) {
      CAPTURE(to_text(type_of(message)));
      Scripted node(1);
      const ConnectionId two = node.link(2);
      const ConnectionId bulk = node.link(2, LinkClass::bulk);
      node.input(StoreChanged{users, dots(1, 1, 5), {}});
      node.tick_for(tick_interval);
      for (int i = 0; i < 3; ++i)
        node.receive(link_class == LinkClass::control ? two : bulk, message);
      node.tick_for(400ms);
      CHECK(node.core().state() == MemberState::healthy);
      CHECK(node.state_of(2) == MemberState::healthy);
      CHECK(node.core().members().size() == 2);
      CHECK(node.core().belonging().id == our_cluster);
    }
  }
}

TEST_CASE("core: inputs about connections and tokens that are unknown do no harm") {
  Scripted node(1);
  node.input(ConnectionDown{99});
  node.input(ConnectFailed{"nowhere:1", LinkClass::bulk, "refused"});
  node.input(Applied{99, false});
  node.input(LocalRead{99, {}});
  node.input(Walked{99, true});
  node.input(CollectionGone{users});
  for (const Message& message : empty_messages())
    node.receive(99, message);
  node.tick_for(10s);
  CHECK(node.core().state() == MemberState::healthy);
  CHECK(node.core().members().size() == 1);
}

TEST_CASE("core: rumours about strangers have a limit") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  Members crowd;
  for (NodeId id = 10; id < 5000; ++id)
    crowd.members.push_back(member(id));
  node.receive(two, crowd);
  CHECK(node.core().members().size() <= 2 * ClusterOptions{}.members_max);
}

TEST_CASE("core: a peer's read is answered by what is held here") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  node.receive(two, Read{.request = 7, .collection = "users", .key = "k"});
  const auto reads = node.actions<ReadLocal>();
  REQUIRE(reads.size() == 1);
  const Record held = record("k", dot(1, 1)).record;
  node.input(LocalRead{reads.front().token, held});
  REQUIRE(node.sent<ReadReply>(two).size() == 1);
  CHECK(node.sent<ReadReply>(two).front().request == 7);
  CHECK(node.sent<ReadReply>(two).front().record == held);
  CHECK(node.sent<ReadReply>(two).front().synced);
}

TEST_CASE("core: what the store could not read is not answered as absent") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  node.receive(two, Read{.request = 7, .collection = "users", .key = "k"});
  const auto reads = node.actions<ReadLocal>();
  REQUIRE(reads.size() == 1);
  node.input(LocalRead{.token = reads.front().token, .record = {}, .ok = false});
  REQUIRE(node.sent<ReadReply>(two).size() == 1);
  CHECK_FALSE(node.sent<ReadReply>(two).front().record);
  CHECK_FALSE(node.sent<ReadReply>(two).front().synced);
}

TEST_CASE("core: what changes is told to all and kept for the next start") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  node.clear();
  node.receive(two, Members{false, {member(3)}});
  REQUIRE(node.actions<Persist>().size() == 1);
  CHECK(node.actions<Persist>().front().members.size() == 3);
  REQUIRE(node.sent<Members>(two).size() == 1);
  CHECK(node.sent<Members>(two).front().members == std::vector{member(3)});
  node.clear();
  node.receive(two, Members{false, {member(3)}});
  CHECK(node.actions<Persist>().empty());
  CHECK(node.sent<Members>().empty());
}

TEST_CASE("core: of many peers some are told what changes, and none twice") {
  Scripted node(1);
  const std::size_t told = ClusterOptions().news_fanout;
  for (NodeId peer = 2; peer < told + 12; ++peer)
    node.link(peer);
  node.clear();
  node.receive(1, Members{false, {member(1000)}});
  std::vector<Send> news;
  for (const Send& send : node.actions<Send>()) {
    if (std::holds_alternative<Members>(*send.message)) news.push_back(send);
  }
  REQUIRE(news.size() == 1);
  const std::set<ConnectionId> heard(news[0].connections.begin(), news[0].connections.end());
  CHECK(heard.size() == told);
  CHECK(news[0].connections.size() == told);
  node.clear();
  node.receive(1, Members{false, {member(1001)}});
  const std::vector<Send> more = node.actions<Send>();
  REQUIRE(more.size() == 1);
  CHECK(std::set(more[0].connections.begin(), more[0].connections.end()) != heard);
}

TEST_CASE("core: who was attested once may vouch for itself when it starts alone") {
  CoreOptions options = core_options(1, {});
  options.identity.belonging = {our_cluster, true};
  options.self.epoch = 2;
  Member other = healthy(member(2));
  SUBCASE("at once if all others have left") {
    other.liveness = Liveness::left;
    options.known = {healthy(member(1)), other};
    Scripted node(std::move(options));
    CHECK(node.core().state() == MemberState::syncing);
    node.tick_for(tick_interval);
    CHECK(node.core().state() == MemberState::healthy);
  }
  SUBCASE("after a while if they may come") {
    options.known = {healthy(member(1)), other};
    Scripted node(std::move(options));
    node.tick_for(1s);
    CHECK(node.core().state() == MemberState::syncing);
    node.tick_for(10s);
    CHECK(node.core().state() == MemberState::healthy);
  }
  SUBCASE("never if it had nothing yet") {
    other.liveness = Liveness::left;
    options.known = {member(1), other};
    Scripted node(std::move(options));
    node.tick_for(10s);
    CHECK(node.core().state() == MemberState::joining);
  }
}

TEST_CASE("core: every node logs what the others become, whoever noticed it, and once") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  Member three = member(3);
  const auto says = [&](const Member& told) {
    node.clear();
    node.receive(two, Members{false, {told}});
    std::string lines;
    for (const Log& log : node.actions<Log>())
      lines += log.text + ";";
    return lines;
  };
  Member gone = member(4);
  gone.liveness = Liveness::left;
  CHECK(says(gone).empty());  // Before our time.
  CHECK(says(three).empty());
  CHECK(says(healthy(three)) == "node n3 (h3:1) is healthy;");
  CHECK(says(healthy(three)).empty());
  three = healthy(three);
  three.liveness = Liveness::suspect;
  CHECK(says(three) == "node n3 (h3:1) does not answer: unhealthy;");
  CHECK(says(healthy(member(3, 11))) == "node n3 (h3:1) is healthy;");
  three.incarnation = 11;
  three.liveness = Liveness::left;
  CHECK(says(three) == "node n3 (h3:1) has left;");
}

TEST_CASE("core: whole tables are exchanged now and then, and on request") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  node.clear();
  node.receive(two, Members{true, {}});
  REQUIRE(node.sent<Members>(two).size() == 1);
  CHECK(node.sent<Members>(two).front().members.size() == 2);
  CHECK_FALSE(node.sent<Members>(two).front().wants_reply);
  node.tick_for(31s);
  std::size_t asked = 0;
  for (const Members& members : node.sent<Members>(two))
    asked += members.wants_reply ? 1 : 0;
  CHECK(asked == 2);  // At the first tick and 30 s later.
}

TEST_CASE("core: all agree once every member is here, healthy, and told the root that we have") {
  Scripted node(1);
  const ConnectionId two = node.link(2);
  const ConnectionId three = node.link(3);
  const std::uint64_t root = node.core().root();
  CHECK_FALSE(node.core().agrees_with_all());
  node.receive(two, Ping{1, 1, root, {}});
  CHECK_FALSE(node.core().agrees_with_all());
  node.receive(three, Ping{1, 1, root, {}});
  CHECK(node.core().agrees_with_all());

  SUBCASE("not after another root was told") {
    node.receive(two, Ping{2, 1, root + 1, {}});
    CHECK_FALSE(node.core().agrees_with_all());
  }
  SUBCASE("not with who came back and has not said yet what it has") {
    node.input(ConnectionDown{two});
    CHECK_FALSE(node.core().agrees_with_all());
    node.link(2);
    CHECK_FALSE(node.core().agrees_with_all());
  }
  SUBCASE("not while somebody may be dead") {
    Member accused = healthy(member(3));
    accused.liveness = Liveness::suspect;
    node.receive(two, Members{false, {accused}});
    CHECK_FALSE(node.core().agrees_with_all());
  }
  SUBCASE("who has left may come back with what it has, who was evicted is not asked") {
    Member gone = healthy(member(4));
    gone.liveness = Liveness::left;
    node.receive(two, Members{false, {gone}});
    CHECK_FALSE(node.core().agrees_with_all());
    gone.liveness = Liveness::evicted;
    node.receive(two, Members{false, {gone}});
    CHECK(node.core().agrees_with_all());
  }
}

TEST_CASE("core: the same inputs give the same actions") {
  const auto transcript = [] {
    Scripted node(1);
    for (NodeId peer = 2; peer < 8; ++peer)
      node.link(peer);
    node.tick_for(10s);
    std::string text;
    for (const Send& send : node.actions<Send>()) {
      text += std::string(to_text(type_of(*send.message)));
      for (const ConnectionId connection : send.connections)
        text += " " + std::to_string(connection);
      text += "\n";
    }
    return text;
  };
  CHECK(transcript() == transcript());
}
