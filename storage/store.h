// What a store can do. The memory store and the LMDB store share one test suite
// (tests/storage/store_suite.h), and the simulator runs the memory store with a disk that lies.
//
// Intuition: a batch is visible to readers of this process as soon as it is appended and
// durable later. append() gives the batch a position; durable() says up to which position
// everything survives a power cut. Nothing may be promised to anybody before that.
//
// Durability is in order: if a batch is durable, so is every batch of the same collection
// before it; durable() covers all collections.
// Threads: one thread owns a Store and calls everything of it; a store may have threads of its
// own behind it and calls `wake` from them. An engine (storage/engine.h) gives every event loop a
// Store of its own over the same collections: then a Collection may be read on all of these
// threads, and is valid until the end of the turn in which it was found.
// Errors: io and full are the disk's; corrupt names the file. A store whose disk failed keeps
// answering reads and refuses append() with the first error. busy: too much waits for the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/function_ref.h"
#include "storage/base/result.h"
#include "storage/context.h"
#include "storage/hashed_key.h"
#include "storage/record.h"
#include "storage/record_batch.h"

namespace dhrt {

// Counts the batches of one store; 0 = before the first.
using Position = std::uint64_t;

struct Batch {
  // Put as they are: whoever appends has compared versions (storage/writer.h).
  std::vector<KeyedRecord> puts;
  Context seen;     // Dots that join the collection's context.
  Context flushed;  // Dots that join the flushed context: their records become tombstones.
};

// What a slice may hold at most. A slice holds at least one record, however large.
struct SliceLimits {
  std::size_t records_max = 1024;
  std::size_t bytes_max = std::size_t{1} << 20;
};

struct ScanRequest {
  std::string from;    // The first key that may be in the slice.
  std::string prefix;  // Only keys that begin with it.
  bool with_values = true;
  WallMilliseconds now = 0;  // Records past their deadline are left out.
  SliceLimits limits;
};

struct ScanSlice {
  // In key order, visible ones only; none, though there is a next one, where much had to be passed
  // over. One that is damaged has no value; if it does not decode, it
  // has no dot either.
  std::vector<KeyedRecord> records;
  std::optional<std::string> next;  // Where to go on; absent at the end.
};

struct WalkRequest {
  Context excluded;         // Dots that the asker has.
  std::optional<Dot> from;  // The first dot that may be in the slice.
  SliceLimits limits;
};

struct WalkSlice {
  std::vector<KeyedRecord> records;  // In dot order, tombstones included.
  std::optional<Dot> next;           // Where to go on; absent at the end.
  Context durable;                   // The durable context, taken before the first record.
};

// A part of a collection in the order of keys, with everything that is held.
struct RangeRequest {
  std::string from;               // The first key that may be in the slice.
  std::optional<std::string> to;  // The first that may not; absent: to the end.
  bool with_values = true;
  bool encoded = false;  // They are to be sent: in `batch`, not in `records`.
  SliceLimits limits;
};

struct RangeSlice {
  // In key order: tombstones too, flushed records as theirs, those past a deadline as they are. A
  // damaged one has no value; one that does not decode is left out, and so is a write of ours that
  // a power cut could take.
  std::vector<KeyedRecord> records;
  RecordBatch batch;
  std::optional<std::string> next;  // Where to go on; absent: nothing is left before `to`.
  // As in WalkSlice: taken before the first record, without the dots of what was replaced by
  // something that a power cut could take.
  Context durable;
};

struct CollectionCounts {
  std::uint64_t live = 0;  // Visible records, but for those whose deadline just passed.
  std::uint64_t tombstones = 0;
  std::uint64_t bytes = 0;  // Keys and values of live records.
};

// How far settle_counts() has come.
struct CountCursor {
  std::size_t stripe = 0;
  std::size_t place = 0;
};

class Collection {
 public:
  Collection() = default;
  Collection(const Collection&) = delete;
  Collection& operator=(const Collection&) = delete;
  virtual ~Collection() = default;

  virtual const CollectionRef& ref() const = 0;
  virtual bool in_memory() const = 0;

  // The record of a key as the last append left it, tombstones included; a record whose dot
  // is flushed comes as its tombstone, one past its deadline comes as it is (see visible()).
  virtual Result<std::optional<Record>> find(Bytes key) = 0;
  // The same without a copy: calls `show` once, with null if nothing is held. What it is shown is
  // valid within the call, which holds a lock: it must be short and may not call the store.
  virtual Status read(const HashedKey& key, FunctionRef<void(const RecordView*)> show);
  // Says that a key is about to be read or written, so that memory may fetch it meanwhile.
  virtual void prefetch(const HashedKey& key) const;
  // The same of the record itself; to be called some moments after prefetch().
  virtual void prefetch_record(const HashedKey& key) const;
  // Sees everything that was appended.
  virtual Result<ScanSlice> scan(const ScanRequest& request) = 0;
  // Records whose dot is not excluded, by dot. Shows at least everything durable, from one
  // moment; what is not durable yet may be missing.
  virtual Result<WalkSlice> walk(const WalkRequest& request) = 0;

  // For who compares all of it with another node's.
  virtual Result<RangeSlice> range(const RangeRequest& request) = 0;
  // At most so many keys that were read most of late, the hottest first (hot_keys.h). Some of them
  // may be gone.
  virtual std::vector<std::string> hottest(std::size_t keys_max) const = 0;

  virtual Context seen() const = 0;     // Everything appended.
  virtual Context durable() const = 0;  // What survives a power cut now.
  virtual Context flushed() const = 0;
  // The dots of all tombstones that forget_tombstones() dropped are in it, and others before them.
  // Who has not seen all of it cannot be told by records alone what was deleted.
  virtual Context forgotten() const = 0;
  // The highest hlc among them, here or where we were told of. Every write goes above it, or it
  // could lose to a tombstone that another node has not dropped yet: what is held of its key may be
  // older than that.
  virtual std::uint64_t forgotten_hlc() const = 0;
  // False: records may be dropped to make room, so that it proves nothing if one is absent.
  virtual bool keeps_all() const { return true; }
  // The last sequence of an origin that was appended; 0 = none.
  virtual std::uint64_t last_sequence(const Origin& origin) const;
  virtual CollectionCounts counts() const = 0;
  // A record that was written without reading what it replaced (Store::Terms) is counted beside
  // that until somebody looks: a checkpoint does. This looks at `records_max` records from the
  // cursor on and moves it; true if there are more to look at. When it is false, counts() is exact,
  // but for what was written since.
  virtual bool settle_counts(CountCursor& at, std::size_t records_max);
  // The highest hlc of any record ever put here, for a clock that starts again.
  virtual std::uint64_t highest_hlc() const = 0;
};

// A key whose record does not match its checksum, or does not decode.
struct DamagedKey {
  std::string collection;
  std::string key;

  auto operator<=>(const DamagedKey&) const = default;
};

class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  struct OpenOptions {
    CollectionRef ref;
    bool memory = false;  // Keep it in memory only; a memory store always does.
  };
  // Opens a collection, making it if it is not there. A collection of the same name with a
  // lower generation is erased first; with a higher one it is an error (precondition).
  virtual Result<Collection*> open(const OpenOptions& options) = 0;
  // Forgets a collection and everything in it. Not an error if it is not there.
  virtual Status erase(Bytes name) = 0;
  // Null if it is not there. Valid until the collection is erased or the store ends.
  virtual Collection* find(Bytes name) = 0;
  virtual std::vector<Collection*> collections() = 0;  // By name.
  virtual std::size_t collection_count() { return collections().size(); }

  // Makes a batch visible. Its position is higher than that of every batch before it.
  virtual Result<Position> append(Collection& collection, Batch batch) = 0;

  // Replaces the record of one key in one step: `decide` sees what is held (null: nothing) and
  // fills in what is to take its place; false leaves it as it is, and the position is 0. It may be
  // called more than once, must be short, and may not call the store. What it fills in may borrow
  // from what it is shown. `seen`: the dot joins the seen context, as for every write but a pulled
  // one.
  // `unread_hlc_max`: what only a file holds need not be read if its hlc is surely not above this;
  // then `decide` is shown a view that is `unread`, and fills in created_unknown.
  using Decide = FunctionRef<bool(const RecordView* held, RecordView& put)>;
  enum class Joins { seen, nothing };
  struct Terms {
    Terms(Joins with) : joins(with) {}  // NOLINT(google-explicit-constructor): most say no more.
    Terms(Joins with, std::uint64_t hlc) : joins(with), unread_hlc_max(hlc) {}

    Joins joins;
    std::uint64_t unread_hlc_max = 0;  // 0: what is held is always read.
  };
  virtual Result<Position> update(Collection& collection, const HashedKey& key, const Terms& terms,
                                  Decide decide);

  struct Forgettable {
    Forgettable() = default;
    Forgettable(Context dots,  // NOLINT(google-explicit-constructor): many have no clock.
                std::uint64_t hlc = std::numeric_limits<std::uint64_t>::max())
        : everywhere(std::move(dots)), hlc_max(hlc) {}

    // Every node of the cluster has these dots durably, and nobody will send what their records
    // have replaced.
    Context everywhere;
    // Not above our wall clock: else what is written to the key later would have to run ahead of
    // it.
    std::uint64_t hlc_max = 0;
  };
  // Tombstones that are both may be dropped, now or by and by, if they are within the durable
  // context; the last call for a collection stands for all before it.
  virtual void forget_tombstones(Collection& collection, Forgettable what) = 0;
  // Another node has forgotten these: joins forgotten() and forgotten_hlc(). Durable when what is
  // appended next is. Error: the log has no room for it; nothing was noted.
  virtual Status note_forgotten(Collection& collection, const Context& dots, std::uint64_t hlc) = 0;

  // End of a loop turn: everything appended so far may go to the disk now, as one group.
  virtual void commit() = 0;
  // Takes notice of what became durable since the last call, and says up to where that is.
  virtual Position collect() = 0;
  // The same for who can wait for seconds: it stands still while the files do not keep up with what
  // comes. Call after collect().
  virtual Position collect_patiently() { return collect(); }
  // The names of collections whose durable context changed in collect(); emptied by the call.
  virtual std::vector<std::string> take_changed() = 0;
  // What was found damaged since the last call, to be had from elsewhere: an intact copy of the
  // same write heals it, and so does every newer one. Bounded; what is not told is found again.
  virtual std::vector<DamagedKey> take_damaged() { return {}; }
  // The first error of the disk, if there was one.
  virtual Status health() const = 0;

  // Work that may wait: removes records past their deadline and values of flushed records, and
  // moves records where that frees memory, at most `records_max` of all of them. True if there is
  // more to do at once.
  virtual bool maintain(WallMilliseconds now, std::size_t records_max) = 0;
  // Waits until everything appended is durable. For a clean stop.
  virtual Status drain() = 0;
};

// A store that lives and dies with the process. Durable at once, unless `held_back`: then
// nothing becomes durable before release(), and lose_unsynced() is a power cut. A collection that
// was erased is back then, unless all that was appended before is durable, as with the engine.
struct MemoryStoreOptions {
  bool held_back = false;
  bool forget_tombstones = false;  // A mistake on purpose: a delete leaves nothing behind.
};

class MemoryStore : public Store {
 public:
  // Everything appended up to `position` becomes durable with the next collect().
  virtual void release(Position position) = 0;
  // Everything that is not durable is gone, as after a power cut; the store is as if reopened.
  virtual void lose_unsynced() = 0;
};

std::unique_ptr<MemoryStore> make_memory_store(const MemoryStoreOptions& options);

}  // namespace dhrt
