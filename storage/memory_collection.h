// A collection kept in ordered maps: what the memory store is made of, on which the simulator runs.
// (Collections in memory mode of a node are the engine's: storage/engine_collection.h.)
//
// Intuition: one state is what readers see. A store that simulates a disk keeps a second one,
// into which a batch goes when it is durable; losing power copies the second over the first.
//
// Threads: the one that owns the store.
#pragma once

#include <algorithm>
#include <cstddef>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "storage/dot_order.h"
#include "storage/durable_context.h"
#include "storage/hot_keys.h"
#include "storage/store.h"
#include "storage/stored_collection.h"
#include "storage/tally.h"

namespace dhrt {

// The records of a collection and everything derived from them. A value.
class MemoryState {
 public:
  void apply(const Batch& batch);
  // Null if there is none. Points into the state until the next change.
  const Record* find(Bytes key) const;
  ScanSlice scan(const ScanRequest& request) const;
  // Leaves `durable` empty.
  WalkSlice walk(const WalkRequest& request, bool with_tombstones) const;
  // Leaves `durable` empty.
  RangeSlice range(const RangeRequest& request, bool with_tombstones) const;
  // Drops tombstones of these dots.
  void forget(const Store::Forgettable& what);
  void note_forgotten(const Context& dots, std::uint64_t hlc);
  // Makes tombstones of records that are past their deadline or flushed, looking at `budget`
  // records at most and taking those from it. True if there is more to do.
  bool maintain(WallMilliseconds now, std::size_t& budget);

  // True if readers see a tombstone: it is one, or its dot is flushed.
  bool deleted(const Record& record) const {
    return record.deleted || flushed_.contains(record.dot);
  }
  // As readers see it. A tombstone that was not flushed may say what was counted.
  Record shown(const Record& record) const {
    return flushed_.contains(record.dot) ? tombstone_of(record) : record;
  }
  const Context& seen() const { return seen_; }
  const Context& flushed() const { return flushed_; }
  const Context& forgotten() const { return forgotten_; }
  std::uint64_t forgotten_hlc() const { return forgotten_hlc_; }
  const CollectionCounts& counts() const { return tally_.counts(); }
  std::uint64_t highest_hlc() const { return highest_hlc_; }

 private:
  void put(const std::string& key, Record record);
  void unlink(const std::string& key, const Record& record);
  void expire(WallMilliseconds now, std::size_t& budget);
  void sweep(std::size_t& budget);
  SeekDot seek_dot() const;

  std::map<std::string, Record, std::less<>> records_;
  std::map<Dot, std::string> keys_by_dot_;  // One entry per record or tombstone.
  std::set<std::pair<WallMilliseconds, std::string>> deadlines_;
  Context seen_;
  Context flushed_;
  Context swept_;  // The part of `flushed_` of which no value is left.
  Context forgotten_;
  std::uint64_t forgotten_hlc_ = 0;
  Dot sweep_from_;
  Tally tally_;
  std::uint64_t highest_hlc_ = 0;
};

class MemoryCollection final : public StoredCollection {
 public:
  struct Options {
    CollectionRef ref;
    bool loses_unsynced = false;  // lose_unsynced() will be called.
    bool forget_tombstones = false;
  };
  explicit MemoryCollection(Options options);

  void append(Position position, Batch batch);
  void lose_unsynced();
  void forget_tombstones(Store::Forgettable what);
  void note_forgotten(const Context& dots, std::uint64_t hlc);
  bool maintain(WallMilliseconds now, std::size_t& budget);

  bool advance(Position durable) override;
  bool waiting() const override { return contexts_.waiting(); }
  const CollectionRef& ref() const override { return options_.ref; }
  bool in_memory() const override { return true; }
  Result<std::optional<Record>> find(Bytes key) override;
  Result<ScanSlice> scan(const ScanRequest& request) override { return state_.scan(request); }
  Result<WalkSlice> walk(const WalkRequest& request) override;
  Result<RangeSlice> range(const RangeRequest& request) override;
  std::vector<std::string> hottest(std::size_t keys_max) const override {
    return hot_keys_.hottest(keys_max);
  }
  Context seen() const override { return state_.seen(); }
  Context durable() const override { return contexts_.seen(); }
  Context flushed() const override { return state_.flushed(); }
  Context forgotten() const override { return state_.forgotten(); }
  std::uint64_t forgotten_hlc() const override { return state_.forgotten_hlc(); }
  CollectionCounts counts() const override { return state_.counts(); }
  std::uint64_t highest_hlc() const override { return state_.highest_hlc(); }

 private:
  Options options_;
  MemoryState state_;
  HotKeys hot_keys_{1};
  DurableContext contexts_;
  // Only if it loses what is not synced: what would be on the disk, and what is on its way.
  std::unique_ptr<MemoryState> on_disk_;
  std::deque<std::pair<Position, Batch>> unsynced_;
};

}  // namespace dhrt
