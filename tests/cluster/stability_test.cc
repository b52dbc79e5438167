// When a delete may be forgotten: the peers and the store are played by the test.
#include "cluster/stability.h"

#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

// A node with peers that were compared with it, and a collection in which 1 to 9 of node 2 are
// durable.
class Reporter : public Scripted {
 public:
  explicit Reporter(std::vector<NodeId> peers, std::vector<NodeId> compared,
                    Duration remembers = {})
      : Scripted(with(std::move(compared), remembers)) {
    for (const NodeId peer : peers)
      control[peer] = link(hello_of(comparing(healthy(member(peer)))));
    input(StoreChanged{users, dots(2, 1, 9), {}});
  }

  void reports(NodeId peer, Context durable, CollectionRef collection = users) {
    receive(control.at(peer), Report{{{std::move(collection), std::move(durable)}}});
  }
  // What may be forgotten, as said last.
  std::optional<Context> forgotten() {
    tick_for(1s);
    const auto said = actions<ForgetTombstones>();
    if (said.empty()) return std::nullopt;
    return said.back().everywhere;
  }

  std::map<NodeId, ConnectionId> control;

 private:
  static CoreOptions with(std::vector<NodeId> compared, Duration remembers) {
    CoreOptions options = core_options(1);
    options.cluster.remember_deletes = remembers;
    options.compared = std::move(compared);
    return options;
  }
};

}  // namespace

TEST_CASE("stability: who is alone may forget what is durable") {
  Reporter node({}, {});
  CHECK(node.forgotten() == dots(2, 1, 9));
}

TEST_CASE("stability: a delete may be forgotten when all have reported it") {
  Reporter node({2, 3}, {2, 3});
  CHECK(!node.forgotten());
  node.reports(2, dots(2, 1, 9));
  CHECK(!node.forgotten());
  node.reports(3, dots(2, 1, 5));
  CHECK(node.forgotten() == dots(2, 1, 5));
  node.reports(3, dots(2, 1, 9));
  CHECK(node.forgotten() == dots(2, 1, 9));
}

TEST_CASE("stability: a report counts when all that is in it has arrived here") {
  Reporter node({2}, {2});
  node.reports(2, dots(2, 1, 12));
  CHECK(!node.forgotten());
  node.input(StoreChanged{users, dots(2, 1, 11), {}});
  CHECK(!node.forgotten());
  node.input(StoreChanged{users, dots(2, 1, 12), {}});
  CHECK(node.forgotten() == dots(2, 1, 12));
}

TEST_CASE("stability: the first report waits, and the newest behind it") {
  Reporter node({2}, {2});
  node.reports(2, dots(2, 1, 12));
  for (std::uint64_t later = 13; later < 20; ++later)
    node.reports(2, dots(2, 1, later));
  node.input(StoreChanged{users, dots(2, 1, 14), {}});
  CHECK(node.forgotten() == dots(2, 1, 12));
  node.input(StoreChanged{users, dots(2, 1, 19), {}});
  CHECK(node.forgotten() == dots(2, 1, 19));
}

TEST_CASE("stability: who was not compared counts with nothing, whatever it reports") {
  Reporter node({2, 3}, {2});
  node.reports(2, dots(2, 1, 9));
  node.reports(3, dots(2, 1, 9));
  CHECK(!node.forgotten());
}

TEST_CASE("stability: members that are away, or not known to this link, count all the same") {
  Reporter node({2}, {2, 3});
  node.receive(node.control[2], Members{false, {comparing(healthy(member(3)))}});
  node.reports(2, dots(2, 1, 9));
  CHECK(!node.forgotten());
}

TEST_CASE("stability: nothing is forgotten beside a node of a version that does not compare") {
  Reporter node({2}, {2, 3});
  node.link(3);
  node.reports(2, dots(2, 1, 9));
  CHECK(!node.forgotten());
}

TEST_CASE("stability: what was reported over a link that broke does not count") {
  Reporter node({2}, {2});
  node.reports(2, dots(2, 1, 9));
  node.input(ConnectionDown{node.control[2]});
  CHECK(!node.forgotten());
}

TEST_CASE("stability: a report of another life of a collection does not count") {
  Reporter node({2}, {2});
  node.reports(2, dots(2, 1, 9), {"users", 2});
  CHECK(!node.forgotten());
}

TEST_CASE("stability: a peer that lost what it had reported is no longer thought compared") {
  Reporter node({2}, {2});
  node.reports(2, dots(2, 1, 9));
  CHECK(node.forgotten());
  node.clear();
  node.reports(2, dots(2, 1, 4));
  const auto persists = node.actions<Persist>();
  REQUIRE(!persists.empty());
  CHECK(persists.back().compared.empty());
  node.input(StoreChanged{users, dots(2, 1, 10), {}});
  CHECK(!node.forgotten());
}

TEST_CASE("stability: what is durable is reported when it changed, and once") {
  Reporter node({2}, {2});
  node.tick_for(5s);
  CHECK(node.sent<Report>(node.control[2]).size() == 1);
  node.input(StoreChanged{users, dots(2, 1, 10), {}});
  node.tick_for(5s);
  const auto reports = node.sent<Report>(node.control[2]);
  REQUIRE(reports.size() == 2);
  REQUIRE(reports.back().vectors.size() == 1);
  CHECK(reports.back().vectors[0].collection == users);
  CHECK(reports.back().vectors[0].durable == dots(2, 1, 10));
}

TEST_CASE("stability: a peer of an earlier version is sent no reports") {
  Scripted node;
  node.link(2);
  node.input(StoreChanged{users, dots(2, 1, 9), {}});
  node.tick_for(5s);
  CHECK(node.sent<Report>().empty());
}

TEST_CASE("stability: a delete is remembered for a while after everybody has it") {
  Reporter node({2}, {2}, 60s);
  node.reports(2, dots(2, 1, 5));
  CHECK(!node.forgotten());
  node.tick_for(30s);
  node.reports(2, dots(2, 1, 9));
  node.tick_for(28s);
  CHECK(node.actions<ForgetTombstones>().empty());
  // What came behind it has its own while.
  node.tick_for(15s);
  REQUIRE(!node.actions<ForgetTombstones>().empty());
  CHECK(node.actions<ForgetTombstones>().back().everywhere == dots(2, 1, 5));
  node.tick_for(80s);
  CHECK(node.actions<ForgetTombstones>().back().everywhere == dots(2, 1, 9));
}

TEST_CASE("stability: of what was remembered, only what everybody still has is forgotten") {
  Reporter node({2}, {2, 3}, 60s);
  node.reports(2, dots(2, 1, 9));
  CHECK(!node.forgotten());
  node.control[3] = node.link(hello_of(comparing(healthy(member(3)))));
  node.reports(3, dots(2, 1, 4));
  node.tick_for(75s);
  REQUIRE(!node.actions<ForgetTombstones>().empty());
  CHECK(node.actions<ForgetTombstones>().back().everywhere == dots(2, 1, 4));
}

TEST_CASE("stability: what was remembered is said again, for what was ahead of the clock") {
  Reporter node({}, {}, 60s);
  node.tick_for(75s);
  node.clear();
  node.tick_for(20s);
  CHECK(node.actions<ForgetTombstones>().size() == 2);
}

TEST_CASE("stability: collections that change all the time do not hold up reports of others") {
  Reporter node({2}, {2});
  const auto name = [](int i) { return "c" + std::to_string(1000 + i); };
  std::set<std::string> told;
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 600; ++i)
      node.input(StoreChanged{{name(i), 1}, dots(2, 1, 9 + static_cast<std::uint64_t>(round)), {}});
    node.clear();
    node.tick_for(1s);
    for (const Report& report : node.sent<Report>(node.control[2])) {
      CHECK(report.vectors.size() <= 256);
      for (const auto& vector : report.vectors)
        told.insert(vector.collection.name);
    }
  }
  CHECK(told.contains(name(0)));
  CHECK(told.contains(name(599)));
}

TEST_CASE("stability: of many collections those are looked at in which something is new") {
  Reporter node({}, {});
  for (int i = 0; i < 5; ++i)
    node.input(StoreChanged{{"c" + std::to_string(i), 1}, dots(2, 1, 9), {}});
  node.tick_for(1s);
  CHECK(node.actions<ForgetTombstones>().size() == 6);
  node.clear();
  node.input(StoreChanged{{"c3", 1}, dots(2, 1, 10), {}});
  node.tick_for(1s);
  const auto said = node.actions<ForgetTombstones>();
  REQUIRE(said.size() == 1);
  CHECK(said.front().collection.name == "c3");
}
