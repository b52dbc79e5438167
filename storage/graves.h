// The tombstones of one collection in memory and stripe, in the order of their dots: what may be
// dropped is an interval of them, however many records there are beside.
//
// Bounds: about 12 bytes per tombstone; a step moves at most 255 pointers.
// Threads: under the stripe's lock. An entry is taken out before it is freed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <vector>

#include "storage/context.h"
#include "storage/entry.h"
#include "storage/sorted_blocks.h"

namespace dhrt {

class Graves {
 public:
  // An entry that is no tombstone is left out, here and in remove(). None is added twice.
  void add(Entry& entry) {
    if (entry.deleted()) entries_.insert(entry);
  }
  // Takes the entry out if it is there.
  void remove(const Entry& entry) {
    if (entry.deleted()) entries_.remove(entry);
  }
  // Puts those of one origin that are in the interval, with an hlc up to `hlc_max`, behind the ones
  // in `found`, in order, as long as it has fewer than `entries_max`.
  void find(OriginAlias origin, Interval interval, std::uint64_t hlc_max, std::size_t entries_max,
            std::vector<Entry*>& found) const;

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return entries_.bytes(); }

 private:
  static auto order(AliasDot dot) { return std::tuple(dot.origin, dot.sequence); }
  struct Before {
    bool operator()(const Entry& left, const Entry& right) const {
      const AliasDot of_left = left.dot();
      const AliasDot of_right = right.dot();
      if (of_left != of_right) return order(of_left) < order(of_right);
      return std::less<const Entry*>()(&left, &right);
    }
  };
  SortedBlocks<Before> entries_;
};

}  // namespace dhrt
