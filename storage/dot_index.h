// The entries of a collection in the order of their dots: what a walk goes through, and what a
// checkpoint has to do.
//
// Intuition: sequences of an origin come one after the other, so an array of pointers per origin
// finds a dot without searching. It is cut into chunks of 448 sequences (dot_chunk.h). A chunk of
// which most entries went has places only for those that are left, and it goes with the last one.
//
// Bounds: 8 bytes per entry where sequences are dense, and 14 or so when keys are replaced at
// random; 32 where three of four are missing, at most 12 where more are, and 260 for each chunk
// that has any.
// Threads: any. One lock per origin, which remove() takes only when a chunk shrinks or somebody
// visits. An entry is taken out of the index before it is freed, so the entries that a call shows
// are alive within it. Stripe locks are taken before, never inside.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include "storage/base/function_ref.h"
#include "storage/entry.h"

namespace dhrt {

class DotIndex {
 public:
  DotIndex();
  DotIndex(const DotIndex&) = delete;
  DotIndex& operator=(const DotIndex&) = delete;
  ~DotIndex();

  // Adds an entry under its dot. False, and nothing done, if there is another one under that dot:
  // a peer may be wrong, and give one to two keys.
  [[nodiscard]] bool add(Entry& entry);
  // Takes out an entry that was added.
  void remove(const Entry& entry);
  // Takes an entry out, has it made that of another dot, and adds it under that, all within one
  // visit if the dots are of one origin. False: see add(); it is taken out and made all the same.
  [[nodiscard]] bool move(Entry& entry, const AliasDot& to, FunctionRef<void()> make);
  // Puts an entry in the place of the one that is there, which has the same dot.
  void exchange(const Entry& there, Entry& entry);
  // The first entry of the origin at or behind `sequence`, shown within its lock; false: none.
  bool seek(OriginAlias origin, std::uint64_t sequence, FunctionRef<void(Entry&)> show) const;
  // All entries of an origin from `sequence` on, in order, until `visit` says false.
  void visit(OriginAlias origin, std::uint64_t sequence,
             FunctionRef<bool(Entry&)> visit_entry) const;
  // For one who visits again and again, between two visits: sleeps, up to some milliseconds, until
  // those who wait to add or take out have done so.
  void let_others_in(OriginAlias origin) const;

  std::size_t size() const;     // Entries, counted chunk by chunk.
  bool empty() const;           // A moment old, as the next two.
  std::size_t bytes() const;    // Of the index itself.
  std::size_t origins() const;  // Aliases 0 .. origins()-1 may have entries.

 private:
  struct OfOrigin;
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace dhrt
