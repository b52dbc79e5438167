// A collection of the engine: its records in memory and in a file, its contexts and counts.
//
// Intuition: a record is in the table, or only in the file, or nowhere. What is in the table and
// not in the file is dirty, and is in the dot index as well; a collection in memory has no file,
// and everything is in the index. A reader asks the table first and reads the file only if there
// may be more in it than in the table.
//
// Threads: any, unless said otherwise. "In stripe": the caller has locked the key's stripe.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/collection_file.h"
#include "storage/damaged_keys.h"
#include "storage/deadlines.h"
#include "storage/dot_index.h"
#include "storage/engine_contexts.h"
#include "storage/engine_origins.h"
#include "storage/engine_shared.h"
#include "storage/engine_tally.h"
#include "storage/forgetting.h"
#include "storage/graves.h"
#include "storage/hot_keys.h"
#include "storage/key_order.h"
#include "storage/store.h"
#include "storage/table.h"

namespace dhrt {

// Bytes that come and go, gathered where they are cheap to count.
struct ByteChanges {
  std::int64_t unflushed_bytes = 0;
  std::int64_t unflushed_records = 0;
  std::int64_t cache_bytes = 0;
  std::int64_t memory_bytes = 0;

  void add_to(EngineShared& shared);  // And is zero then.
};

// Who writes, and under which position.
struct WriteStamp {
  unsigned loop = 0;
  Position position = 0;
};

// Keys of what was dirty at one moment, and what of them was copied since.
class DirtyKeys {
 public:
  struct Copied {
    AliasDot dot;
    bool deleted = false;
    bool damaged = false;
  };
  void add(Bytes key, std::size_t entry_bytes);
  // For so many more keys. Memory is got before a lock is taken: copying a large list into a larger
  // one takes tens of milliseconds, for which all writes would wait.
  void make_room(std::size_t keys);
  // In order, each once.
  void sort();
  std::size_t count() const { return items_.size(); }
  Bytes key(std::size_t index) const { return key(items_[index]); }
  std::optional<Copied> copied(std::size_t index) const;
  void note_copied(std::size_t index, const Entry& entry, bool damaged);
  std::size_t bytes() const { return bytes_.size() + items_.size() * sizeof(Item); }
  std::size_t entry_bytes() const { return entry_bytes_; }

 private:
  struct Item {
    static constexpr std::uint64_t bits_48 = (std::uint64_t{1} << 48) - 1;
    std::uint64_t key_begin;
    std::uint64_t key_at : 48;
    std::uint64_t key_bytes : 13;
    std::uint64_t is_copied : 1;
    std::uint64_t deleted : 1;
    std::uint64_t damaged : 1;
    std::uint64_t sequence : 48;  // An entry has no more of it.
    std::uint64_t origin : 16;
  };
  Bytes key(const Item& item) const { return Bytes(bytes_).substr(item.key_at, item.key_bytes); }

  std::string bytes_;
  std::vector<Item> items_;
  std::size_t entry_bytes_ = 0;
};

// Dirty records, in key order, on their way to the file.
class DirtyCopy {
 public:
  struct Item {
    std::size_t key_at = 0;  // The encoded record stands behind the key.
    std::size_t encoded_bytes = 0;
    std::uint32_t key_bytes = 0;
    std::uint32_t value_bytes = 0;
    AliasDot dot;
    bool deleted = false;
    bool unread = false;
  };
  void add(const Entry& entry, const Origin& origin);
  // For so many more records, unless they are large; see DirtyKeys.
  void make_room(std::size_t records);
  const std::vector<Item>& items() const { return items_; }
  Bytes key(const Item& item) const { return Bytes(bytes_).substr(item.key_at, item.key_bytes); }
  Bytes encoded(const Item& item) const {
    return Bytes(bytes_).substr(item.key_at + item.key_bytes, item.encoded_bytes);
  }
  // Of keys and records; and with what leads to them.
  std::size_t record_bytes() const { return bytes_.size(); }
  std::size_t bytes() const { return bytes_.size() + items_.size() * sizeof(Item); }

 private:
  std::string bytes_;
  std::vector<Item> items_;
};

// One checkpoint's way through a collection: what is dirty is listed, and copied in parts. Behind
// the last part of a list the file knows all of it by its dots, and it becomes cache.
struct DirtyPass {
  // Each of these covers the one before it: everything below the cut is in the contexts, and
  // everything in the contexts is in the records, or in the file already. Names and counts are of
  // the last part, the rest is of the beginning.
  FileMeta meta;
  Context superseded;   // What joins the contexts with the last part.
  Context forgettable;  // Tombstones of these dots may go when the last part is in the file.
  DirtyKeys keys;
  std::size_t next_key = 0;
  DirtyCopy copy;
  // Where listing goes on.
  OriginAlias alias = 0;
  std::uint64_t sequence = 0;
  std::size_t stripe = 0;
  bool all_listed = false;

  bool list_is_new = false;  // Nothing of it was written.

  bool list_ends() const { return next_key == keys.count(); }
  bool is_last() const { return all_listed && list_ends(); }
  std::size_t bytes() const { return keys.bytes() + copy.bytes(); }
};

class EngineCollection final : public Collection,
                               public std::enable_shared_from_this<EngineCollection> {
 public:
  EngineCollection(EngineShared& shared, CollectionRef ref, bool memory, std::uint32_t number);
  ~EngineCollection() override;

  // --- As a reader sees it (storage/store.h).
  const CollectionRef& ref() const override { return ref_; }
  bool in_memory() const override { return memory_; }
  Result<std::optional<Record>> find(Bytes key) override;
  Status read(const HashedKey& key, FunctionRef<void(const RecordView*)> show) override;
  void prefetch(const HashedKey& key) const override { table_.prefetch(key); }
  void prefetch_record(const HashedKey& key) const override { table_.prefetch_entry(key); }
  Result<ScanSlice> scan(const ScanRequest& request) override;
  Result<WalkSlice> walk(const WalkRequest& request) override;
  Result<RangeSlice> range(const RangeRequest& request) override;
  std::vector<std::string> hottest(std::size_t keys_max) const override {
    return hot_keys_.hottest(keys_max);
  }
  Context forgotten() const override { return forgetting_.forgotten(); }
  std::uint64_t forgotten_hlc() const override { return forgetting_.forgotten_hlc(); }
  bool keeps_all() const override;
  Context seen() const override { return contexts_.seen(); }
  Context durable() const override { return contexts_.durable(); }
  Context flushed() const override { return contexts_.flushed(); }
  std::uint64_t last_sequence(const Origin& origin) const override {
    return contexts_.last_sequence(origin);
  }
  CollectionCounts counts() const override;
  bool settle_counts(CountCursor& at, std::size_t records_max) override;
  std::uint64_t highest_hlc() const override;

  // --- For the loops.
  EngineContexts& contexts() { return contexts_; }
  const EngineContexts& contexts() const { return contexts_; }
  EngineOrigins& origins() { return origins_; }
  // What to make of a record in the file that does not decode at all: who reads is told, who
  // writes may replace it.
  enum class Unreadable : std::uint8_t { is_error, is_absent };
  // Locks the key's stripe and finds what is held, reading the file if need be; null: nothing.
  Result<Entry*> lock_held(const HashedKey& key, std::unique_lock<std::mutex>& lock,
                           Unreadable unreadable = Unreadable::is_error);
  // The same for a write that may go on without knowing. If only the file may hold the key, and
  // nothing above `hlc_max`: `unread_hlc` is the highest that it may hold, and it was not read.
  struct Near {
    Entry* held = nullptr;  // May be unread itself.
    std::optional<std::uint64_t> unread_hlc;
  };
  Result<Near> lock_near(const HashedKey& key, std::unique_lock<std::mutex>& lock,
                         std::uint64_t hlc_max);
  // As readers see it: a flushed record is a tombstone. In stripe.
  RecordView shown(const Entry& entry) const;
  // Puts a record in its place. In stripe; what the record borrows may be the replaced entry's.
  // `held`: what the caller found under the key, if it looked.
  void put(const HashedKey& key, const RecordView& record, OriginAlias alias, std::uint8_t state,
           const WriteStamp& stamp, ByteChanges& changes, Entry* held = nullptr);
  // See Store.
  void forget_tombstones(const Store::Forgettable& what);
  // Whether these are not known to be forgotten.
  bool forgets_more(const Context& dots, std::uint64_t hlc) const;
  void note_forgotten(const Context& dots, std::uint64_t hlc);
  // A flush, at once for everybody. False if it says nothing new.
  bool flush(const Context& flushed);
  // The alias of a loop's own origin.
  Result<OriginAlias> own_alias(unsigned loop);
  // Moves entries of one stripe out of what its slab wants to have empty; see Table::relocate().
  Table::Relocated relocate(std::size_t stripe, std::size_t from, std::size_t& budget);
  // Takes entries of the stripe out of memory as long as `over` says so, and some are left.
  static void evict(EngineShared& shared, std::size_t stripe, bool memory, FunctionRef<bool()> over,
                    ByteChanges& changes);
  // The loop's own note: in which of its turns it last wrote here, and where that is noted.
  struct alignas(64) TurnNote {
    std::uint64_t turn = 0;
    std::size_t gain = 0;
  };
  TurnNote& turn_note(unsigned loop) { return turn_notes_[loop]; }
  bool erased() const { return erased_.load(std::memory_order_acquire); }
  void set_erased() { erased_.store(true, std::memory_order_release); }
  std::uint32_t number() const { return number_; }
  std::size_t records_in_memory() const { return table_.size(); }
  DamagedKeys& damaged() { return damaged_; }
  // Dots remembered because what took their place may not be durable.
  std::size_t replaced_dots() const;
  // So many of one stripe, and somebody syncs the logs, whatever the durability is: 32 bytes each.
  static constexpr std::size_t replaced_max = 4096;
  // Takes what it weighs out of the engine's sums: it is erased.
  void take_weight();

  // A context or the like changed, which the file does not have yet.
  void mark_stale() { meta_stale_.store(true, std::memory_order_release); }

  // --- For maintenance: loop 0.
  // Makes tombstones of records past their deadline or flushed, and drops those that nobody needs
  // from memory; looks at `budget` at most and takes those from it. True if there is more to do.
  bool maintain(WallMilliseconds now, std::size_t& budget, ByteChanges& changes);

  // --- For a start, before anybody else.
  Status attach(std::unique_ptr<CollectionFile> file);
  const LogCut& cut() const { return meta_on_disk_.cut; }
  void begin_replay() { table_.begin_filling(); }
  Status replay_record(const HashedKey& key, RecordView record, bool joins_seen);
  void replay_contexts(const Context& seen, const Context& flushed);
  // The file is lost. What the logs have beyond it may say that we have seen what was in it.
  void lose_file() { file_is_lost_ = true; }
  // Compares what was replayed with the file, and counts. The number of records kept.
  Result<std::size_t> end_replay();

  // --- For the checkpoint thread.
  bool dirty() const { return !memory_ && (!index_.empty() || meta_is_stale()); }
  CollectionFile* file() const { return file_.load(std::memory_order_acquire); }
  // Begins with the first part of what is dirty.
  void begin_pass(const LogCut& cut, DirtyPass& pass);
  // The next part, if this was not the last.
  void copy_next(DirtyPass& pass);
  // What the copy has must be safe in the logs by now.
  Status write_copy(DirtyPass& pass);
  // Takes tombstones that nobody needs out of the file, some of them, from `from` on, which moves.
  // Only behind the last part. False: there are no more.
  Result<bool> forget_some(const DirtyPass& pass, Dot& from);
  // It was the last part, or the others are given up.
  void end_pass();
  // A file of an earlier build learns where its tombstones are, from key `from` on, which moves.
  // False at the end.
  Result<bool> find_graves(std::string& from);
  // Brings records of the file into memory, from `from` on, and moves it. False at the end.
  Result<bool> warm_up(std::string& from);
  struct Scrubbed {
    std::uint64_t records = 0;
    std::uint64_t bytes = 0;
  };
  // The same of the pages that have them, some more from `place` on, which moves. An error if they
  // are damaged: then the file is not used any more.
  Result<bool> scrub_pages(LmdbPlace& place, std::size_t bytes_max, Scrubbed& done);
  // Verifies records of the file behind `from` (empty: all), about `bytes_max` of them, and moves
  // it. False at the end.
  Result<bool> scrub(std::string& from, std::size_t bytes_max, Scrubbed& done);

 private:
  void set_complete(bool complete) { complete_.store(complete); }
  bool complete() const { return complete_.load(std::memory_order_acquire); }
  Result<RecordView> decode(Bytes key, Bytes encoded);
  // Notes the key if this is not as it was written. In stripe, and nothing newer is held.
  void judge(Bytes key, const Result<RecordView>& record);
  Status examine(const std::string& bytes);

  // A record that was replaced by one which may not be durable yet: nobody may be told that we
  // have seen it, before that is.
  struct Replaced {
    AliasDot dot;
    WriteStamp by;
  };
  // A tombstone on its way out of the file, which was not replaced when it set out.
  struct Leaving {
    std::string key;
    AliasDot dot;
    bool replaced = false;  // Since then, and counted out.
  };
  struct Part {
    EngineTally tally;
    Deadlines deadlines;
    Graves graves;                    // Of a collection in memory.
    std::vector<Leaving> leaving;     // Hardly ever any.
    std::unique_ptr<KeyOrder> order;  // Null until somebody scans.
    bool scanned = false;             // Since the last checkpoint.
    std::vector<Replaced> replaced;
    std::size_t trim_at = 64;
    // Keys whose entries went from one origin to another while a checkpoint listed the index. At
    // most twice as many as there are of them.
    std::vector<std::string> moved;
    std::size_t moved_end = 256;
    std::uint64_t highest_hlc = 0;
    std::size_t unread = 0;  // Entries that are.
    // Of records that such an entry replaced: not in the context yet.
    std::vector<Dot> superseded;
    ByteChanges weight;
  };
  Part& part(std::size_t stripe);
  // The same where the record takes the room of the one that it replaces. False: it does not.
  bool put_in_place(const HashedKey& key, const RecordView& record, OriginAlias alias,
                    std::uint8_t state, const WriteStamp& stamp, ByteChanges& changes,
                    Entry& entry);
  void note_put(Part& here, Entry& entry);
  // The index leads to another entry under its dot.
  void note_shared_dot(Entry& entry);
  // An entry is about to go, and one of another origin takes its place.
  void note_moved(Part& here, const Entry& entry, OriginAlias to);
  void begin_listing();
  void list_moved(DirtyPass& pass);
  std::vector<std::string> take_moved(std::size_t stripe);
  // An entry was put: it heals what was damaged, or is damaged itself. In stripe.
  void note_health(Part& part, const Entry& entry, bool damaged, bool held_nothing);
  // What a checkpoint or a walk has to know of, and what of it the dot index leads to.
  bool unsaved(const Entry& entry) const { return memory_ || entry.is(Entry::dirty); }
  bool indexed(const Entry& entry) const { return unsaved(entry) && !entry.is(Entry::unindexed); }
  EngineTally::Item item_of(const Entry& entry) const;
  bool written_off(AliasDot dot) const;
  // Takes an entry out of everything but the table; `next` takes its place, if there is one.
  void unlink(std::size_t stripe, Entry& entry, Entry* next);
  // The same, but for the dot index.
  void unlink_in_stripe(Part& here, Entry& entry, Entry* next);
  // Leads its dot to an entry, and no longer to the one that it replaced, if there is one.
  void index(Entry& entry, const Entry* replaced);
  // Tells the cache policy of an entry that may be evicted.
  void offer(std::size_t stripe, const HashedKey& key, Entry& entry);
  void weigh(Part& part, const Entry& entry, std::int64_t sign, ByteChanges& changes) const;
  void note_replaced(Part& part, const Entry& entry, const WriteStamp& stamp);
  void remember_replaced(Part& part, const Replaced& replaced);
  void trim_replaced(Part& part);
  void note_deadline(WallMilliseconds deadline);
  void count_hit(std::size_t stripe);

  // Settles what an unread entry left open, and shows what is held then. The stripe is unlocked
  // meanwhile; afterwards it is locked again, unless there was an error.
  Result<Entry*> read_behind(const HashedKey& key, std::unique_lock<std::mutex>& lock);
  // The same with what the file holds; null: nothing. In stripe.
  Entry* take_notice(const HashedKey& key, Entry& entry, const Bytes* encoded,
                     ByteChanges& changes);
  // What the file holds of a key, as the tally has it, and as `record` takes its place. In stripe.
  EngineTally::Item item_in_file(Bytes key, AliasDot replaced_by, Bytes encoded) const;
  WallMilliseconds created_behind(Bytes key, const Bytes* encoded, const RecordView& record) const;
  void read_behind_if_unread(const HashedKey& key, std::unique_lock<std::mutex>& lock);
  // What a checkpoint finds out when it replaces records of the file.
  struct Superseded {
    std::deque<std::string> encoded;  // Of records that came to know when their key was made.
    ByteChanges changes;
  };
  void supersede(const DirtyCopy::Item& item, const Bytes* old, FilePut& put,
                 Superseded& superseded);
  void note_superseded(Part& part, Bytes key, AliasDot by, Bytes old);
  void take_superseded(Context& superseded);
  void join(const Context& superseded);
  void drop(const HashedKey& key, Entry& entry, ByteChanges& changes);
  Entry* insert_clean(const HashedKey& key, const RecordView& record);
  Result<bool> load(Bytes key, std::string& encoded);

  KeyOrder& ordered(std::size_t stripe, std::size_t& made);  // Adds what it cost, in entries.
  class KeyReader;
  class Scanner;
  class RangeReader;
  class Walker;
  // Until end_walk() everything is kept that hide_replaced() has to know. What was published.
  std::vector<Position> begin_walk();
  void end_walk() { walks_.fetch_sub(1); }
  void hide_replaced(Context& durable, const std::vector<Position>& published);

  void bury(const HashedKey& key, Entry& entry, ByteChanges& changes);
  bool expire_in_memory(WallMilliseconds now, std::size_t& budget, ByteChanges& changes);
  bool expire_in_file(WallMilliseconds now, std::size_t& budget, ByteChanges& changes);
  bool sweep(std::size_t& budget, ByteChanges& changes);
  // The first dot at or behind `from` in the file, and in memory if wanted.
  std::optional<Dot> next_indexed(const Dot& from, bool in_memory, std::string& key, bool& failed);
  bool file_is_within(const Context& dead);
  void end_sweep();

  void write_off_flushed(bool file_dies);

  bool forget_in_memory(std::size_t& budget, ByteChanges& changes);
  // Of one stripe, and some: how many.
  std::size_t forget_in_stripe(std::size_t stripe, const Context& due, std::size_t entries_max,
                               ByteChanges& changes);
  bool next_graves(const Context& due, Dot& from, std::vector<FileGrave>& graves, Status& status);
  Result<std::size_t> forget_graves(std::span<const FileGrave> graves);
  // `again`: the transaction started over.
  void let_leave(const FileGrave& grave, Bytes encoded, bool again, ByteChanges& changes);
  // A record takes the place of what the file has under the key, which is counted out. In stripe.
  static void note_left(Part& here, Bytes key);
  void end_leaving(Leaving& gone, Part& here, Stripe& stripe, ByteChanges& changes);

  bool meta_is_stale() const { return meta_stale_.load(std::memory_order_acquire); }
  void copy_keys(DirtyPass& pass, std::size_t end);
  void list_index(DirtyPass& pass);
  void list_table(DirtyPass& pass);
  Status make_file();
  Status write_records(DirtyPass& pass);
  Status write_part(DirtyPass& pass, CollectionFile::Index index);
  // One transaction of the last puts of a part; the number of records that it took.
  Result<std::size_t> write_some(const DirtyPass& pass, std::span<FilePut> puts,
                                 CollectionFile::Index index, Superseded& superseded);
  FileMeta meta_for(const DirtyPass& pass, bool last) const;
  void settle(const DirtyKeys& keys);
  void forget_order();
  bool warm(Bytes key, Bytes encoded, const std::array<std::uint64_t, stripe_count>& departures);

  static bool takes_place(const RecordView& record, const RecordView& held);
  Result<std::optional<WallMilliseconds>> beats_file(const Entry& entry, EngineTally& tally);
  void with_created(std::size_t stripe, Entry& entry, WallMilliseconds created);
  Status compare_with_file();
  void take_stock(Part& here, Entry& entry, ByteChanges& changes);
  void end_replay_of_contexts();

  EngineShared& shared_;
  const CollectionRef ref_;
  const bool memory_;
  const std::uint32_t number_;  // In EngineShared::owners.
  // A sample takes a lock, a look at a hash table and often some memory: as long as two or three
  // reads of a pipeline.
  static constexpr std::uint32_t reads_per_hot_sample = 256;

  HotKeys hot_keys_{reads_per_hot_sample};
  Table table_;
  DotIndex index_;
  EngineOrigins origins_;
  EngineContexts contexts_;
  Forgetting forgetting_;
  std::array<std::unique_ptr<Part>, stripe_count> parts_;  // Each under its stripe's lock.
  std::unique_ptr<std::atomic<std::uint32_t>[]> own_aliases_;
  std::unique_ptr<TurnNote[]> turn_notes_;
  std::atomic<bool> erased_{false};

  // Changed with all stripes locked, read with any.
  EngineCounts of_file_;             // Of what a start found, without what was replaced since.
  std::size_t origins_in_file_ = 0;  // Aliases below this may have records in it.
  Context written_off_;              // Flushed dots whose records count as tombstones already.
  std::uint64_t highest_hlc_in_file_ = 0;

  // Set once, by the checkpoint or a start; the owner follows.
  std::atomic<CollectionFile*> file_{nullptr};
  std::unique_ptr<CollectionFile> file_owner_;
  // Everything in the file is in the table as well: a miss there is a miss.
  std::atomic<bool> complete_{true};
  // No entry in memory has a deadline before this.
  std::atomic<WallMilliseconds> next_deadline_;
  std::atomic<std::uint64_t> files_written_{0};  // Counts checkpoints: deadlines may have come.
  // A peer gave one dot to two keys: the index does not have everything that is dirty.
  std::atomic<bool> dots_are_shared_{false};
  std::atomic<bool> lists_{false};  // A checkpoint lists what is dirty.
  // Under way: what they have to hide is kept meanwhile.
  std::atomic<int> walks_{0};
  // Something left memory since the warm-up began.
  std::atomic<bool> departed_{false};
  bool warm_up_missed_ = false;
  // A context changed since the last checkpoint. Written every turn, hence apart.
  alignas(64) std::atomic<bool> meta_stale_{false};

  // Loop 0.
  alignas(64) std::size_t expiry_stripe_ = 0;
  std::string expiry_cursor_;
  std::uint64_t expiry_seen_files_ = 0;
  WallMilliseconds next_deadline_in_file_ = 0;  // Nothing there is due before.
  Context sweep_target_;
  Dot sweep_from_;
  std::atomic<bool> forgets_{false};  // Something in memory may be due: any thread says so.

  DamagedKeys damaged_;

  FileMeta meta_on_disk_;  // The checkpoint's.
  Context replayed_seen_;  // While a start replays.
  Context replayed_flushed_;
  bool file_is_lost_ = false;
};

}  // namespace dhrt
