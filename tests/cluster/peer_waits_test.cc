// Waiting until peers have durably what was written here.
#include "cluster/peer_waits.h"

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

namespace dhrt::test {
namespace {

// What a loop of node 1 wrote: so many records of "users".
LocalWrites writes(std::uint64_t first, std::uint64_t last, std::uint16_t loop = 0) {
  std::vector<KeyedRecord> records;
  for (std::uint64_t sequence = first; sequence <= last; ++sequence)
    records.push_back(record("k" + std::to_string(sequence), {{1, 1, loop}, sequence}));
  return {.collection = users, .records = batch_with(records), .flushed = {}};
}

WriteAck has(std::uint64_t sequence, std::uint16_t loop = 0) {
  return {.tips = {{users, 0, {1, 1, loop}, sequence}}};
}

std::vector<std::pair<std::uint64_t, std::uint64_t>> answers(Scripted& node) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> found;
  for (const Waited& waited : node.actions<Waited>())
    found.emplace_back(waited.request, waited.peers);
  node.clear();
  return found;
}

using Answers = std::vector<std::pair<std::uint64_t, std::uint64_t>>;

}  // namespace

TEST_CASE("waits: a wait is over when enough peers have all that was written before it") {
  Scripted node;
  const ConnectionId two = node.link(2);
  const ConnectionId three = node.link(3);
  node.input(writes(1, 5));
  node.input(WaitForPeers{.request = 7, .loop = 0, .peers = 2});
  CHECK(answers(node).empty());
  node.receive(two, has(4));
  node.receive(three, has(5));
  CHECK(answers(node).empty());
  // What comes behind it is not waited for.
  node.input(writes(6, 9));
  node.receive(two, has(5));
  CHECK(answers(node) == Answers{{7, 2}});
  node.receive(two, has(9));
  CHECK(answers(node).empty());
}

TEST_CASE("waits: what is known already is answered at once, with all who have it") {
  Scripted node;
  const ConnectionId two = node.link(2);
  const ConnectionId three = node.link(3);
  node.input(writes(1, 5));
  node.receive(two, has(5));
  node.receive(three, has(5));
  node.input(WaitForPeers{.request = 1, .loop = 0, .peers = 1});
  CHECK(answers(node) == Answers{{1, 2}});
  node.input(WaitForPeers{.request = 2, .loop = 0, .peers = 0});
  CHECK(answers(node) == Answers{{2, 2}});
}

TEST_CASE("waits: the writes of another loop are not waited for") {
  Scripted node;
  const ConnectionId two = node.link(2);
  node.input(writes(1, 5, 0));
  node.input(writes(1, 3, 1));
  node.receive(two, has(3, 1));
  node.input(WaitForPeers{.request = 1, .loop = 1, .peers = 1});
  CHECK(answers(node) == Answers{{1, 1}});
  node.input(WaitForPeers{.request = 2, .loop = 0, .peers = 1});
  CHECK(answers(node).empty());
  node.receive(two, has(5, 0));
  CHECK(answers(node) == Answers{{2, 1}});
}

TEST_CASE("waits: one that ends is answered with the peers that have it") {
  Scripted node;
  const ConnectionId two = node.link(2);
  node.link(3);
  node.input(writes(1, 5));
  node.receive(two, has(5));
  node.input(WaitForPeers{.request = 1, .loop = 0, .peers = 2});
  CHECK(answers(node).empty());
  node.input(WaitEnds{1});
  CHECK(answers(node) == Answers{{1, 1}});
  node.input(WaitEnds{1});
  node.receive(two, has(5));
  CHECK(answers(node).empty());
}

TEST_CASE("waits: a peer whose link broke is not counted until it says again what it has") {
  Scripted node;
  const ConnectionId two = node.link(2);
  node.input(writes(1, 5));
  node.receive(two, has(5));
  node.input(ConnectionDown{two});
  node.input(WaitForPeers{.request = 1, .loop = 0, .peers = 1});
  CHECK(answers(node).empty());
  const ConnectionId again = node.link(2);
  CHECK(answers(node).empty());
  node.receive(again, has(5));
  CHECK(answers(node) == Answers{{1, 1}});
}

TEST_CASE(
    "waits: a collection that is gone is waited for no more, and who wrote nothing has links") {
  Scripted node;
  node.input(WaitForPeers{.request = 1, .loop = 0, .peers = 1});
  CHECK(answers(node).empty());
  node.link(2);
  CHECK(answers(node) == Answers{{1, 1}});
  node.input(writes(1, 5));
  node.input(WaitForPeers{.request = 2, .loop = 0, .peers = 1});
  CHECK(answers(node).empty());
  node.input(CollectionGone{users});
  CHECK(answers(node) == Answers{{2, 1}});
}

TEST_CASE("waits: a peer may have pulled a write before the core hears of it from its loop") {
  Scripted node;
  const ConnectionId two = node.link(2);
  node.input(StoreChanged{users, dots(1, 1, 5), {}});
  node.receive(two, has(5));
  node.input(writes(1, 5));
  node.input(WaitForPeers{.request = 1, .loop = 0, .peers = 1});
  CHECK(answers(node) == Answers{{1, 1}});
}

TEST_CASE("waits: a peer may say what it likes") {
  Scripted node;
  const ConnectionId two = node.link(2);
  node.input(writes(1, 5));
  node.input(WaitForPeers{.request = 1, .loop = 0, .peers = 1});
  node.receive(two, WriteAck{.tips = {{{"none", 9}, 0, {1, 1, 0}, 100}, {users, 0, {5, 1, 0}, 9}}});
  CHECK(answers(node).empty());
}

}  // namespace dhrt::test
