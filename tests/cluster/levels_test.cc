// Writes and reads that enough members must take part in.
#include "cluster/levels.h"

#include <algorithm>

#include <doctest/doctest.h>

#include "cluster/quorum_reads.h"
#include "cluster/write_levels.h"
#include "storage/counter.h"
#include "tests/cluster/voting_fixture.h"

namespace dhrt::test {

// --- Writes ---------------------------------------------------------------------------------

TEST_CASE("levels: quorum is a majority that has it durably, ourselves included") {
  Voting node;
  node.wait(WriteLevel::quorum);
  CHECK(node.outcome() == "");
  node.has(node.two, 4);
  CHECK(node.outcome() == "");
  node.has(node.two, 5);
  CHECK(node.outcome() == "2/2 yes");
}

TEST_CASE("levels: what was told before counts, and a link that breaks afterwards takes nothing") {
  Voting node({1, 2, 3, 4, 5});
  node.has(node.two, 9);
  node.wait(WriteLevel::quorum);
  CHECK(node.outcome() == "");
  node.input(ConnectionDown{node.two});
  node.has(node.three, 5);
  CHECK(node.outcome() == "3/3 yes");
}

TEST_CASE("levels: all is every voter, the dead and those who left included") {
  Voting node({1, 2, 3, 4});
  Member gone = voter(4);
  gone.liveness = Liveness::left;
  node.learn(gone);
  node.wait(WriteLevel::all);
  node.has(node.two, 5);
  node.has(node.three, 5);
  CHECK(node.outcome() == "");
  node.tick_for(6s);
  CHECK(node.outcome() == "3/4 no");
}

TEST_CASE("levels: those who are away stay in the denominator") {
  Voting node({1, 2, 3, 4, 5});
  for (const NodeId id : {4, 5}) {
    Member away = voter(id);
    away.liveness = id == 4 ? Liveness::dead : Liveness::left;
    node.learn(away);
  }
  node.wait(WriteLevel::quorum);
  node.has(node.two, 5);
  CHECK(node.outcome() == "");
  node.tick_for(6s);
  CHECK(node.outcome() == "2/3 no");
}

TEST_CASE("levels: a wait ends with its time, once") {
  Voting node;
  node.wait(WriteLevel::quorum);
  node.tick_for(4s);
  CHECK(node.outcome() == "");
  node.tick_for(2s);
  CHECK(node.outcome() == "1/2 no");
  node.clear();
  node.has(node.two, 9);
  node.tick_for(6s);
  CHECK(node.outcome() == "");
}

TEST_CASE("levels: of many waits those end whose last write a peer has, whatever their order") {
  Voting node;
  node.clear();
  const CollectionRef others{"others", 1};
  node.input(StoreChanged{others, dots(1, 1, 9), {}});
  node.input(WaitForLevel{1, WriteLevel::quorum, {{users, dot(1, 7)}}});
  node.input(WaitForLevel{2, WriteLevel::quorum, {{users, dot(1, 5)}}});
  node.input(WaitForLevel{3, WriteLevel::all, {{users, dot(1, 5)}}});
  node.input(WaitForLevel{4, WriteLevel::quorum, {{users, dot(1, 4)}, {others, dot(1, 2)}}});
  node.input(WaitForLevel{5, WriteLevel::quorum, {{others, dot(1, 2)}}});
  const auto reached = [&] {
    std::vector<std::uint64_t> requests;
    for (const LevelReached& level : node.actions<LevelReached>())
      requests.push_back(level.request);
    std::ranges::sort(requests);
    node.clear();
    return requests;
  };
  using Requests = std::vector<std::uint64_t>;
  node.has(node.two, 4);
  CHECK(reached().empty());
  node.has(node.two, 6);
  CHECK(reached() == Requests{2});
  node.receive(node.three, WriteAck{.tips = {{others, 0, {1, 1, 0}, 2}}});
  CHECK(reached() == Requests{5});
  node.has(node.three, 6);  // Which has all of 4 now, and is the third of 3.
  CHECK(reached() == Requests{3, 4});
  node.has(node.three, 9);
  CHECK(reached() == Requests{1});
}

TEST_CASE("levels: nobody waits for what was dropped") {
  Voting node;
  node.wait(WriteLevel::all);
  node.input(CollectionGone{users});
  node.tick_for(200ms);
  CHECK(node.outcome() == "3/3 yes");
}

// --- Reads ----------------------------------------------------------------------------------

TEST_CASE("levels: a read at quorum is the newest of a majority, and repairs who has less") {
  Voting node;
  node.ask(ReadLevel::quorum);
  node.own(value(3));
  CHECK(node.read_outcome() == "");
  node.answer(node.two, value(5));
  CHECK(node.read_outcome() == "2/2 yes");
  CHECK(node.read_record() == value(5));
  // This node itself had less; so has another one, later.
  REQUIRE(node.actions<ApplyRecords>().size() == 1);
  CHECK(node.actions<ApplyRecords>().front().records.front().record == value(5));
  CHECK(node.sent<StoreRecord>().empty());
  node.answer(node.three, std::nullopt);
  REQUIRE(node.sent<StoreRecord>(node.three).size() == 1);
  CHECK(node.sent<StoreRecord>(node.three).front().record.record == value(5));
}

TEST_CASE("levels: nothing is an answer, too") {
  Voting node;
  node.ask(ReadLevel::linear);
  node.own(std::nullopt);
  node.answer(node.three, std::nullopt);
  CHECK(node.read_outcome() == "2/2 yes");
  CHECK_FALSE(node.read_record());
}

TEST_CASE("levels: a read at linear answers when a majority has what it found") {
  Voting node;
  node.ask(ReadLevel::linear);
  node.own(value(3));
  node.answer(node.two, value(5));
  CHECK(node.read_outcome() == "");
  const auto applied = node.actions<ApplyRecords>();
  REQUIRE(applied.size() == 1);
  node.input(Applied{applied.front().token, false});
  CHECK(node.read_outcome() == "");
  node.answer(node.three, std::nullopt);
  node.stored(node.three);
  CHECK(node.read_outcome() == "2/2 yes");
  CHECK(node.read_record() == value(5));
}

TEST_CASE("levels: a read at linear writes nothing where a majority has it already") {
  Voting node;
  node.ask(ReadLevel::linear);
  node.answer(node.two, value(5));
  node.answer(node.three, value(5));
  CHECK(node.read_outcome() == "2/2 yes");
  CHECK(node.sent<StoreRecord>().empty());
}

TEST_CASE("levels: who is not healthy has no vote, but what it shows counts") {
  Voting node;
  node.ask(ReadLevel::quorum);
  node.own(value(1));
  node.answer(node.two, value(5), false);
  CHECK(node.read_outcome() == "");
  node.answer(node.three, value(2));
  CHECK(node.read_outcome() == "2/2 yes");
  CHECK(node.read_record() == value(5));
}

TEST_CASE("levels: what several nodes counted is read as their sum") {
  const auto counted = [](NodeId node, std::int64_t more) {
    Record record{.version = {node, node}, .dot = dot(node, 1), .value = std::to_string(more)};
    record.attributes =
        count_on(nullptr, false, {.origin = {node, 1, 0}, .hlc = node, .more = more}, {});
    return record;
  };
  Voting node;
  node.ask(ReadLevel::quorum);
  node.answer(node.two, counted(2, 3));
  node.answer(node.three, counted(3, 4));
  REQUIRE(node.read_record());
  CHECK(node.read_record()->value == "7");
  // Each gets what it lacks, under its own dot.
  REQUIRE(node.sent<StoreRecord>(node.two).size() == 1);
  CHECK(node.sent<StoreRecord>(node.two).front().record.record == counted(3, 4));
  REQUIRE(node.sent<StoreRecord>(node.three).size() == 1);
  CHECK(node.sent<StoreRecord>(node.three).front().record.record == counted(2, 3));
}

TEST_CASE("levels: who is called dead has what it had, and its vote") {
  Voting node;
  Member accused = node.core().self();
  accused.liveness = Liveness::dead;
  accused.died = accused.incarnation;
  node.learn(accused);
  REQUIRE(node.core().state() != MemberState::healthy);
  node.ask(ReadLevel::quorum);
  node.own(value(5));
  node.answer(node.two, value(4));
  CHECK(node.read_outcome() == "2/2 yes");
}

TEST_CASE("levels: a read that too few answer ends with its time") {
  Voting node;
  node.ask(ReadLevel::quorum);
  node.own(value(5));
  node.tick_for(3s);
  CHECK(node.read_outcome() == "1/2 no");
  CHECK_FALSE(node.read_record());
}

TEST_CASE("levels: a voter that cannot be asked is asked when it is linked, if that is in time") {
  Voting node;
  node.input(ConnectionDown{node.two});
  node.ask(ReadLevel::quorum);
  node.own(value(5));
  // The third was asked, and its answer is lost.
  node.input(ConnectionDown{node.three});
  CHECK(node.read_outcome() == "");
  const ConnectionId two = node.link(hello_of(voter(2)));
  node.answer(two, value(6));
  CHECK(node.read_outcome() == "2/2 yes");
  CHECK(node.read_record() == value(6));
  node.clear();
  CHECK(node.sent<DurableRead>(node.link(hello_of(voter(3)))).empty());
}

TEST_CASE("levels: what a life of the collection that is over shows does not count") {
  Voting node;
  node.ask(ReadLevel::quorum);
  node.answer(node.two, value(9), true, 1);
  node.answer(node.three, value(4), true, 2);
  CHECK(node.read_record() == value(4));
}

TEST_CASE("levels: who is given up keeps its vote") {
  Voting node;
  Member gone = voter(3);
  gone.liveness = Liveness::evicted;
  node.learn(gone);
  node.wait(WriteLevel::all);
  node.has(node.two, 5);
  CHECK(node.outcome().empty());
  node.tick_for(6s);
  CHECK(node.outcome() == "2/3 no");
}

TEST_CASE("levels: a question for the version writes nothing") {
  Voting node;
  node.ask(ReadLevel::linear, ReadWant::version);
  CHECK(node.sent<DurableRead>(node.two).front().want == ReadWant::version);
  node.own(value(3));
  node.answer(node.two, value(5));
  CHECK(node.read_outcome() == "2/2 yes");
  CHECK(node.sent<StoreRecord>().empty());
  CHECK(node.actions<ApplyRecords>().empty());
}

TEST_CASE("levels: a record that another voter has forgotten the delete of is none") {
  for (const bool is_first : {true, false}) {
    CAPTURE(is_first);
    Voting node;
    node.ask(ReadLevel::linear);
    if (is_first) node.answer_having_seen(node.two, std::nullopt, dots(1, 1, 5));
    node.answer(node.three, value(5));
    if (!is_first) node.answer_having_seen(node.two, std::nullopt, dots(1, 1, 5));
    // Its tombstone is brought to who shows it; with that it is with two of three.
    CHECK(node.actions<FanoutReply>().empty());
    REQUIRE(node.sent<StoreRecord>(node.three).size() == 1);
    CHECK(node.sent<StoreRecord>(node.two).empty());
    CHECK(node.sent<StoreRecord>(node.three).front().record.record == tombstone_of(value(5)));
    node.stored(node.three);
    REQUIRE(node.actions<FanoutReply>().size() == 1);
    CHECK(node.actions<FanoutReply>().front().forgotten_hlc == 99);
    CHECK(node.read_record() == tombstone_of(value(5)));
  }
}

TEST_CASE("levels: who has an older record may know that a newer one is deleted, and is told so") {
  Voting node;
  node.ask(ReadLevel::linear);
  node.answer(node.three, value(5));
  node.answer_having_seen(node.two, value(4), dots(1, 1, 5));
  CHECK(node.actions<FanoutReply>().empty());
  for (const ConnectionId peer : {node.two, node.three}) {
    REQUIRE(node.sent<StoreRecord>(peer).size() == 1);
    CHECK(node.sent<StoreRecord>(peer).front().record.record == tombstone_of(value(5)));
  }
  node.stored(node.two);
  CHECK(node.actions<FanoutReply>().empty());
  node.stored(node.three);
  CHECK(node.read_record() == tombstone_of(value(5)));
}

TEST_CASE("levels: what its own holder has seen does not bury a record") {
  Voting node;
  node.ask(ReadLevel::quorum);
  node.answer_having_seen(node.two, value(5), dots(1, 1, 9));
  node.own(std::nullopt);
  CHECK(node.read_record() == value(5));
}

TEST_CASE("levels: a record that who has nothing never saw is brought to it") {
  Voting node;
  node.ask(ReadLevel::linear);
  node.answer_having_seen(node.two, std::nullopt, dots(1, 1, 4));
  node.own(value(5));
  REQUIRE(node.sent<StoreRecord>(node.two).size() == 1);
  CHECK(node.sent<StoreRecord>(node.two).front().record.record == value(5));
}

TEST_CASE("levels: what was forgotten of a life of the collection that is over says nothing") {
  Voting node;
  node.ask(ReadLevel::quorum);
  node.answer_having_seen(node.two, std::nullopt, dots(1, 1, 5));
  node.answer(node.three, value(5), true, 2);
  CHECK(node.read_record() == value(5));
}

TEST_CASE("levels: who has nothing says what it has seen") {
  Voting node;
  node.receive(node.two, DurableRead{5, "users", "k", ReadWant::value});
  node.input(LocalRead{.token = node.actions<ReadLocal>().front().token,
                       .record = std::nullopt,
                       .generation = 1,
                       .forgotten = {dots(1, 1, 7), 8}});
  REQUIRE(node.sent<DurableReadReply>(node.two).size() == 1);
  CHECK(node.sent<DurableReadReply>(node.two).front().forgotten.dots == dots(1, 1, 7));
  CHECK(node.sent<DurableReadReply>(node.two).front().forgotten.hlc == 8);
}

// --- The other side -------------------------------------------------------------------------

TEST_CASE("levels: a peer is shown a record when it is durable here") {
  Voting node;
  node.receive(node.two, DurableRead{5, "users", "k", ReadWant::version});
  const auto reads = node.actions<ReadLocal>();
  REQUIRE(reads.size() == 1);
  node.input(LocalRead{.token = reads.front().token, .record = value(12), .generation = 1});
  CHECK(node.sent<DurableReadReply>().empty());
  node.input(StoreChanged{users, dots(1, 1, 11), {}});
  CHECK(node.sent<DurableReadReply>().empty());
  node.input(StoreChanged{users, dots(1, 1, 12), {}});
  const auto replies = node.sent<DurableReadReply>(node.two);
  REQUIRE(replies.size() == 1);
  CHECK(replies.front().request == 5);
  CHECK(replies.front().synced);
  CHECK(replies.front().generation == 1);
  REQUIRE(replies.front().record);
  CHECK(replies.front().record->dot == dot(1, 12));
  CHECK(replies.front().record->value.empty());  // Only the version was asked for.
}

TEST_CASE("levels: what a flush has deleted is shown when the flush is durable here") {
  Voting node;
  node.receive(node.two, DurableRead{5, "users", "k", ReadWant::value});
  Record deleted = value(3);
  deleted.deleted = true;
  node.input(LocalRead{.token = node.actions<ReadLocal>().front().token,
                       .record = deleted,
                       .generation = 1,
                       .flushed = true});
  // Its dot has long been durable; a power cut would bring it back alive.
  node.input(StoreChanged{users, dots(1, 1, 10), {}});
  CHECK(node.sent<DurableReadReply>().empty());
  node.input(StoreChanged{users, dots(1, 1, 10), dots(1, 1, 10)});
  REQUIRE(node.sent<DurableReadReply>(node.two).size() == 1);
  CHECK(node.sent<DurableReadReply>(node.two).front().record->deleted);
}

TEST_CASE("levels: values that wait to be durable have so much room; the others are read again") {
  CoreOptions options = one_of({1, 2, 3});
  options.cluster.durable_reads_bytes_max = 10;
  Scripted node(options);
  const ConnectionId two = node.link(hello_of(voter(2)));
  node.input(StoreChanged{users, dots(1, 1, 9), {}});
  const auto ask = [&](std::uint64_t request, const std::string& text) {
    node.clear();
    node.receive(two, DurableRead{request, "users", "k", ReadWant::value});
    Record record = value(12);
    record.value = text;
    node.input(LocalRead{
        .token = node.actions<ReadLocal>().front().token, .record = record, .generation = 1});
  };
  ask(1, "ten bytes.");
  ask(2, "more");
  node.clear();
  node.input(StoreChanged{users, dots(1, 1, 12), {}});
  REQUIRE(node.sent<DurableReadReply>(two).size() == 1);
  CHECK(node.sent<DurableReadReply>(two).front().request == 1);
  const auto again = node.actions<ReadLocal>();
  REQUIRE(again.size() == 1);
  Record now = value(12);
  now.value = "more";
  node.input(LocalRead{.token = again.front().token, .record = now, .generation = 1});
  REQUIRE(node.sent<DurableReadReply>(two).size() == 2);
  CHECK(node.sent<DurableReadReply>(two).back().request == 2);
  CHECK(node.sent<DurableReadReply>(two).back().record->value == "more");
}

TEST_CASE("levels: values whose readers have given up make room") {
  CoreOptions options = one_of({1, 2, 3});
  options.cluster.durable_reads_bytes_max = 10;
  Scripted node(options);
  const ConnectionId two = node.link(hello_of(voter(2)));
  node.input(StoreChanged{users, dots(1, 1, 9), {}});
  for (const std::uint64_t request : {1, 2}) {
    node.clear();
    node.receive(two, DurableRead{request, "users", "k", ReadWant::value});
    Record record = value(12);
    record.value = "ten bytes.";
    node.input(LocalRead{
        .token = node.actions<ReadLocal>().front().token, .record = record, .generation = 1});
    if (request == 1) node.tick_for(3s);
  }
  node.input(StoreChanged{users, dots(1, 1, 12), {}});
  // Not read again, and not the first one.
  REQUIRE(node.sent<DurableReadReply>(two).size() == 1);
  CHECK(node.sent<DurableReadReply>(two).front().request == 2);
}

TEST_CASE("levels: what a store cannot tell is no answer") {
  Voting node;
  node.receive(node.two, DurableRead{5, "users", "k", ReadWant::value});
  node.input(
      LocalRead{.token = node.actions<ReadLocal>().front().token, .generation = 1, .ok = false});
  CHECK(node.sent<DurableReadReply>().empty());
}

TEST_CASE("levels: a peer's record is stored, answered when durable, and shown from then on") {
  Voting node;
  const Record foreign = record("k", dot(3, 7), 7).record;
  node.receive(node.two, StoreRecord{8, users, {"k", foreign}});
  const auto applied = node.actions<ApplyRecords>();
  REQUIRE(applied.size() == 1);
  CHECK(applied.front().collection == users);
  CHECK(node.sent<StoreReply>().empty());
  // Its dot must be in the context, or it would not be known to be durable after the next start.
  node.input(Applied{applied.front().token, true});
  const auto merged = node.actions<MergeContext>();
  REQUIRE(merged.size() == 1);
  CHECK(merged.front().collection == users);
  CHECK(merged.front().vector.contains(foreign.dot));
  CHECK(node.sent<StoreReply>().empty());
  node.input(Applied{merged.front().token, true});
  REQUIRE(node.sent<StoreReply>(node.two).size() == 1);
  CHECK(node.sent<StoreReply>(node.two).front().request == 8);
  CHECK(node.sent<StoreReply>(node.two).front().stored);
  // Before its dot is in the context.
  node.receive(node.three, DurableRead{9, "users", "k", ReadWant::value});
  node.input(LocalRead{
      .token = node.actions<ReadLocal>().back().token, .record = foreign, .generation = 1});
  CHECK(node.sent<DurableReadReply>(node.three).size() == 1);
}

TEST_CASE("levels: answers to nothing that was asked are ignored") {
  Voting node;
  node.receive(node.two, DurableReadReply{77, true, 1, value(5), {}});
  node.receive(node.two, StoreReply{77, true});
  node.ask(ReadLevel::linear);
  const std::uint64_t request = node.sent<DurableRead>(node.two).front().request;
  node.receive(node.two, StoreReply{request, true});
  node.answer(node.two, value(5));
  node.receive(node.two, DurableReadReply{request, true, 1, value(9), {}});
  node.own(value(5));
  CHECK(node.read_record() == value(5));
}

TEST_CASE("levels: reads beyond the limit are answered as if time was up") {
  CoreOptions options = one_of({1, 2});
  options.cluster.quorum_reads_max = 1;
  Scripted node(options);
  node.link(hello_of(voter(2)));
  node.input(FanoutRead{1, "users", "k", ReadLevel::quorum});
  node.clear();
  node.input(FanoutRead{2, "users", "k", ReadLevel::quorum});
  REQUIRE(node.actions<FanoutReply>().size() == 1);
  CHECK_FALSE(node.actions<FanoutReply>().front().tally.reached);
}

TEST_CASE("levels: reads that are answered, and wait for who may lack something, make room") {
  CoreOptions options = one_of({1, 2, 3});
  options.cluster.quorum_reads_max = 1;
  Scripted node(options);
  const ConnectionId two = node.link(hello_of(voter(2)));
  const ConnectionId three = node.link(hello_of(voter(3)));
  const auto ask = [&](std::uint64_t request) {
    node.clear();
    node.input(FanoutRead{request, "users", "k", ReadLevel::quorum});
    REQUIRE(node.sent<DurableRead>(two).size() == 1);
    const std::uint64_t question = node.sent<DurableRead>(two).front().request;
    node.receive(two, DurableReadReply{question, true, 1, value(5), {}});
    return question;
  };
  const std::uint64_t first = ask(1);
  node.receive(three, DurableReadReply{first, true, 1, value(5), {}});
  REQUIRE(node.actions<FanoutReply>().size() == 1);
  ask(2);  // This node itself has not answered the first yet.
  CHECK(node.actions<FanoutReply>().empty());
  SUBCASE("a link that breaks brings no answer, and no reason to wait") {
    node.input(ConnectionDown{three});
    CHECK(node.actions<FanoutReply>().empty());
    node.tick_for(3s);
    REQUIRE(node.actions<FanoutReply>().size() == 1);
    CHECK_FALSE(node.actions<FanoutReply>().front().tally.reached);
  }
}

}  // namespace dhrt::test
