// Which entry of a stripe is to leave memory next.
//
// Intuition: a policy keeps no pointers. It knows an entry by its owner (a number that the engine
// gave to the collection) and half of its key's hash, and asks the engine for the entry only when
// it has to decide. An entry that was freed meanwhile is simply not found, so taking entries out
// of a table needs no word to the policy. An entry that another one replaced is found as that one;
// the bits of the policy go over to it (Entry::inherit).
// Sources: S3-FIFO (Yang et al., SOSP 2023); sampled LRU as in Redis.
//
// Bounds: 8 bytes per entry, and for S3-FIFO 4 to 8 more for what was evicted lately.
// Threads: under the stripe's lock.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "storage/base/function_ref.h"
#include "storage/entry.h"

namespace dhrt {

class EvictionPolicy {
 public:
  struct Item {
    std::uint32_t owner = 0;
    std::uint32_t hash = 0;  // The upper half of the key's hash, for Table::find_placed().

    bool operator==(const Item&) const = default;
  };
  static Item item(std::uint32_t owner, std::uint64_t hash) {
    return {.owner = owner, .hash = static_cast<std::uint32_t>(hash >> 32)};
  }
  // The entry that an item stands for, dirty or not; null if none is in memory.
  using Find = FunctionRef<Entry*(Item)>;
  struct Victim {
    Entry* entry;  // Null: there is none.
    Item item;
  };

  EvictionPolicy() = default;
  EvictionPolicy(const EvictionPolicy&) = delete;
  EvictionPolicy& operator=(const EvictionPolicy&) = delete;
  virtual ~EvictionPolicy() = default;

  // The entry was asked for.
  void touched(Entry& entry) {
    if (!entry.is(Entry::touched) || !entry.is(Entry::touched_more)) entry.touch();
    if (entry.used() != clock_) entry.use(clock_);
  }
  // The entry may be evicted from now on: it came into memory clean, or became clean. Nothing
  // happens if it is known already.
  void added(Item item, Entry& entry, Find find);
  // Picks an entry, and forgets it; the caller takes it out of the table. Dirty entries are passed
  // over, and are to be added again when they are clean.
  virtual Victim victim(Find find) = 0;

  virtual std::size_t size() const = 0;   // Items, some of which may stand for nothing any more.
  virtual std::size_t bytes() const = 0;  // Of the policy itself.

 protected:
  virtual void push(Item item) = 0;
  // Drops items that stand for nothing, or for the same as another one.
  virtual void tidy(Find find) = 0;
  // For tidy(): whether the item is the first for its entry. The entry is marked until unmark().
  static bool mark(Item item, Find find);
  static void unmark(Item item, Find find);

  std::uint8_t clock_ = 0;  // Of recency, in steps of a part of the entries; wraps.

 private:
  static constexpr std::size_t items_min = 1024;
  std::size_t tidy_at_ = items_min;
};

std::unique_ptr<EvictionPolicy> make_s3_fifo();
// `seed`: of the samples.
std::unique_ptr<EvictionPolicy> make_sampled_lru(std::uint64_t seed);

}  // namespace dhrt
