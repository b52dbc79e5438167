// A collection's LMDB file as the engine uses it: a checkpoint writes, any loop reads.
//
// Intuition: everything that knows the four tables of the file (storage/lmdb_format.h) stands
// here; who calls it thinks in records. A write takes encoded records in key order and makes
// data, log index, expiry and meta agree, in one transaction of bounded size.
//
// Threads: get, scan, walk, next_expired and meta on any thread that has a number below
// LmdbEnv::Options::readers for itself; write and remove on one thread at a time. No read
// transaction lives longer than a call. What is called back within one must be short, and may
// neither read this file nor wait for its writer.
// Bounds: what a large write (thousands of puts) makes stale in the log table is taken out behind
// the next write with a `meta`, in dot order: the dots of keys in order are all over that table,
// and every write would touch all of it. What a crash leaves there is passed over for ever.
// A write's transaction may leave as many free pages in the file as it touches; several
// smaller ones in key order keep the file smaller than a large one.
// Errors: io, full (no space: nothing changed, and it may be tried again), corrupt; all with the
// file and the cure.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/function_ref.h"
#include "storage/lmdb_env.h"
#include "storage/lmdb_format.h"
#include "storage/log_format.h"

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
  OriginTable origins;
  std::uint64_t highest_hlc = 0;
  std::uint64_t live = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t bytes = 0;  // Keys and values of live records.
};

class CollectionFile {
 public:
  static Result<std::unique_ptr<CollectionFile>> create(const LmdbEnv::Options& options,
                                                        const CollectionRef& ref);
  static Result<std::unique_ptr<CollectionFile>> open(const LmdbEnv::Options& options);

  const CollectionRef& ref() const { return ref_; }
  const std::string& path() const { return env_->path(); }
  Result<FileMeta> meta(unsigned loop);

  // `puts` are in key order, a key once, none older than what the file holds (the same again is
  // fine). What a key held before is told to `replaced` (absent: nothing; `encoded` is valid within
  // the call), once per put and before `meta` is looked at, so that counts can be put right; it
  // counts only if the write succeeds. It may still change what is put, but not its dot.
  // `meta`: null leaves it as it is.
  using Replaced = FunctionRef<void(std::size_t put, const std::optional<RecordHead>& old,
                                    const Bytes* encoded)>;
  Status write(const std::vector<FilePut>& puts, const FileMeta* meta, Replaced replaced);
  // Takes records out for good (tombstones that nobody needs).
  Status remove(const std::vector<std::string>& keys);

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
  // later is found by whoever starts over.
  Status next_expired(unsigned loop, WallMilliseconds deadline, std::string& cursor,
                      FunctionRef<bool(Bytes key)> show);

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

  // An entry of the log table whose record has another dot now.
  struct StaleEntry {
    AliasDot dot;
    std::uint64_t key_hash = 0;
  };
  void write_data(WriteTxn& txn, const std::vector<FilePut>& puts, std::size_t& told,
                  Replaced replaced, std::vector<StaleEntry>& stale) const;
  Status remove_stale();

  std::shared_ptr<LmdbEnv> env_;
  CollectionRef ref_;
  // Of large writes: readers pass over them, so that they can wait and go all at once, in order.
  std::vector<StaleEntry> stale_;
};

}  // namespace dhrt
