// The counts of one collection in one stripe: live, tombstones, bytes.
//
// Intuition: replacing a record takes the old one out and puts the new one in; the sum over the
// stripes is exact. A flush may kill millions at once, so live records are counted by origin as
// well, and an origin whose records are all flushed is written off as one number.
// What a start found in a file has counts too, but not by stripe: numbers here may be below zero.
//
// Bounds: 32 bytes per origin that wrote here. Threads: the stripe's lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "storage/entry.h"

namespace dhrt {

struct EngineCounts {
  std::int64_t live = 0;
  std::int64_t tombstones = 0;
  std::int64_t bytes = 0;  // Keys and values of live records.

  EngineCounts& operator+=(const EngineCounts& other) {
    live += other.live;
    tombstones += other.tombstones;
    bytes += other.bytes;
    return *this;
  }
};

class EngineTally {
 public:
  struct Item {
    AliasDot dot;
    bool deleted = false;  // Or written off.
    std::size_t bytes = 0;
  };
  struct OfOrigin {
    std::int64_t live = 0;
    std::int64_t bytes = 0;
    std::uint64_t first = 0;  // No record that came to be live here has a sequence below,
    std::uint64_t last = 0;   // or above; 0: there was none.

    void merge(const OfOrigin& other) {
      live += other.live;
      bytes += other.bytes;
      if (other.last == 0) return;
      first = last == 0 ? other.first : std::min(first, other.first);
      last = std::max(last, other.last);
    }
  };

  void add(const Item& item) {
    if (item.deleted) {
      ++counts_.tombstones;
      return;
    }
    const auto bytes = static_cast<std::int64_t>(item.bytes);
    const std::uint64_t sequence = item.dot.sequence;
    ++counts_.live;
    counts_.bytes += bytes;
    of(item.dot.origin).merge({.live = 1, .bytes = bytes, .first = sequence, .last = sequence});
  }
  void remove(const Item& item) {
    if (item.deleted) {
      --counts_.tombstones;
      return;
    }
    const auto bytes = static_cast<std::int64_t>(item.bytes);
    --counts_.live;
    counts_.bytes -= bytes;
    OfOrigin& origin = of(item.dot.origin);
    --origin.live;
    origin.bytes -= bytes;
  }
  const EngineCounts& counts() const { return counts_; }
  // By alias.
  const std::vector<OfOrigin>& origins() const { return origins_; }
  // The live records of an origin are tombstones from now on.
  void write_off(OriginAlias origin);

 private:
  OfOrigin& of(OriginAlias origin) {
    if (origin >= origins_.size()) [[unlikely]]
      origins_.resize(std::size_t{origin} + 1);
    return origins_[origin];
  }

  EngineCounts counts_;
  std::vector<OfOrigin> origins_;
};

}  // namespace dhrt
