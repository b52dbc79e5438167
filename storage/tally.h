// Counts the records of a collection: live, tombstones, bytes.
//
// Intuition: replacing a record takes the old one out and puts the new one in. A flush may kill
// millions at once, so live records are counted per origin as well: an origin whose records are
// all flushed is written off as one number. The dots written off are remembered until the sweep
// has made real tombstones of them, so that nothing is taken out twice.
//
// Bounds: as many entries as origins. Bytes: of keys and values of live records.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "storage/context.h"
#include "storage/store.h"

namespace dhrt {

class Tally {
 public:
  // A record as far as it counts.
  struct Item {
    Dot dot;
    bool deleted = false;
    std::uint64_t bytes = 0;
  };

  // `seen`: the context of the collection, with the dots of the batch in it.
  void replace(const std::optional<Item>& old, const Item& item, const Context& seen);
  // One that was dropped without a trace.
  void remove(const Item& item);
  // Writes off every origin of which `flushed` surely covers all live records. The others are
  // put right one by one, when the sweep replaces their records.
  void flush(const Context& flushed, const Context& seen);
  // Every record whose dot is flushed is a tombstone now.
  void swept() { written_off_ = {}; }

  const CollectionCounts& counts() const { return counts_; }

 private:
  struct OfOrigin {
    std::uint64_t live = 0;
    std::uint64_t bytes = 0;
    std::uint64_t first = 0;  // No live record has a sequence below,
    std::uint64_t last = 0;   // or above.
    bool unseen = false;      // A record was pulled, and may not be in the seen context.
  };

  void add(const Item& item, const Context& seen);

  CollectionCounts counts_;
  std::map<Origin, OfOrigin> origins_;  // Those with live records.
  Context written_off_;
};

inline Tally::Item item_of(Bytes key, const Record& record) {
  return {record.dot, record.deleted, key.size() + record.value.size()};
}

}  // namespace dhrt
