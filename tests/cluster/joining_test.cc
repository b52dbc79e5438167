// Comparing something with nothing: how a node that joins gets what there is.
#include <algorithm>

#include <doctest/doctest.h>

#include "tests/cluster/asker.h"

using namespace dhrt;
using namespace dhrt::test;

TEST_CASE("joining: who holds nothing of a range is sent the records at once") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({});
  CHECK(node.asked().fingerprint.count == 0);
  node.peer_holds({record("a", dot(2, 1)), record("b", dot(2, 2))}, dots(2, 1, 4), true, "c");
  REQUIRE(node.actions<MendRecords>().size() == 1);
  CHECK(keys_of(node.actions<MendRecords>()[0].records) == Keys{"a", "b"});
  CHECK(node.sent<Fetch>().empty());
}

TEST_CASE("joining: who holds nothing asks for what is read most before all else") {
  Asker node;
  node.peer_begins(dots(2, 1, 9));
  node.we_hold({});
  AuditReply first{.request = node.asked().request,
                   .collection = users,
                   .vector = dots(2, 1, 9),
                   .with_values = true,
                   .batch = batch_with({record("a", dot(2, 1))}),
                   .next = "b",
                   .hot = {"x", "a", "m", "x"}};
  node.receive(node.bulk, first);
  REQUIRE(node.sent<Fetch>().size() == 1);
  // In order, once, what is not here yet.
  CHECK(node.sent<Fetch>()[0].keys == Keys{"m", "x"});
  node.receive(node.bulk, FetchReply{.request = node.sent<Fetch>()[0].request,
                                     .collection = users,
                                     .vector = dots(2, 1, 9),
                                     .done = 2,
                                     .records = {record("m", dot(2, 5)), record("x", dot(2, 6))}});
  CHECK(keys_of(node.actions<MendRecords>().back().records) == Keys{"m", "x"});
  CHECK_MESSAGE(node.asked().from == "b", "and goes on where it was");
}

TEST_CASE("joining: who holds something, or is told of too many, asks for no hot keys") {
  for (const bool too_many : {false, true}) {
    CAPTURE(too_many);
    Asker node;
    node.peer_begins(dots(2, 1, 9));
    if (too_many)
      node.we_hold({});
    else
      node.we_hold({record("a", dot(1, 1))});
    node.receive(node.bulk, AuditReply{.request = node.asked().request,
                                       .collection = users,
                                       .vector = dots(2, 1, 9),
                                       .with_values = too_many,
                                       .batch = batch_with({record("a", dot(1, 1))}),
                                       .records = {record("a", dot(1, 1))},
                                       .next = "b",
                                       .hot = Keys(too_many ? 4097 : 1, "m")});
    CHECK(node.sent<Fetch>().empty());
    CHECK(node.asked().from == "b");
  }
}

TEST_CASE("joining: only the first question of who holds nothing asks for hot keys") {
  Scripted node(core_options(1));
  node.link(hello_of(healthy(member(2))));
  const ConnectionId bulk = node.link(hello_of(healthy(member(2))), LinkClass::bulk);
  const auto hot_keys_max = [&](const Audit& audit) {
    node.receive(bulk, audit);
    return node.actions<RangeLocal>().back().hot_keys_max;
  };
  CHECK(hot_keys_max({.request = 1, .collection = users}) > 0);
  CHECK(hot_keys_max({.request = 2, .collection = users, .from = "b"}) == 0);
  CHECK(hot_keys_max({.request = 3, .collection = users, .to = "x"}) == 0);
  CHECK(hot_keys_max({.request = 4, .collection = users, .fingerprint = {.count = 1}}) == 0);
}

TEST_CASE("joining: it goes on where the peer's answer ended, without listing anew") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("d", dot(1, 1)), record("m", dot(1, 2))}, dots(1, 1, 9), "x");
  node.peer_holds({record("a", dot(2, 1))}, dots(2, 1, 4), false, "c");
  node.receive(node.bulk, FetchReply{.request = node.sent<Fetch>().back().request,
                                     .collection = users,
                                     .vector = dots(2, 1, 4),
                                     .done = 1,
                                     .records = {record("a", dot(2, 1))}});
  CHECK(node.actions<RangeLocal>().size() == 1);
  CHECK(node.asked().from == "c");
  CHECK(node.asked().to == "x");
  CHECK(node.asked().fingerprint.count == 2);
  node.peer_holds({record("d", dot(1, 1))}, dots(2, 1, 4), false, "e");
  CHECK(node.asked().from == "e");
  CHECK(node.asked().fingerprint.count == 1);
  node.peer_is_equal(dots(2, 1, 4));
  REQUIRE(node.actions<RangeLocal>().size() == 2);
  CHECK(node.actions<RangeLocal>().back().from == "x");
}

TEST_CASE("joining: the next question is on its way before an answer goes into the store") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({});
  node.peer_holds({record("a", dot(2, 1))}, dots(2, 1, 4), true, "c");
  const auto is_question = [](const Action& action) {
    const auto* send = std::get_if<Send>(&action);
    return send != nullptr && std::holds_alternative<Audit>(*send->message);
  };
  const auto is_mend = [](const Action& action) {
    return std::holds_alternative<MendRecords>(action);
  };
  REQUIRE(node.asked().from == "c");
  const auto& actions = node.in_order();
  const auto question = std::find_if(actions.rbegin(), actions.rend(), is_question);
  const auto mend = std::find_if(actions.rbegin(), actions.rend(), is_mend);
  CHECK(mend < question);  // Nearer to the end.
}

TEST_CASE("joining: no more is asked for than the store has room for") {
  CoreOptions options = core_options(1);
  options.cluster.unapplied_bytes_max = 1;
  Asker node({users}, options);
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({});
  node.peer_holds({record("a", dot(2, 1))}, dots(2, 1, 4), true, "b");
  CHECK(node.actions<MendRecords>().size() == 1);
  CHECK_MESSAGE(node.asked().from == "", "the first slice is not stored yet");
  node.store();
  CHECK(node.asked().from == "b");
  SUBCASE("what it was told to fetch waits as well") {
    node.receive(node.bulk, AuditReply{.request = node.asked().request,
                                       .collection = users,
                                       .vector = dots(2, 1, 4),
                                       .with_values = true,
                                       .batch = batch_with({record("b", dot(2, 2))}),
                                       .next = "c",
                                       .hot = {"x"}});
    CHECK(node.sent<Fetch>().empty());
    node.store();
    CHECK(node.sent<Fetch>().size() == 1);
    return;
  }
  SUBCASE("the last slice ends it as ever") {
    node.peer_holds({record("b", dot(2, 2))}, dots(2, 1, 4), true);
    node.store();
    node.peer_mended();
    node.store();
    CHECK(node.is_compared());
    return;
  }
  SUBCASE("what cannot be stored ends it") {
    node.peer_holds({record("b", dot(2, 2))}, dots(2, 1, 4), true, "c");
    const std::size_t asked = node.sent<Audit>().size();
    node.input(Applied{node.actions<MendRecords>().back().token, false});
    node.tick_for(500ms);
    CHECK(node.sent<Audit>().size() == asked);
  }
}

TEST_CASE("joining: a peer that sends values where we hold some is set beside them") {
  Asker node;
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({record("a", dot(1, 1)), record("c", dot(1, 2))});
  node.peer_holds({record("b", dot(2, 2))}, dots(2, 1, 4), true);
  REQUIRE(node.actions<MendRecords>().size() == 1);
  CHECK(keys_of(node.actions<MendRecords>()[0].records) == Keys{"b"});
  REQUIRE(node.actions<FetchLocal>().size() == 1);
  CHECK(node.actions<FetchLocal>()[0].keys == Keys{"a", "c"});
}

TEST_CASE("joining: how far it is can be read, and ends with it") {
  CoreOptions joining = core_options(1);
  joining.self.synced = {};
  Asker node({users}, joining);
  node.peer_begins(dots(2, 1, 4));
  node.we_hold({});
  const auto answer = [&](const std::vector<KeyedRecord>& records,
                          std::optional<std::string> next) {
    node.receive(node.bulk, AuditReply{.request = node.asked().request,
                                       .collection = node.asked().collection,
                                       .vector = dots(2, 1, 4),
                                       .with_values = true,
                                       .batch = batch_with(records),
                                       .next = std::move(next),
                                       .records_held = 40});
  };
  answer({record("a", dot(2, 1)), record("b", dot(2, 2))}, "c");
  const CatchUp first = node.core().catch_up(node.now()).value();
  CHECK(first.records == 2);
  CHECK(first.records_expected == 40);
  CHECK(first.bytes > 2);
  CHECK_MESSAGE(first.seconds_left == 0, "no speed was measured yet");
  node.tick_for(1s);
  CHECK(node.core().catch_up(node.now())->seconds_left == 20);
  SUBCASE("a donor of an earlier version does not say how much there is") {
    node.receive(node.bulk, AuditReply{.request = node.asked().request,
                                       .collection = node.asked().collection,
                                       .vector = dots(2, 1, 4),
                                       .with_values = true,
                                       .batch = batch_with({record("c", dot(2, 4))}),
                                       .next = "d"});
    CHECK(node.core().catch_up(node.now())->records == 3);
    CHECK(node.core().catch_up(node.now())->records_expected == 0);
    CHECK(node.core().catch_up(node.now())->seconds_left == 0);
    return;
  }
  answer({record("d", dot(2, 3))}, {});
  CHECK(node.core().catch_up(node.now())->records == 3);
  node.store();
  node.peer_mended();
  node.receive(node.bulk, Compared{.reply = true});
  CHECK_FALSE(node.core().catch_up(node.now()));
}

TEST_CASE("joining: who asks for nothing, or no longer, is asked after a while") {
  CoreOptions options = core_options(1);
  options.cluster.pull_timeout = 400ms;
  // It has what we have, as it thinks; or it does not go on.
  for (const Message& last :
       {Message(Summary{7}), Message(Audit{.request = 7, .collection = users, .begins = true})}) {
    Scripted node(options);
    node.link(hello_of(comparing(member(2))));
    const ConnectionId bulk = node.link(hello_of(comparing(member(2))), LinkClass::bulk);
    node.tick_for(1s);
    REQUIRE(node.sent<Summary>(bulk).empty());
    node.receive(bulk, last);
    node.tick_for(200ms);
    CHECK(node.sent<Summary>(bulk).empty());
    node.receive(bulk, Summary{8});  // It lists again, and again.
    node.tick_for(500ms);
    CHECK_FALSE(node.sent<Summary>(bulk).empty());
  }
}

TEST_CASE("joining: who joins asks by itself, and nobody else") {
  for (const bool joins : {true, false}) {
    CAPTURE(joins);
    Scripted node;
    const Member peer = joins ? member(2) : healthy(member(2));
    node.link(hello_of(comparing(peer)));
    const ConnectionId bulk = node.link(hello_of(comparing(peer)), LinkClass::bulk);
    node.tick_for(2s);
    CHECK(node.sent<Summary>(bulk).empty() == joins);
    // It has compared, and is pulled from like everybody else.
    node.receive(bulk, Compared{});
    node.tick_for(2s);
    CHECK_FALSE(node.sent<Summary>(bulk).empty());
  }
}
