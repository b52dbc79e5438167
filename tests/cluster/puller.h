// A core that pulls from a peer; the peer and the store are played by the test.
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

namespace dhrt::test {

// A node with a peer, 2, that it pulls from.
class Puller : public Scripted {
 public:
  Puller() : Puller(core_options(1)) {}
  explicit Puller(CoreOptions options) : Scripted(std::move(options)) {
    control = link(2);
    bulk = link(2, LinkClass::bulk);
  }

  // A session begins with the next tick and asks for the donor's list.
  void begin() {
    tick_for(tick_interval);
    REQUIRE(sent<Summary>(bulk).size() == 1);
  }
  void lists(std::vector<CollectionDigest> digests) {
    receive(bulk, SummaryReply{sent<Summary>(bulk).back().request, std::move(digests)});
  }
  std::vector<Pull> pulls() const { return sent<Pull>(bulk); }
  // Answers the last pull.
  void slice(std::vector<KeyedRecord> records, Context vector, std::optional<Dot> next = {}) {
    const Pull pull = pulls().back();
    receive(bulk, PullReply{.request = pull.request,
                            .collection = pull.collection,
                            .vector = std::move(vector),
                            .records = std::move(records),
                            .next = next});
  }
  // The store has done everything that it was asked for.
  void store() {
    const auto records = actions<ApplyRecords>();
    for (; applied_ < records.size(); ++applied_)
      input(Applied{records[applied_].token, true});
    const auto vectors = actions<MergeContext>();
    for (; merged_ < vectors.size(); ++merged_)
      input(Applied{vectors[merged_].token, true});
  }
  // What we said to the donor of our being complete.
  std::vector<Resynced> claims() const {
    std::vector<Resynced> claims;
    for (const Resynced& resynced : sent<Resynced>(control)) {
      if (resynced.attested_by == 0) claims.push_back(resynced);
    }
    return claims;
  }

  ConnectionId control = 0;
  ConnectionId bulk = 0;

 private:
  std::size_t applied_ = 0;
  std::size_t merged_ = 0;
};

}  // namespace dhrt::test
