// A core that compares a collection with a peer's; the peer and the store are played by the test.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

namespace dhrt::test {

using Keys = std::vector<std::string>;

inline Keys keys_of(const std::vector<KeyedRecord>& records) {
  Keys keys;
  for (const KeyedRecord& entry : records)
    keys.push_back(entry.key);
  return keys;
}
inline Keys keys_of(const SharedBatch& records) {
  return records == nullptr ? Keys() : keys_of(records->records());
}

// Node 1, which holds `users` and compares it with node 2.
class Asker : public Scripted {
 public:
  explicit Asker(const std::vector<CollectionRef>& collections = {users},
                 CoreOptions options = core_options(1))
      : Scripted(std::move(options)) {
    control = link(hello_of(comparing(healthy(member(2)))));
    bulk = link(hello_of(comparing(healthy(member(2)))), LinkClass::bulk);
    SummaryReply held;
    for (const CollectionRef& collection : collections) {
      input(StoreChanged{collection, dots(1, 1, 9), {}});
      held.digests.push_back({collection, digest_of(dots(1, 1, 9), {})});
    }
    tick_for(tick_interval);
    held.request = sent<Summary>(bulk).back().request;
    receive(bulk, held);
  }

  Audit asked() const { return sent<Audit>(bulk).back(); }
  // The peer's contexts, which are exchanged first.
  void peer_begins(Context captured, Context flushed = {}) {
    REQUIRE(asked().begins);
    receive(bulk, AuditReply{.request = asked().request,
                             .collection = asked().collection,
                             .vector = std::move(captured),
                             .flushed = std::move(flushed)});
  }
  // What we hold of the range that we asked the store for.
  void we_hold(std::vector<KeyedRecord> records, Context captured = dots(1, 1, 9),
               std::optional<std::string> next = {}) {
    std::ranges::sort(records, {}, &KeyedRecord::key);
    input(Ranged{.token = actions<RangeLocal>().back().token,
                 .ok = true,
                 .records = std::move(records),
                 .next = std::move(next),
                 .vector = std::move(captured)});
  }
  void peer_holds(std::vector<KeyedRecord> records, Context vector, bool with_values = false,
                  std::optional<std::string> next = {}) {
    receive(bulk, AuditReply{.request = asked().request,
                             .collection = asked().collection,
                             .vector = std::move(vector),
                             .with_values = with_values,
                             .batch = with_values ? batch_with(records) : nullptr,
                             .records = with_values ? std::vector<KeyedRecord>() : records,
                             .next = std::move(next)});
  }
  void peer_is_equal(Context vector) {
    receive(bulk, AuditReply{.request = asked().request,
                             .collection = asked().collection,
                             .equal = true,
                             .vector = std::move(vector)});
  }
  void peer_mended() {
    receive(bulk, Mended{.request = sent<Mend>(bulk).back().request, .ok = true});
  }
  void store() {
    const auto mends = actions<MendRecords>();
    for (; mended_ < mends.size(); ++mended_)
      input(Applied{mends[mended_].token, true});
    const auto vectors = actions<MergeContext>();
    for (; merged_ < vectors.size(); ++merged_)
      input(Applied{vectors[merged_].token, true});
  }
  bool is_compared() const {
    const auto persists = actions<Persist>();
    return !persists.empty() && persists.back().compared == std::vector<NodeId>{2};
  }

  ConnectionId control = 0;
  ConnectionId bulk = 0;

 private:
  std::size_t mended_ = 0;
  std::size_t merged_ = 0;
};

}  // namespace dhrt::test
