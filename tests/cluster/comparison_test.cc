// Comparing a collection with a peer's. The peer and the store are played by the test.
#include "cluster/comparison.h"

#include <doctest/doctest.h>

#include "tests/cluster/asker.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

KeyedRecord tombstone(const std::string& key, Dot dot, std::uint64_t hlc = 1) {
  return {key, {.version = {hlc, dot.origin.node}, .dot = dot, .deleted = true}};
}

Fingerprint fingerprint_of(const std::vector<KeyedRecord>& records) {
  Fingerprint fingerprint;
  for (const KeyedRecord& entry : records)
    fingerprint.add(entry);
  return fingerprint;
}

// The peer, which asked, ends its comparison of `users`.
void peer_ends(Scripted& node, ConnectionId bulk) {
  node.receive(bulk, Mend{.request = 77, .collection = users, .vector = dots(2, 1, 4)});
  node.input(Applied{node.actions<MergeContext>().back().token, true});
}

}  // namespace

TEST_CASE("comparison: who was never compared is, even if its contexts are equal") {
  Asker node;
  CHECK(node.asked().begins);
  CHECK(node.sent<Pull>().empty());
  node.peer_begins(dots(1, 1, 9));
  const std::vector<KeyedRecord> held{record("a", dot(1, 3)), record("b", dot(1, 9))};
  node.we_hold(held);
  CHECK(!node.asked().begins);
  CHECK(node.asked().fingerprint == fingerprint_of(held));
  CHECK(!node.asked().to);
  node.peer_is_equal(dots(1, 1, 9));
  CHECK(node.actions<MendRecords>().empty());
  // Both take in the other's context.
  REQUIRE(node.actions<MergeContext>().size() == 1);
  CHECK(node.actions<MergeContext>()[0].vector == dots(1, 1, 9));
  REQUIRE(node.sent<Mend>().size() == 1);
  CHECK(node.sent<Mend>()[0].vector == dots(1, 1, 9));
  CHECK(node.sent<Mend>()[0].records.empty());
  node.store();
  CHECK(node.sent<Compared>().empty());
  node.peer_mended();
  REQUIRE(node.sent<Compared>(node.bulk).size() == 1);
  CHECK(!node.is_compared());
  node.receive(node.bulk, Compared{.reply = true});
  CHECK(node.is_compared());
}

TEST_CASE("comparison: from then on pulls are enough, for the peer as well") {
  Scripted node;
  node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  node.input(StoreChanged{users, dots(1, 1, 9), {}});
  node.receive(bulk, Pull{.request = 1, .collection = users, .bytes_max = 100});
  REQUIRE(node.sent<PullReply>(bulk).size() == 1);
  CHECK(node.sent<PullReply>(bulk)[0].uncompared);
  CHECK(node.actions<WalkLocal>().empty());
  node.receive(bulk, Compared{.doubts = {}});
  CHECK_MESSAGE(node.sent<Compared>(bulk).empty(), "nothing was compared");
  peer_ends(node, bulk);
  node.receive(bulk, Pull{.request = 2, .collection = users, .bytes_max = 100});
  CHECK_MESSAGE(node.actions<WalkLocal>().size() == 1, "of what was compared, before all is");
  node.receive(bulk, Compared{.doubts = {}});
  REQUIRE(node.sent<Compared>(bulk).size() == 1);
  CHECK(node.sent<Compared>(bulk)[0].reply);
}

TEST_CASE("comparison: before it nobody's counters are joined with ours") {
  Scripted node;
  const ConnectionId control = node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  node.input(StoreChanged{users, dots(1, 1, 9), {}});
  const auto writes = [&] {
    node.clear();
    node.receive(control, Write{.collection = users});
    REQUIRE(node.actions<ApplyWrite>().size() == 1);
    return node.actions<ApplyWrite>()[0];
  };
  CHECK(!writes().may_join);
  peer_ends(node, bulk);
  CHECK_MESSAGE(writes().may_join, "of what was compared, before all is");
}

TEST_CASE("comparison: of what differs the newer record goes to who lacks it") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("only-here", dot(1, 1)), record("newer-here", dot(1, 2), 8),
                record("newer-there", dot(1, 3), 3), record("same", dot(1, 4)),
                tombstone("deleted-here", dot(1, 5))});
  // In key order, as a store gives them.
  std::vector<KeyedRecord> theirs{record("newer-here", dot(2, 1), 3),
                                  record("newer-there", dot(2, 2), 8),
                                  record("only-there", dot(2, 3)), record("same", dot(1, 4))};
  std::ranges::sort(theirs, {}, &KeyedRecord::key);
  node.peer_holds(theirs, dots(2, 1, 4));
  REQUIRE(node.sent<Fetch>().size() == 1);
  CHECK(node.sent<Fetch>()[0].keys == Keys{"newer-there", "only-there"});
  node.receive(node.bulk, FetchReply{.request = node.sent<Fetch>()[0].request,
                                     .collection = users,
                                     .vector = dots(2, 1, 4),
                                     .done = 2,
                                     .records = {theirs[1], theirs[2]}});
  REQUIRE(node.actions<MendRecords>().size() == 1);
  CHECK(keys_of(node.actions<MendRecords>()[0].records) == Keys{"newer-there", "only-there"});
  CHECK(node.actions<MendRecords>()[0].captured == dots(1, 1, 9));
  REQUIRE(node.actions<FetchLocal>().size() == 1);
  auto owed = node.actions<FetchLocal>()[0].keys;
  std::ranges::sort(owed);
  CHECK(owed == Keys{"deleted-here", "newer-here", "only-here"});
}

TEST_CASE("comparison: of two counters each side gets the other's, unless it has seen it") {
  const auto counter = [](const std::string& key, Dot dot, std::uint64_t hlc) {
    KeyedRecord entry = record(key, dot, hlc);
    entry.record.attributes = "cells";
    return entry;
  };
  Asker node;
  node.peer_begins(dots(1, 1, 2));
  node.we_hold({counter("a", dot(1, 2), 8), counter("b", dot(1, 3), 3), counter("c", dot(1, 4), 8),
                counter("d", dot(1, 1), 3)},
               dots(2, 1, 1));
  node.peer_holds({counter("a", dot(2, 2), 3), counter("b", dot(2, 3), 8),
                   counter("c", dot(2, 1), 3), record("d", dot(2, 5), 8)},
                  dots(1, 1, 2));
  REQUIRE(node.sent<Fetch>().size() == 1);
  CHECK(node.sent<Fetch>()[0].keys == Keys{"a", "b", "d"});
  node.receive(node.bulk, FetchReply{.request = node.sent<Fetch>()[0].request,
                                     .collection = users,
                                     .vector = dots(1, 1, 2),
                                     .done = 3});
  REQUIRE(node.actions<FetchLocal>().size() == 1);
  CHECK(node.actions<FetchLocal>()[0].keys == Keys{"a", "b", "c"});
}

TEST_CASE("comparison: a delete that one side has seen and forgotten is no news to it") {
  Asker node;
  node.peer_begins(dots(1, 1, 5));
  node.we_hold({tombstone("here", dot(1, 5))}, dots(1, 1, 9));
  node.peer_holds({tombstone("there", dot(1, 7))}, dots(1, 1, 5));
  CHECK(node.sent<Fetch>().empty());
  CHECK(node.actions<FetchLocal>().empty());
  CHECK(node.actions<MergeContext>().size() == 1);
}

TEST_CASE("comparison: what a later slice takes out of a context is not taken in") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("a", dot(1, 1))}, dots(1, 1, 9), "b");
  node.peer_is_equal(dots(2, 1, 4));
  node.we_hold({record("b", dot(1, 2))}, dots(1, 1, 6));
  node.peer_is_equal(dots(2, 1, 3));
  CHECK(node.actions<MergeContext>()[0].vector == dots(2, 1, 3));
  CHECK(node.sent<Mend>()[0].vector == dots(1, 1, 6));
}

TEST_CASE("comparison: the peer is shown what it had seen before the comparison") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("a", dot(1, 1))});
  node.peer_holds({}, dots(2, 1, 6));
  node.input(Ranged{.token = node.actions<FetchLocal>()[0].token,
                    .ok = true,
                    .records = {record("a", dot(1, 1))},
                    .vector = dots(1, 1, 9),
                    .done = 1});
  REQUIRE(node.sent<Mend>().size() == 1);
  CHECK(node.sent<Mend>()[0].captured == dots(2, 1, 4));
  CHECK(keys_of(node.sent<Mend>()[0].records) == Keys{"a"});
}

TEST_CASE("comparison: a damaged copy is replaced by the same write, intact") {
  Asker node;
  node.peer_begins(dots(1, 1, 9));
  std::vector<KeyedRecord> held{record("a", dot(1, 1)), record("b", dot(1, 2))};
  std::vector<KeyedRecord> theirs = held;
  held[0].record.damaged = true;
  theirs[1].record.damaged = true;
  node.we_hold(held);
  node.peer_holds(theirs, dots(1, 1, 9));
  CHECK(node.sent<Fetch>()[0].keys == Keys{"a"});
}

TEST_CASE("comparison: an answer that leads nowhere ends it, and it begins anew") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("b", dot(1, 1))}, dots(1, 1, 9), "c");
  SUBCASE("beyond what was asked for") {
    node.peer_holds({}, dots(2, 1, 4), false, "d");
  }
  SUBCASE("to where it began, with records") {
    node.peer_holds({record("b", dot(2, 1))}, dots(2, 1, 4), false, "");
  }
  CHECK(node.actions<MergeContext>().empty());
  node.tick_for(2s);
  CHECK(node.sent<Summary>(node.bulk).size() == 2);
}

TEST_CASE("comparison: what cannot be read here or there does not keep the others apart") {
  for (const bool there : {true, false}) {
    CAPTURE(there);
    Asker node({{"users", 1}, {"words", 1}});
    node.peer_begins(dots(1, 1, 9));
    if (there) {
      node.we_hold({record("a", dot(1, 3))});
      node.receive(node.bulk, AuditReply{.request = node.asked().request,
                                         .collection = node.asked().collection,
                                         .failed = true});
    } else {
      node.input(Ranged{.token = node.actions<RangeLocal>().back().token, .ok = false});
    }
    CHECK(node.asked().begins);
    CHECK(node.asked().collection == CollectionRef{"words", 1});
    node.peer_begins(dots(1, 1, 9));
    node.we_hold({});
    node.peer_is_equal(dots(1, 1, 9));
    node.store();
    node.peer_mended();
    CHECK_MESSAGE(node.sent<Compared>().empty(), "not all was compared");
    CHECK(node.sent<Summary>(node.bulk).size() == 1);
    // The next time what was compared is pulled.
    node.tick_for(2s);
    REQUIRE(node.sent<Summary>(node.bulk).size() == 2);
    node.receive(node.bulk, SummaryReply{node.sent<Summary>(node.bulk).back().request,
                                         {{users, digest_of(dots(1, 1, 9), {})},
                                          {{"words", 1}, digest_of(dots(2, 1, 9), {})}}});
    CHECK(node.asked().collection == users);
    node.receive(node.bulk,
                 AuditReply{.request = node.asked().request, .collection = users, .failed = true});
    REQUIRE(node.sent<Pull>(node.bulk).size() == 1);
    CHECK(node.sent<Pull>(node.bulk)[0].collection == CollectionRef{"words", 1});
  }
}

TEST_CASE("comparison: of two that begin at once the lower one goes on") {
  for (const NodeId self : {NodeId{1}, NodeId{3}}) {
    CAPTURE(self);
    Scripted node(self);
    node.link(hello_of(comparing(healthy(member(2)))));
    const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
    node.input(StoreChanged{users, dots(1, 1, 9), {}});
    node.tick_for(tick_interval);
    REQUIRE(node.sent<Summary>(bulk).size() == 1);
    node.receive(bulk, Audit{.request = 9, .collection = users, .begins = true});
    node.receive(bulk, SummaryReply{node.sent<Summary>(bulk)[0].request,
                                    {{users, digest_of(dots(1, 1, 9), {})}}});
    CHECK(node.sent<Audit>(bulk).size() == (self < 2 ? 1 : 0));
    CHECK_MESSAGE(node.sent<AuditReply>(bulk).size() == 1, "the peer is answered in any case");
  }
}

TEST_CASE("comparison: who went on need not wait for the one that gave way") {
  Asker node;
  node.receive(node.bulk, Audit{.request = 9, .collection = users, .begins = true});
  node.peer_begins(dots(1, 1, 9));
  node.we_hold({record("a", dot(1, 3))});
  node.peer_is_equal(dots(1, 1, 9));
  node.store();
  node.peer_mended();
  node.receive(node.bulk, Compared{.reply = true});
  REQUIRE(node.is_compared());
  const std::size_t sessions = node.sent<Summary>(node.bulk).size();
  node.receive(node.control, Ping{.root = 1});
  node.tick_for(3s);
  CHECK(node.sent<Summary>(node.bulk).size() == sessions + 1);
}

TEST_CASE("comparison: an answer to another question is none, nor is one out of order") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("b", dot(1, 1))});
  SUBCASE("of another kind") {
    node.receive(node.bulk, Mended{.request = node.asked().request, .ok = true});
    node.receive(node.bulk, FetchReply{.request = node.asked().request, .collection = users});
    CHECK(node.actions<MergeContext>().empty());
    node.peer_is_equal(dots(2, 1, 4));
    CHECK(node.actions<MergeContext>().size() == 1);
  }
  SUBCASE("keys that do not ascend") {
    node.peer_holds({record("c", dot(2, 1)), record("a", dot(2, 2))}, dots(2, 1, 4));
    node.tick_for(2s);
    CHECK(node.sent<Fetch>().empty());
    CHECK(node.sent<Summary>(node.bulk).size() == 2);
  }
}

TEST_CASE("comparison: what cannot be read is told to who asks") {
  Scripted node;
  node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  node.input(StoreChanged{users, dots(1, 1, 9), {}});
  node.receive(bulk, Audit{.request = 2, .collection = users, .from = "a"});
  node.input(Ranged{.token = node.actions<RangeLocal>().back().token, .ok = false});
  REQUIRE(node.sent<AuditReply>(bulk).size() == 1);
  CHECK(node.sent<AuditReply>(bulk)[0].request == 2);
  CHECK(node.sent<AuditReply>(bulk)[0].failed);
  node.receive(bulk, Fetch{.request = 3, .collection = users, .keys = {"a"}});
  node.input(Ranged{.token = node.actions<FetchLocal>().back().token, .ok = false});
  REQUIRE(node.sent<FetchReply>(bulk).size() == 1);
  CHECK(node.sent<FetchReply>(bulk)[0].done == 0);
}

TEST_CASE("comparison: one that began before a doubt does not end it") {
  const Report before{{{users, dots(2, 1, 9)}}};
  const Report less{{{users, dots(2, 1, 8)}}};
  SUBCASE("here") {
    Asker node;
    node.peer_begins(dots(1, 1, 9));
    node.we_hold({record("a", dot(1, 3))});
    node.receive(node.control, before);
    node.receive(node.control, less);  // It lost something.
    node.peer_is_equal(dots(1, 1, 9));
    node.store();
    node.peer_mended();
    REQUIRE(node.sent<Compared>(node.bulk).size() == 1);
    node.receive(node.bulk, Compared{.reply = true});
    CHECK(!node.is_compared());
    node.tick_for(2s);
    CHECK_MESSAGE(node.sent<Summary>(node.bulk).size() == 2, "again, from the beginning");
  }
  SUBCASE("at the peer that asks") {
    Scripted node;
    const ConnectionId control = node.link(hello_of(comparing(healthy(member(2)))));
    const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
    node.input(StoreChanged{users, dots(1, 1, 9), {}});
    node.receive(bulk, Summary{7});
    REQUIRE(node.sent<SummaryReply>(bulk).size() == 1);
    const Doubts begun = node.sent<SummaryReply>(bulk)[0].doubts;
    peer_ends(node, bulk);
    node.receive(control, before);
    node.receive(control, less);
    node.receive(bulk, Compared{.doubts = begun});
    CHECK(node.sent<Compared>(bulk).empty());
    node.receive(bulk, Summary{8});
    peer_ends(node, bulk);
    node.receive(bulk, Compared{.doubts = node.sent<SummaryReply>(bulk).back().doubts});
    REQUIRE(node.sent<Compared>(bulk).size() == 1);
    CHECK(node.sent<Compared>(bulk)[0].reply);
  }
}

TEST_CASE("comparison: a peer that brings its keys into order is asked again") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("b", dot(1, 1))}, dots(1, 1, 9), "c");
  const Audit asked = node.asked();
  node.peer_holds({}, dots(2, 1, 4), false, "");
  CHECK(node.asked().request != asked.request);
  CHECK(node.asked().from == asked.from);
  CHECK(node.asked().to == asked.to);
  CHECK(node.asked().fingerprint == asked.fingerprint);
  node.peer_is_equal(dots(2, 1, 4));
  CHECK(node.actions<RangeLocal>().back().from == "c");
}

TEST_CASE("comparison: a peer is told what we hold of a range if it differs") {
  Scripted node;
  node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  node.input(StoreChanged{users, dots(1, 1, 9), dots(1, 1, 1)});
  node.receive(bulk, Audit{.request = 1, .collection = users, .begins = true});
  REQUIRE(node.sent<AuditReply>(bulk).size() == 1);
  CHECK(node.sent<AuditReply>(bulk)[0].vector == dots(1, 1, 9));
  CHECK(node.sent<AuditReply>(bulk)[0].flushed == dots(1, 1, 1));
  const std::vector<KeyedRecord> held{record("a", dot(1, 3)), record("b", dot(1, 9))};
  for (const bool equal : {true, false}) {
    node.clear();
    Fingerprint asked = fingerprint_of(held);
    if (!equal) asked.sum_low ^= 1;
    node.receive(bulk, Audit{.request = 2, .collection = users, .from = "a", .fingerprint = asked});
    REQUIRE(node.actions<RangeLocal>().size() == 1);
    CHECK(node.actions<RangeLocal>()[0].from == "a");
    node.input(Ranged{.token = node.actions<RangeLocal>()[0].token,
                      .ok = true,
                      .records = held,
                      .vector = dots(1, 1, 8)});
    REQUIRE(node.sent<AuditReply>(bulk).size() == 1);
    const AuditReply reply = node.sent<AuditReply>(bulk)[0];
    CHECK(reply.equal == equal);
    CHECK(reply.records.size() == (equal ? 0 : 2));
    CHECK(reply.vector == dots(1, 1, 8));
  }
}

TEST_CASE("comparison: mending for a peer is answered when it is durable") {
  Scripted node;
  node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  node.receive(bulk, Mend{.request = 5,
                          .collection = users,
                          .records = {record("a", dot(2, 1))},
                          .captured = dots(1, 1, 3)});
  REQUIRE(node.actions<MendRecords>().size() == 1);
  CHECK(node.actions<MendRecords>()[0].captured == dots(1, 1, 3));
  CHECK(node.sent<Mended>().empty());
  node.input(Applied{node.actions<MendRecords>()[0].token, true});
  REQUIRE(node.sent<Mended>(bulk).size() == 1);
  CHECK(node.sent<Mended>(bulk)[0].ok);
  CHECK(node.sent<Mended>(bulk)[0].request == 5);
  node.receive(bulk, Mend{.request = 6, .collection = users, .vector = dots(2, 1, 4)});
  REQUIRE(node.actions<MergeContext>().size() == 1);
  CHECK(node.actions<MergeContext>()[0].vector == dots(2, 1, 4));
}

TEST_CASE("comparison: of an earlier life of a collection nothing is told") {
  Scripted node;
  node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  node.input(StoreChanged{{"users", 2}, dots(1, 1, 9), {}});
  node.receive(bulk, Audit{.request = 1, .collection = users, .begins = true});
  node.receive(bulk, Mend{.request = 2, .collection = users, .records = {record("a", dot(2, 1))}});
  REQUIRE(node.sent<AuditReply>(bulk).size() == 1);
  CHECK(node.sent<AuditReply>(bulk)[0].unknown);
  REQUIRE(node.sent<Mended>(bulk).size() == 1);
  CHECK(!node.sent<Mended>(bulk)[0].ok);
  CHECK(node.actions<MendRecords>().empty());
}

TEST_CASE("comparison: a peer that asks for too much at once loses its link") {
  Scripted node;
  node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  for (std::uint64_t request = 1; request <= ClusterOptions().walks_per_connection_max; ++request)
    node.receive(bulk, Audit{.request = request, .collection = users, .from = "a"});
  CHECK(!node.closed(bulk));
  node.receive(bulk, Audit{.request = 99, .collection = users, .from = "a"});
  CHECK(node.closed(bulk));
}

TEST_CASE("comparison: once in a while one collection is compared, though nothing is wrong") {
  CoreOptions options = core_options(1);
  options.compared = {2};
  Scripted node(std::move(options));
  const ConnectionId control = node.link(hello_of(comparing(healthy(member(2)))));
  const ConnectionId bulk = node.link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
  node.input(StoreChanged{users, dots(1, 1, 9), {}});
  const auto stay_linked = [&] {
    for (const Ping& ping : node.sent<Ping>(control))
      node.receive(control, Ack{.sequence = ping.sequence, .target = 2, .root = ping.root});
    for (const Summary& summary : node.sent<Summary>(bulk))
      node.receive(bulk, SummaryReply{summary.request, {{users, digest_of(dots(1, 1, 9), {})}}});
  };
  for (Duration passed{0}; passed < 599s && node.sent<Audit>().empty(); passed += 100ms) {
    node.clear();
    node.tick_for(100ms);
    stay_linked();
  }
  CHECK(node.sent<Audit>().empty());
  for (Duration passed{0}; passed < 10s && node.sent<Audit>().empty(); passed += 100ms) {
    node.clear();
    node.tick_for(100ms);
    stay_linked();
  }
  REQUIRE(node.sent<Audit>(bulk).size() == 1);
  CHECK(node.sent<Audit>(bulk)[0].collection == users);
}
