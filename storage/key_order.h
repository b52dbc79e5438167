// The entries of one collection and stripe in the order of their keys, for scans.
//
// Intuition: a scan merges 64 of these. None is made before somebody scans; from then on every
// write that brings a new key or takes one away keeps it up to date.
//
// Bounds: about 12 bytes per key; an insert moves at most 255 pointers.
// Threads: under the stripe's lock. An entry is taken out before it is freed.
#pragma once

#include <cstddef>
#include <vector>

#include "storage/base/function_ref.h"
#include "storage/entry.h"
#include "storage/sorted_blocks.h"

namespace dhrt {

class KeyOrder {
 public:
  // Starts anew from these entries, in any order; no key occurs twice.
  void build(std::vector<Entry*> entries);
  // The key is not there yet.
  void insert(Entry& entry);
  // Takes the entry out if it is there.
  void remove(const Entry& entry);
  // `next` takes the place of `old`, which has the same key and need not be there.
  void replace(const Entry& old, Entry& next);

  // Entries from the first key at or behind `from` on that begin with `prefix`, in order, until
  // `visit_entry` says false.
  void visit(Bytes from, Bytes prefix, FunctionRef<bool(Entry&)> visit_entry) const;

  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return entries_.bytes(); }

 private:
  struct Before {
    bool operator()(const Entry& left, const Entry& right) const {
      return left.key() < right.key();
    }
  };
  SortedBlocks<Before> entries_;
};

}  // namespace dhrt
