// A core that is one of several voters, whose other voters are played by the test.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

namespace dhrt::test {

inline Member voter(NodeId id) {
  Member voting = healthy(member(id));
  voting.features = feature::levels;
  return voting;
}

inline Member joining(NodeId id) {
  Member new_one = member(id);
  new_one.features = feature::levels;
  return new_one;
}

inline LocalWrites first_write(NodeId node) {
  return {users, batch_with({record("k", dot(node, 1))}), {}};
}

inline CoreOptions one_of(std::vector<NodeId> voters) {
  CoreOptions options = core_options(1);
  options.layout = {.cluster = our_cluster, .layout = {.voters = std::move(voters)}};
  return options;
}

// Node 1 of three voters; 2 and 3 are linked.
class Voting : public Scripted {
 public:
  explicit Voting(std::vector<NodeId> voters = {1, 2, 3})
      : Scripted(one_of(std::move(voters))),
        two(link(hello_of(voter(2)))),
        three(link(hello_of(voter(3)))) {
    input(StoreChanged{users, dots(1, 1, 9), {}});
    clear();
  }

  void learn(Member about) { receive(two, Members{false, {std::move(about)}}); }

  // --- Writes.
  void wait(WriteLevel level, std::uint64_t sequence = 5) {
    clear();
    input(WaitForLevel{7, level, {{users, dot(1, sequence)}}});
  }
  void has(ConnectionId peer, std::uint64_t sequence) {
    receive(peer, WriteAck{.tips = {{users, 0, {1, 1, 0}, sequence}}});
  }
  // "2/2 yes", or empty while it waits.
  std::string outcome() const {
    const auto reached = actions<LevelReached>();
    return reached.empty() ? "" : text(reached.front().tally);
  }

  // --- Reads.
  void ask(ReadLevel level, ReadWant want = ReadWant::value) {
    clear();
    input(FanoutRead{42, "users", "k", level, want});
  }
  // What this node's own store says.
  void own(std::optional<Record> record) {
    const auto reads = actions<ReadLocal>();
    REQUIRE(reads.size() == 1);
    input(LocalRead{.token = reads.front().token, .record = std::move(record), .generation = 1});
  }
  void answer(ConnectionId from, std::optional<Record> record, bool synced = true,
              std::uint32_t generation = 1, Forgotten forgotten = {}) {
    const auto reads = sent<DurableRead>(from);
    REQUIRE(reads.size() == 1);
    receive(from, DurableReadReply{.request = reads.front().request,
                                   .synced = synced,
                                   .generation = generation,
                                   .record = std::move(record),
                                   .forgotten = std::move(forgotten)});
  }
  // The same by who has forgotten deletes, and has seen these dots.
  void answer_having_seen(ConnectionId from, std::optional<Record> record, Context seen) {
    answer(from, std::move(record), true, 1, {std::move(seen), 99});
  }
  void stored(ConnectionId from) {
    const auto stores = sent<StoreRecord>(from);
    REQUIRE(stores.size() == 1);
    receive(from, StoreReply{stores.front().request, true});
  }
  std::string read_outcome() const {
    const auto replies = actions<FanoutReply>();
    if (replies.empty()) return "";
    return text(replies.front().tally);
  }
  std::optional<Record> read_record() const {
    const auto replies = actions<FanoutReply>();
    REQUIRE(replies.size() == 1);
    return replies.front().record;
  }

  ConnectionId two, three;

 private:
  static std::string text(const Tally& tally) {
    return std::to_string(tally.applied) + "/" + std::to_string(tally.need) +
           (tally.reached ? " yes" : " no");
  }
};

inline Record value(std::uint64_t sequence) {
  return record("k", dot(1, sequence), sequence).record;
}

inline VoteRequest request_of(NodeId node, std::uint64_t round, VotePhase phase) {
  return {our_cluster, {1, 2, 3}, {round, node}, phase};
}

// Node 1 of three voters, whom 8 and 9 ask.
struct Asked : Voting {
  Asked() {
    input(first_write(1));  // The cluster stays.
    eight = link(hello_of(healthy(joining(8))));
    nine = link(hello_of(healthy(joining(9))));
  }
  VoteReply reply(NodeId node, std::uint64_t round, VotePhase phase) {
    clear();
    const ConnectionId from = node == 8 ? eight : nine;
    receive(from, request_of(node, round, phase));
    const auto notes = actions<NoteLayout>();
    // Nothing is answered before it is on the disk.
    if (!notes.empty()) {
      CHECK(sent<VoteReply>(from).empty());
      input(LayoutNoted{notes.back().number, true});
    }
    REQUIRE(sent<VoteReply>(from).size() == 1);
    return sent<VoteReply>(from).front();
  }
  ConnectionId eight, nine;
};

inline void check_retired(Wired& nodes, std::size_t node, std::vector<NodeId> voters,
                          NodeId retired) {
  CAPTURE(node);
  Layout layout = nodes[node].layout();
  std::ranges::sort(layout.voters);
  CHECK(layout.voters == voters);
  CHECK(layout.retired == std::vector{retired});
  CHECK(layout.next.none());
  CHECK_FALSE(nodes[node].is_retiring_somebody());
}

}  // namespace dhrt::test
