// The entries of one collection and stripe that have a deadline, the earliest first.
//
// Intuition: entries are in the order of (deadline, address), so that any one of a million with
// the same deadline is found, and really goes, when its key is written again.
//
// Bounds: about 12 bytes per entry; a step moves at most 255 pointers, however many fall due.
// Threads: under the stripe's lock. An entry is taken out before it is freed.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "storage/entry.h"
#include "storage/sorted_blocks.h"

namespace dhrt {

class Deadlines {
 public:
  // An entry without a deadline is left out, here and in remove(). None is added twice.
  void add(Entry& entry);
  // Takes the entry out if it is there.
  void remove(const Entry& entry);
  // The earliest deadline; 0: there is none.
  WallMilliseconds next() const;
  // Takes out entries whose deadline is `now` or before, the earliest first, and puts them behind
  // those in `due`, at most `entries_max`. True if more are due.
  bool take_due(WallMilliseconds now, std::size_t entries_max, std::vector<Entry*>& due);

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return entries_.bytes(); }

 private:
  struct Before {
    bool operator()(const Entry& left, const Entry& right) const {
      const WallMilliseconds of_left = left.deadline();
      const WallMilliseconds of_right = right.deadline();
      if (of_left != of_right) return of_left < of_right;
      return std::less<const Entry*>()(&left, &right);
    }
  };
  SortedBlocks<Before> entries_;
};

}  // namespace dhrt
