// One LMDB file: its tables, reads from one moment, and writes that are all there or not at all.
//
// Intuition: LMDB maps the file into memory. A read transaction looks at the map, so the map
// may only be moved when nobody reads: every reader number has a lock that its reads hold, and a
// write that finds the map full takes all of them, enlarges the map and starts over. No caller
// ever hears of a full map. (One lock per reader, not a shared one: readers on several threads
// then neither fight for a cache line nor keep a waiting writer out for ever.)
//
// Order on disk: the map is written to in place (MDB_WRITEMAP), and a commit is msync of the whole
// map, then the meta page is changed, then msync of that page (LMDB 0.9.24, seen with strace), so
// the meta page never leads to pages that are not there.
// Space: the file's blocks are allocated before the map may touch them, so that a full disk is an
// error of the write that needs more, which changes nothing and may be tried again, and not a
// SIGBUS.
//
// Bounds: one read transaction at a time per reader number; one thread that writes.
// Errors: io, full (the disk) and corrupt, all with the file, the call, the cause and the cure.
// Views that a transaction returns are valid until it ends, or until its next write.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

struct MDB_cursor;
struct MDB_env;
struct MDB_txn;

namespace dhrt {

struct LmdbPlace;

// What is kept in each: see lmdb_format.h.
enum class LmdbTable : std::uint8_t { meta, data, log, expiry, recent };
inline constexpr std::size_t lmdb_tables = 5;

struct CloseLmdbEnv {
  void operator()(MDB_env* env) const;
};
struct AbortLmdbTxn {
  void operator()(MDB_txn* txn) const;
};
struct CloseLmdbCursor {
  void operator()(MDB_cursor* cursor) const;
};

// Fails quietly: after the first error every call does nothing, and LmdbEnv::write() reports it.
class WriteTxn {
 public:
  void put(LmdbTable table, Bytes key, Bytes value);
  // Not an error if it is not there.
  void remove(LmdbTable table, Bytes key);
  std::optional<Bytes> get(LmdbTable table, Bytes key);
  // Takes everything out of a table.
  void clear(LmdbTable table);
  bool ok() const { return code_ == 0; }

 private:
  friend class LmdbEnv;
  friend class WriteCursor;
  using Handles = std::array<unsigned, lmdb_tables>;
  WriteTxn(MDB_txn* txn, const Handles& handles) : txn_(txn), handles_(handles) {}
  unsigned handle(LmdbTable table) const { return handles_[static_cast<std::size_t>(table)]; }

  MDB_txn* txn_;
  const Handles& handles_;
  int code_ = 0;
};

// Changes one table, quickest in key order: it stays on its page as long as that is the right one,
// and leaves full pages behind at the end of the table. Ends before its transaction; meanwhile
// nobody else changes the table.
class WriteCursor {
 public:
  WriteCursor(WriteTxn& txn, LmdbTable table);

  // Goes to a key, and shows what it leads to.
  std::optional<Bytes> find(Bytes key);
  // Both for the key of the last find(). remove() only if it was found.
  void put(Bytes key, Bytes value);
  void remove();

  // About how many pages were changed, if keys come in order: each is copied, and the old one is
  // free only after the next transaction.
  std::size_t pages() const { return pages_; }
  // No key in the table is behind this one; empty: there is none.
  Bytes last_key() const { return last_key_; }

 private:
  void note_page(std::size_t value_bytes);
  bool behind_all(Bytes key) const { return empty_ || key > Bytes(last_key_); }

  WriteTxn& txn_;
  std::unique_ptr<MDB_cursor, CloseLmdbCursor> cursor_;
  bool found_ = false;
  bool empty_ = true;
  std::string last_key_;
  std::uintptr_t page_ = 0;  // The last one changed.
  std::size_t pages_ = 0;
};

class LmdbEnv {
 public:
  struct Options {
    std::string path;
    std::size_t map_bytes_initial = 0;  // Of a new file; at least 256 KiB.
    unsigned readers = 16;              // Reads come with a number below this.
  };
  // Makes the file with its tables and `fill`s them. It has its name when all of it is on the
  // disk; whoever made it syncs the directory. What an interrupted create() leaves is under
  // unfinished_path(), and the next one of this file removes it.
  static Result<std::shared_ptr<LmdbEnv>> create(const Options& options,
                                                 const std::function<void(WriteTxn&)>& fill);
  // Refuses a file whose format is another than ours, or that is not one of ours.
  static Result<std::shared_ptr<LmdbEnv>> open(const Options& options);

  // `body` may run several times. What it put is durable when this returns well.
  // `bytes_expected`: about what it puts, so that the map need not grow twice.
  Status write(const std::function<void(WriteTxn&)>& body, std::size_t bytes_expected = 0);

  // A consistent copy without the free pages, in a new file, synced (its name is not). Growth
  // waits until it is done. Any thread; slow.
  Status copy_to(const std::string& path);

  // All that the page cache has of the file is on the disk afterwards: what a process that was
  // killed wrote to it, too.
  Status sync();

  // Looks at some more of the pages that LMDB believes (storage/lmdb_pages.h), and says how many
  // bytes that were. Only between writes. False at the end. After the first fault nothing is read
  // or written any more: every call fails with it, but for those that are under way.
  Result<bool> inspect(LmdbPlace& place, std::size_t leaves_max, std::uint64_t& bytes);
  // That fault, if there was one; or what made LMDB lose its map, which only a start gets back.
  Status trust() const;

  // Gives the end of the file back that no page was ever written to, if it is worth it. Best
  // effort. Waits for reads.
  void trim();

  static std::string unfinished_path(const std::string& path) { return path + ".new"; }

  const std::string& path() const { return path_; }
  std::uint64_t file_bytes() const { return file_bytes_; }
  // That were ever written to: with the free ones among them.
  std::uint64_t pages() const;

 private:
  friend class ReadTxn;
  friend class LmdbCursor;
  struct Reader {
    std::mutex busy;
    // Kept between reads: taking a reader slot each time costs more than the read.
    std::unique_ptr<MDB_txn, AbortLmdbTxn> txn;
  };

  explicit LmdbEnv(const Options& options);
  static Status make(const Options& options, const std::function<void(WriteTxn&)>& fill);
  Status open_file();
  Status open_tables();
  bool meta_page_is_sound(MDB_txn* txn) const;
  int try_write(const std::function<void(WriteTxn&)>& body);
  Status grow(std::size_t bytes_expected);
  Status shorten_file(std::size_t bytes) const;
  Status resize_map(std::size_t bytes);
  Status lose_map(int code);

  std::string path_;
  std::size_t map_bytes_;
  std::atomic<std::uint64_t> file_bytes_{0};
  std::atomic<bool> distrusted_{false};
  Error fault_{};  // Written before `distrusted_` is.
  std::unique_ptr<MDB_env, CloseLmdbEnv> env_;
  WriteTxn::Handles handles_{};
  std::mutex copying_;
  std::vector<Reader> readers_;
};

// Everything read through one of these is from one moment. At most one at a time per file and
// reader number; a second one waits.
class ReadTxn {
 public:
  static Result<ReadTxn> begin(LmdbEnv& env, unsigned reader = 0);
  ReadTxn(ReadTxn&&) = default;
  ReadTxn& operator=(ReadTxn&&) = delete;
  ReadTxn(const ReadTxn&) = delete;
  ReadTxn& operator=(const ReadTxn&) = delete;
  ~ReadTxn();

  Result<std::optional<Bytes>> get(LmdbTable table, Bytes key) const;

 private:
  friend class LmdbCursor;
  ReadTxn(LmdbEnv& env, LmdbEnv::Reader& reader)
      : env_(&env), reader_(&reader), lock_(reader.busy) {}

  LmdbEnv* env_;
  LmdbEnv::Reader* reader_;
  std::unique_lock<std::mutex> lock_;  // Empty after a move.
};

// Goes through one table in key order. Ends before its transaction.
class LmdbCursor {
 public:
  static Result<LmdbCursor> open(const ReadTxn& txn, LmdbTable table);

  // To the first entry at or behind `from`.
  void seek(Bytes from);
  void next();

  // False at the end, and after an error.
  bool valid() const { return code_ == 0; }
  Bytes key() const { return key_; }
  Bytes value() const { return value_; }
  Status status() const;

 private:
  LmdbCursor(LmdbEnv& env, MDB_cursor* cursor) : env_(&env), cursor_(cursor) {}
  void move(Bytes from, int operation);

  LmdbEnv* env_;
  std::unique_ptr<MDB_cursor, CloseLmdbCursor> cursor_;
  Bytes key_;
  Bytes value_;
  int code_ = 0;
};

}  // namespace dhrt
