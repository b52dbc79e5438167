// A collection's LMDB file as the engine uses it: a checkpoint writes, any loop reads.
//
// Intuition: everything that knows the tables of the file (storage/lmdb_format.h) stands here; who
// calls it thinks in records. A write takes encoded records in key order and makes data, indexes
// and meta agree, in transactions of bounded size.
//
// Threads: get, scan, walk, graves, next_expired, count_unsettled and meta on any thread that has a
// number below LmdbEnv::Options::readers for itself; everything else on one thread at a time. No
// read transaction lives longer than a call. What is called back within one must be short, and may
// neither read this file nor wait for its writer.
// Size: a page that a transaction changes is copied, and the old one is used again by the second
// transaction after it. So a file has about twice as many free pages as one touches: each touches
// a small part of the pages, of `data` in key order, of the log table in the order of dots.
// Bounds: settle_index() has about 100 bytes in memory for each record that waits for it.
// Errors: io, full (no space: nothing changed, and it may be tried again), corrupt; all with the
// file and the cure.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/base/function_ref.h"
#include "storage/lmdb_env.h"
#include "storage/lmdb_format.h"
#include "storage/log_format.h"
#include "storage/log_table.h"

namespace dhrt {

// One record on its way to the file: as storage/record_codec.h encodes it.
struct FilePut {
  Bytes key;
  Bytes encoded;
};

struct FileMeta {
  LogCut cut;
  Context seen;
  Context flushed;
  Context swept;
  Context forgotten;  // In it are the dots of all tombstones that were taken out for good,
  std::uint64_t forgotten_hlc = 0;  // and none of them had a higher one.
  OriginTable origins;
  std::uint64_t highest_hlc = 0;
  std::uint64_t live = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t bytes = 0;  // Keys and values of live records.
};

// A tombstone, and where it is.
struct FileGrave {
  AliasDot dot;
  std::string key;
};

class CollectionFile {
 public:
  static Result<std::unique_ptr<CollectionFile>> create(const LmdbEnv::Options& options,
                                                        const CollectionRef& ref);
  static Result<std::unique_ptr<CollectionFile>> open(const LmdbEnv::Options& options);

  const CollectionRef& ref() const { return ref_; }
  const std::string& path() const { return env_->path(); }
  Result<FileMeta> meta(unsigned loop);

  // How the log table learns of a write: with it, or by settle_index(); until then the table
  // `recent` leads to what was written. Later is for large writes.
  enum class Index { at_once, later };
  static constexpr std::size_t large_write_puts = 64;

  // Writes the first of the puts, as many as a transaction of bounded size takes (at least one);
  // says how many. They are in key order, a key once, none older than what the file holds (the same
  // again is fine).
  // `replacing` is shown what the file holds of a put's key (null: nothing; valid within the call)
  // and may still change what is put, but not its dot. `meta_of` is told what the keys of these
  // puts held (absent: nothing), and gives the meta that goes with them (null: it stays as it is).
  // Both may be called again, if the write starts over; they count only if it succeeds.
  using Replacing = FunctionRef<void(std::size_t put, const Bytes* held)>;
  using MetaOf = FunctionRef<const FileMeta*(std::span<const std::optional<RecordHead>> replaced)>;
  Result<std::size_t> write(std::span<const FilePut> puts, Index index, Replacing replacing,
                            MetaOf meta_of);
  // Brings into the log table what it does not know yet, and with the last of it `meta` (null: it
  // stays as it is); gives back the unused end of the file. To be called behind the last of some
  // large writes, before the next ones, and before anybody relies on the walk to show them. Stale
  // entries that a crash leaves in the table are passed over for ever.
  Status settle_index(const FileMeta* meta);
  bool settled() const { return unsettled_ == 0; }
  // To be called for a file that was opened to be used: finishes what a crash cut off. Not an error
  // on a full disk: then walks fail until settle_index() is done.
  Status settle_after_crash(unsigned loop);
  // Records that only `recent` leads to, of a file that nobody writes to.
  Result<std::uint64_t> count_unsettled(unsigned loop);
  // Takes out for good the first of these tombstones, in key order, as many as a transaction of
  // bounded size takes (at least one); says how many. One that is not there any more is passed
  // over. `removing` is shown what goes, and `meta_of` is told how many that are and gives the meta
  // that goes with it; both may be called again, as in write().
  using Removing = FunctionRef<void(std::size_t grave, Bytes held)>;
  using MetaOfRest = FunctionRef<const FileMeta*(std::size_t removed)>;
  // One with an hlc above `hlc_max` stays.
  Result<std::size_t> remove(std::span<const FileGrave> graves, std::uint64_t hlc_max,
                             Removing removing, MetaOfRest meta_of);
  // Whether graves() shows every tombstone; in a file of an earlier build it does when all of them
  // were added, which `last` says.
  bool knows_graves() const { return knows_graves_; }
  Status add_graves(std::span<const FileGrave> graves, bool last);

  // Shows the encoded record of a key within a read transaction; null: none.
  Status get(unsigned loop, Bytes key, FunctionRef<void(const Bytes* encoded)> show);
  // In key order from `from` on (`behind`: strictly behind it), until `show` says false.
  Status scan(unsigned loop, Bytes from, bool behind,
              FunctionRef<bool(Bytes key, Bytes encoded)> show);
  // In order of (alias, sequence) from `from` on, one origin; a log entry whose record has another
  // dot is passed over.
  Status walk(unsigned loop, AliasDot from,
              FunctionRef<bool(AliasDot dot, Bytes key, Bytes encoded)> show);
  // Entries of the expiry table up to `deadline`, from the cursor (empty: the first) on, until
  // `show` says false; the cursor moves behind what was shown. What is written before the cursor
  // later is found by whoever starts over. The deadline of the entry that comes next, if it is
  // known: one behind `deadline`, or the end of time.
  Result<std::optional<WallMilliseconds>> next_expired(unsigned loop, WallMilliseconds deadline,
                                                       std::string& cursor,
                                                       FunctionRef<bool(Bytes key)> show);

  // Tombstones in order of (alias, sequence) from `from` on, one origin, until `show` says false.
  Status graves(unsigned loop, AliasDot from, FunctionRef<bool(AliasDot dot, Bytes key)> show);

  // A consistent copy of the live file, compacted by LMDB, in a file that is not there yet;
  // synced, but for its name. Any thread; slow.
  Status copy_to(const std::string& path) { return env_->copy_to(path); }
  // All that is read from it survives a power cut afterwards. On the thread that writes.
  Status sync() { return env_->sync(); }
  std::uint64_t bytes_used() const { return env_->file_bytes(); }  // Of the disk.

  // Looks for damage in the pages themselves; see LmdbEnv. On the thread that writes.
  Result<bool> inspect(LmdbPlace& place, std::size_t leaves_max, std::uint64_t& bytes) {
    return env_->inspect(place, leaves_max, bytes);
  }
  Status trust() const { return env_->trust(); }

 private:
  CollectionFile(std::shared_ptr<LmdbEnv> env, CollectionRef ref)
      : env_(std::move(env)), ref_(std::move(ref)) {}

  Status settle(const FileMeta* meta, std::string& keys, std::vector<LogChange>& changes);
  Status gather_recent(FunctionRef<std::optional<Bytes>(Bytes key)> get, std::string& keys,
                       std::vector<LogChange>& changes) const;
  std::size_t remove_some(WriteTxn& txn, std::span<const FileGrave> graves, std::uint64_t hlc_max,
                          Removing removing, std::size_t& removed) const;

  std::shared_ptr<LmdbEnv> env_;
  CollectionRef ref_;
  bool knows_graves_ = false;
  // Entries of the log table whose record has another dot now: readers pass over them, so that
  // they can wait and go all at once, in order.
  std::vector<LogChange> stale_;
  std::size_t unsettled_ = 0;  // About how many changes wait, in `recent` and here.
  // A walk would leave out records that nobody has in memory.
  std::atomic<bool> walk_misses_{false};
};

}  // namespace dhrt
