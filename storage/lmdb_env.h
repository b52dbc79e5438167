// One LMDB file: its tables, reads from one moment, and writes that are all there or not at all.
//
// Intuition: LMDB maps the file into memory. A read transaction looks at the map, so the map
// may only be moved when nobody reads; every read holds a shared lock for that, and a write that
// finds the map full takes the lock alone, doubles the map and starts over. No caller ever
// hears of a full map.
//
// Bounds: one read transaction at a time and one thread that reads; one that writes.
// Errors: io, full (the disk) and corrupt, all with the file, the call, the cause and the cure.
// Views that a transaction returns are valid until it ends, or until its next write.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

struct MDB_cursor;
struct MDB_env;
struct MDB_txn;

namespace dhrt {

// What is kept in each: see lmdb_format.h.
enum class LmdbTable : std::uint8_t { meta, data, log, expiry };
inline constexpr std::size_t lmdb_tables = 4;

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

 private:
  friend class LmdbEnv;
  using Handles = std::array<unsigned, lmdb_tables>;
  WriteTxn(MDB_txn* txn, const Handles& handles) : txn_(txn), handles_(handles) {}
  unsigned handle(LmdbTable table) const { return handles_[static_cast<std::size_t>(table)]; }

  MDB_txn* txn_;
  const Handles& handles_;
  int code_ = 0;
};

class LmdbEnv {
 public:
  struct Options {
    std::string path;
    std::size_t map_bytes_initial = 0;
  };
  // Makes the file with its tables and `fill`s them, in one transaction.
  static Result<std::shared_ptr<LmdbEnv>> create(const Options& options,
                                                 const std::function<void(WriteTxn&)>& fill);
  // Null if the file is what is left of a create() that a power cut interrupted.
  // Refuses a file whose format is newer than ours, or that is not one of ours.
  static Result<std::shared_ptr<LmdbEnv>> open(const Options& options);

  // `body` may run several times. What it put is durable when this returns well.
  Status write(const std::function<void(WriteTxn&)>& body);

  const std::string& path() const { return path_; }

 private:
  friend class ReadTxn;
  friend class LmdbCursor;
  explicit LmdbEnv(const Options& options);
  Status open_file();
  Status open_tables();
  int try_write(const std::function<void(WriteTxn&)>& body);
  Status grow();

  std::string path_;
  std::size_t map_bytes_;
  std::unique_ptr<MDB_env, CloseLmdbEnv> env_;
  WriteTxn::Handles handles_{};
  std::shared_mutex map_;  // See above.
  // Kept between reads: taking a reader slot each time costs more than the read.
  std::unique_ptr<MDB_txn, AbortLmdbTxn> reader_;
};

// Everything read through one of these is from one moment. At most one at a time per file.
class ReadTxn {
 public:
  static Result<ReadTxn> begin(LmdbEnv& env);
  ReadTxn(ReadTxn&&) = default;
  ReadTxn& operator=(ReadTxn&&) = delete;
  ReadTxn(const ReadTxn&) = delete;
  ReadTxn& operator=(const ReadTxn&) = delete;
  ~ReadTxn();

  Result<std::optional<Bytes>> get(LmdbTable table, Bytes key) const;

 private:
  friend class LmdbCursor;
  explicit ReadTxn(LmdbEnv& env) : env_(&env), lock_(env.map_) {}

  LmdbEnv* env_;
  std::shared_lock<std::shared_mutex> lock_;  // Empty after a move.
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
