// Reads that other nodes answer.
#include "cluster/fanout.h"

#include <map>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

using namespace dhrt;
using namespace dhrt::test;

namespace {

Record value(std::uint64_t hlc) {
  return record("k", dot(2, hlc), hlc).record;
}
Record tombstone(std::uint64_t hlc) {
  return tombstone_of(value(hlc));
}

// A node that asks its healthy peers 2 and 3 for a key.
class Asking : public Scripted {
 public:
  Asking() : two(link(2)), three(link(3)) {}

  void ask(bool waits_for_all = false) {
    clear();
    input(FanoutRead{
        .request = 42, .collection = "users", .key = "k", .waits_for_all = waits_for_all});
  }
  void answer(ConnectionId from, std::optional<Record> record, bool synced = true) {
    const auto reads = sent<Read>(from);
    REQUIRE_FALSE(reads.empty());
    receive(from, ReadReply{reads.back().request, synced, std::move(record)});
  }
  // Absent: the client is still waiting.
  std::optional<FanoutReply> reply() const {
    const auto replies = actions<FanoutReply>();
    REQUIRE(replies.size() <= 1);
    if (replies.empty()) return std::nullopt;
    CHECK(replies.front().request == 42);
    return replies.front();
  }

  ConnectionId two, three;
};

}  // namespace

TEST_CASE("fanout: the first node that has the key wins, later answers change nothing") {
  Asking node;
  node.ask();
  node.answer(node.two, value(5));
  REQUIRE(node.reply());
  CHECK(node.reply()->record == value(5));
  CHECK_FALSE(node.reply()->partial);
  node.answer(node.three, value(6));
  CHECK(node.reply()->record == value(5));
}

TEST_CASE("fanout: the newest of all is waited for if it is wanted") {
  Asking node;
  node.ask(true);
  SUBCASE("the first is older") {
    node.answer(node.two, value(5));
    CHECK(!node.reply());
    node.answer(node.three, value(6));
    REQUIRE(node.reply());
    CHECK(node.reply()->record == value(6));
    CHECK(!node.reply()->partial);
  }
  SUBCASE("the first is newer") {
    node.answer(node.two, value(6));
    CHECK(!node.reply());
    node.answer(node.three, value(5));
    REQUIRE(node.reply());
    CHECK(node.reply()->record == value(6));
  }
  SUBCASE("one does not answer") {
    node.answer(node.two, value(5));
    node.tick_for(ClusterOptions().read_timeout + 1s);
    REQUIRE(node.reply());
    CHECK(node.reply()->record == value(5));
    CHECK(node.reply()->partial);
  }
}

TEST_CASE("fanout: nothing is found only when all have said so") {
  Asking node;
  node.ask();
  node.answer(node.two, std::nullopt);
  CHECK_FALSE(node.reply());
  SUBCASE("the same node twice is not all") {
    node.answer(node.two, std::nullopt);
    CHECK_FALSE(node.reply());
  }
  node.answer(node.three, std::nullopt);
  REQUIRE(node.reply());
  CHECK_FALSE(node.reply()->record);
  CHECK_FALSE(node.reply()->partial);
}

TEST_CASE("fanout: a delete beats an older value, and gives way to a newer one") {
  Asking node;
  node.ask();
  node.answer(node.two, tombstone(5));
  CHECK_FALSE(node.reply());
  SUBCASE("older") {
    node.answer(node.three, value(4));
    REQUIRE(node.reply());
    CHECK(node.reply()->record == tombstone(5));
  }
  SUBCASE("newer") {
    node.answer(node.three, value(6));
    REQUIRE(node.reply());
    CHECK(node.reply()->record == value(6));
  }
  SUBCASE("of two deletes the newer is told") {
    node.answer(node.three, tombstone(6));
    REQUIRE(node.reply());
    CHECK(node.reply()->record == tombstone(6));
  }
}

TEST_CASE("fanout: who did not answer makes the result partial") {
  Asking node;
  node.ask();
  node.answer(node.two, std::nullopt);
  SUBCASE("its time is up") {
    node.tick_for(1900ms);
    CHECK_FALSE(node.reply());
    node.tick_for(100ms);
  }
  SUBCASE("its link broke") {
    node.input(ConnectionDown{node.three});
  }
  SUBCASE("it is not healthy any more: it may not have the key yet") {
    node.answer(node.three, std::nullopt, false);
  }
  REQUIRE(node.reply());
  CHECK_FALSE(node.reply()->record);
  CHECK(node.reply()->partial);
}

TEST_CASE("fanout: members that are not asked, and whether they may have the key") {
  struct Case {
    const char* why;
    Liveness liveness;
    Attestation synced;
    bool partial;
  };
  for (const Case& c : {
           Case{"a suspect may", Liveness::suspect, {1, 10}, true},
           Case{"a dead one may", Liveness::dead, {1, 10}, true},
           Case{"who never was in step has nothing of its own", Liveness::alive, {0, 0}, false},
           Case{"who left is no member of reads", Liveness::left, {1, 10}, false},
       }) {
    CAPTURE(c.why);
    Asking node;
    Member fourth = member(4);
    fourth.liveness = c.liveness;
    fourth.synced = c.synced;
    node.receive(node.two, Members{false, {fourth}});
    node.ask();
    node.answer(node.two, std::nullopt);
    node.answer(node.three, std::nullopt);
    REQUIRE(node.reply());
    CHECK(node.reply()->partial == c.partial);
  }
}

TEST_CASE("fanout: a node without peers answers at once") {
  Scripted node(1);
  node.input(FanoutRead{.request = 42, .collection = "users", .key = "k"});
  REQUIRE(node.actions<FanoutReply>().size() == 1);
  CHECK_FALSE(node.actions<FanoutReply>().front().partial);
}

TEST_CASE("fanout: beyond its limit a read is answered at once, as partial") {
  Asking node;
  for (std::size_t i = 0; i < ClusterOptions{}.fanout_reads_max; ++i)
    node.input(FanoutRead{.request = 1, .collection = "users", .key = "k"});
  CHECK(node.actions<FanoutReply>().empty());
  node.ask();
  REQUIRE(node.reply());
  CHECK(node.reply()->partial);
}

// --- Many clients, one key ------------------------------------------------------------------

namespace {

// Clients that come one after the other.
class Crowd : public Asking {
 public:
  void come(std::uint64_t request, const std::string& key = "k", bool waits_for_all = false) {
    clear();
    input(FanoutRead{
        .request = request, .collection = "users", .key = key, .waits_for_all = waits_for_all});
  }
  // What was asked of a peer, in the last input.
  std::size_t questions(ConnectionId peer) const { return sent<Read>(peer).size(); }
  void answer(ConnectionId from, std::uint64_t question, std::optional<Record> record) {
    clear();
    receive(from, ReadReply{question, true, std::move(record)});
  }
  // Clients that are answered in the last input, with the version that they are shown, or 0.
  std::map<std::uint64_t, std::uint64_t> answered() const {
    std::map<std::uint64_t, std::uint64_t> result;
    for (const FanoutReply& reply : actions<FanoutReply>())
      CHECK(result.emplace(reply.request, reply.record ? reply.record->version.hlc : 0).second);
    return result;
  }
  std::uint64_t question(ConnectionId peer) const {
    const auto reads = sent<Read>(peer);
    REQUIRE(reads.size() == 1);
    return reads.back().request;
  }
};

using Answered = std::map<std::uint64_t, std::uint64_t>;

}  // namespace

TEST_CASE("fanout: who comes while a key is asked for shares the next question") {
  Crowd node;
  node.come(1);
  const std::uint64_t first = node.question(node.two);
  for (const std::uint64_t client : {2, 3, 4}) {
    node.come(client);
    CHECK(node.questions(node.two) == 0);
  }
  // Not the one under way: what was written since it passed a node would be missed.
  node.answer(node.two, first, value(5));
  CHECK(node.answered() == Answered{{1, 5}});
  const std::uint64_t second = node.question(node.three);
  CHECK(second != first);
  node.answer(node.three, first, value(7));  // Too late, and of another question.
  CHECK(node.answered().empty());
  node.answer(node.three, second, value(6));
  CHECK(node.answered() == Answered{{2, 6}, {3, 6}, {4, 6}});
  CHECK(node.questions(node.two) == 0);
  node.come(5);
  CHECK(node.questions(node.two) == 1);
}

TEST_CASE("fanout: only those who want the same share a question") {
  Crowd node;
  node.come(1);
  node.come(2, "another key");
  CHECK(node.questions(node.two) == 1);
  node.come(3, "k", true);
  CHECK(node.questions(node.two) == 1);
  node.clear();
  node.input(FanoutRead{.request = 4, .collection = "orders", .key = "k"});
  CHECK(node.questions(node.two) == 1);
}

TEST_CASE("fanout: a question that hangs holds up those that it is of, and nobody else") {
  Crowd node;
  node.come(1);
  const std::uint64_t first = node.question(node.two);
  node.come(2);
  node.come(3);
  node.clear();
  node.tick_for(100ms);
  const std::uint64_t second = node.question(node.two);
  CHECK(node.answered().empty());
  node.come(4);
  CHECK(node.questions(node.two) == 0);
  SUBCASE("a later one may end before it") {
    node.answer(node.three, second, value(5));
    CHECK(node.answered() == Answered{{2, 5}, {3, 5}});
    const std::uint64_t third = node.question(node.two);
    node.answer(node.two, third, value(6));
    CHECK(node.answered() == Answered{{4, 6}});
    node.come(5);  // The first is still under way.
    node.answer(node.two, node.question(node.two), value(7));
    CHECK(node.answered() == Answered{{5, 7}});
    node.answer(node.two, first, value(4));
    CHECK(node.answered() == Answered{{1, 4}});
    CHECK(node.questions(node.three) == 0);
  }
  SUBCASE("and the first ends at its own time") {
    node.clear();
    node.tick_for(1900ms);
    CHECK(node.answered() == Answered{{1, 0}});
    for (const FanoutReply& reply : node.actions<FanoutReply>())
      CHECK(reply.partial);
    node.clear();
    node.tick_for(100ms);
    CHECK(node.answered() == Answered{{2, 0}, {3, 0}});
    node.clear();
    node.tick_for(100ms);
    CHECK(node.answered() == Answered{{4, 0}});
  }
}

TEST_CASE("fanout: who waits for a question is answered when there is nobody left to ask") {
  Crowd node;
  node.come(1);
  node.come(2);
  node.clear();
  node.input(ConnectionDown{node.two});
  CHECK(node.answered().empty());
  node.input(ConnectionDown{node.three});
  CHECK(node.answered() == Answered{{1, 0}, {2, 0}});
  for (const FanoutReply& reply : node.actions<FanoutReply>())
    CHECK(reply.partial);
}

TEST_CASE("fanout: answers that nobody asked for are ignored") {
  Asking node;
  node.ask();
  node.receive(node.two, ReadReply{12345, true, value(5)});
  const ConnectionId stranger = node.link(4);
  node.receive(stranger, ReadReply{node.sent<Read>().back().request, true, value(5)});
  CHECK_FALSE(node.reply());
}
