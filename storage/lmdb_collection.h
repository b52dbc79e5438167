// A collection in an LMDB file, with what is not in the file yet in front of it.
//
// Intuition: append() only puts encoded records into the overlay, an ordered map; the committer
// brings them into the file, and collect() drops them from the overlay when they are there.
// Whoever reads merges the two, the overlay first. A walk reads the file alone: it may show
// only what is durable, together with exactly the context that this implies.
//
// Threads: the one that owns the store. The committer gets its part with take_work().
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/dot_order.h"
#include "storage/durable_context.h"
#include "storage/lmdb_committer.h"
#include "storage/lmdb_env.h"
#include "storage/stored_collection.h"
#include "storage/tally.h"

namespace dhrt {

class SliceFiller;

class LmdbCollection final : public StoredCollection {
 public:
  // Makes the file.
  static Result<std::unique_ptr<LmdbCollection>> create(const LmdbEnv::Options& options,
                                                        const CollectionRef& ref);
  // Null if the file is what is left of an interrupted create().
  static Result<std::unique_ptr<LmdbCollection>> open(const LmdbEnv::Options& options);

  // invalid_argument: a record that the file cannot hold. Nothing was changed then.
  Status append(Position position, Batch batch);
  // False if the batches since take_work() said nothing new: a repeated push costs no sync.
  bool changed() const { return changed_; }
  // Everything appended since the last call.
  LmdbWork take_work();
  // Tombstones to be appended in place of records that are past their deadline or flushed.
  // Looks at `budget` entries at most and takes them from it; sets `more` if it is to be
  // called again at once.
  Result<std::vector<KeyedRecord>> overdue(WallMilliseconds now, std::size_t& budget, bool& more);
  const std::string& path() const { return env_->path(); }

  bool advance(Position durable) override;
  bool waiting() const override { return contexts_.waiting(); }
  const CollectionRef& ref() const override { return ref_; }
  bool in_memory() const override { return false; }
  Result<std::optional<Record>> find(Bytes key) override;
  Result<ScanSlice> scan(const ScanRequest& request) override;
  Result<WalkSlice> walk(const WalkRequest& request) override;
  Context seen() const override { return seen_; }
  Context durable() const override { return contexts_.seen(); }
  Context flushed() const override { return flushed_; }
  CollectionCounts counts() const override { return tally_.counts(); }
  std::uint64_t highest_hlc() const override { return counts_.highest_hlc; }

 private:
  using Overlay = std::map<std::string, SharedPut, std::less<>>;

  LmdbCollection(std::shared_ptr<LmdbEnv> env, CollectionRef ref);
  Status read_meta();
  Status check_puts(const Batch& batch);
  void put(Position position, const KeyedRecord& entry, const std::optional<RecordHead>& in_file);
  Result<std::vector<std::optional<RecordHead>>> heads_in_file(
      const std::vector<KeyedRecord>& puts);

  // The record as it was put, without regard to flushes.
  Result<std::optional<Record>> find_stored(Bytes key);
  Result<Record> decode_from_file(const ReadTxn& txn, Bytes key, Bytes encoded) const;
  Record shown(Record record, const Context& flushed) const;
  // False if the slice is full.
  bool show(const ScanRequest& request, Bytes key, Record record, SliceFiller& filler,
            ScanSlice& slice) const;
  Result<std::optional<KeyedRecord>> entry_of(const ReadTxn& txn, const Dot& dot) const;

  Result<std::vector<std::string>> expired_keys(WallMilliseconds now, std::size_t& budget);
  struct LogEntry {
    Dot dot;
    std::string key;
  };
  Result<std::vector<LogEntry>> flushed_entries(std::size_t& budget);
  bool sweep_is_due() const {
    return counts_.swept != flushed_ && durable_position_ >= flush_position_;
  }
  // True if something was found.
  Result<bool> sweep(std::size_t& budget, std::vector<KeyedRecord>& tombstones);

  std::shared_ptr<LmdbEnv> env_;
  CollectionRef ref_;
  OriginTable origins_;
  Context seen_;
  Context flushed_;
  FileCounts counts_;
  Tally tally_;
  DurableContext contexts_;

  bool changed_ = false;
  Overlay overlay_;
  std::deque<SharedPut> unsynced_;    // Everything in the overlay or replaced there, in order.
  std::vector<SharedPut> not_taken_;  // The end of it, for take_work().

  // No record in the file has a deadline before this.
  WallMilliseconds earliest_deadline_ = 0;
  std::string expiry_from_;
  // The sweep waits until everything put before the last flush is in the file.
  Position flush_position_ = 0;
  Position durable_position_ = 0;
  Dot sweep_from_;
};

}  // namespace dhrt
