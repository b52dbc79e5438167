// The hash table of a collection, and the stripes that all tables of an engine share.
//
// Intuition: a key's hash names one of 64 stripes. A stripe is a lock with the memory that it
// guards: each collection has a small open-addressing table per stripe, and all records of a
// stripe, of whatever collection, come from the stripe's slab. Who holds the lock may read and
// change all of it; two event loops meet only when they want the same stripe at the same moment.
//
// Bounds: a slot is 8 bytes; 75 to 85 % of them are used (fewer in a small table). Tables grow by
// an eighth, one stripe at a time and without looking at the entries, so that a pause is short.
// Threads: as said; nothing spins.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>

#include "storage/base/function_ref.h"
#include "storage/entry.h"
#include "storage/slab.h"

namespace dhrt {

inline constexpr std::size_t stripe_count = 64;
inline std::size_t stripe_of(std::uint64_t hash) {
  return hash & (stripe_count - 1);
}

// The figures are changed by who holds the lock and stand beside it: a loop that takes the stripe
// over from another one fetches one cache line for both.
struct alignas(64) Stripe {
  std::mutex lock;
  std::atomic<std::uint64_t> hits{0};
  std::atomic<std::uint64_t> misses{0};
  std::atomic<std::uint64_t> evictions{0};
  Slab slab;
  // Raised whenever a record leaves memory: a reader that missed, and then found an older copy in
  // a file, may keep that copy only if nothing left meanwhile.
  std::uint64_t departures = 0;
};

class Stripes {
 public:
  Stripe& operator[](std::size_t index) { return stripes_[index]; }
  const Stripe& operator[](std::size_t index) const { return stripes_[index]; }
  auto begin() { return stripes_.begin(); }
  auto end() { return stripes_.end(); }
  Stripe& of(const HashedKey& key) { return stripes_[stripe_of(key.hash)]; }
  // Bytes that the slabs have from the system. Any thread.
  std::size_t bytes() const;

 private:
  std::array<Stripe, stripe_count> stripes_;
};

// Every call but prefetch...(), size() and bytes(): with the stripe of the key locked by the
// caller.
class Table {
 public:
  explicit Table(Stripes& stripes);
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  // Gives every entry back. Locks the stripes itself.
  ~Table();

  Entry* find(const HashedKey& key) const;
  // An entry of the stripe by the upper half of its key's hash, for cache policies. Where two
  // hashes begin alike, it may be the other one.
  Entry* find_placed(std::size_t stripe, std::uint32_t hash_begin) const;
  // Puts a new entry in the place of the key, which may hold one already; that one is returned,
  // and is the caller's to free() when nothing leads to it any more. The new entry inherits what
  // the cache policy knew of the old one.
  struct Put {
    Entry* entry;
    Entry* replaced;  // Null: there was none.
  };
  Put put(const HashedKey& key, const RecordView& record, OriginAlias alias, std::uint8_t state);
  // Takes the entry out of the table; the caller frees it. Counts a departure.
  void take_out(const HashedKey& key, Entry* entry);
  void free(std::size_t stripe, Entry* entry);

  // While many are put in one after the other, without anybody else: tables double, which moves
  // each entry once or twice. At the end they get the size that they would have had.
  void begin_filling();
  void end_filling();

  // Fetches the slot that the key would be in. No lock needed.
  void prefetch(const HashedKey& key) const;
  // Fetches the entry that the slot leads to; best some moments after prefetch(). No lock needed.
  void prefetch_entry(const HashedKey& key) const;

  // Visits entries of one stripe slot by slot, from slot `from`; the result is the slot to go on
  // with, 0 at the end. `visit` says whether to go on, and may take out or replace the entry it
  // is shown; one that replaces it is shown, too. Entries that stay are seen, but between two calls
  // the table may grow, or close a gap by moving one that was not seen to where it was looked.
  std::size_t visit(std::size_t stripe, std::size_t from, FunctionRef<bool(Entry&)> visit_entry);

  // Moves entries of one stripe out of what its slab wants to have empty, slot by slot from slot
  // `from`, as long as the budget lasts: one for 64 slots or for an entry. Each is told before the
  // old one is freed.
  struct Relocated {
    std::size_t next;     // The slot to go on with, 0 at the end.
    std::size_t entries;  // That were moved.
  };
  using Moved = FunctionRef<void(Entry& from, Entry& to)>;
  Relocated relocate(std::size_t stripe, std::size_t from, std::size_t& budget, Moved moved);

  // Entries, and bytes of entries and slots. Any thread; a moment old.
  std::size_t size() const;
  std::size_t bytes() const;

 private:
  struct Part;
  Part& part_of(const HashedKey& key) const;
  Stripes& stripes_;
  std::unique_ptr<Part[]> parts_;  // One per stripe.
};

}  // namespace dhrt
