// Transactions and cursors of an LmdbEnv.
#include <lmdb.h>

#include "storage/base/check.h"
#include "storage/base/give_way.h"
#include "storage/lmdb_calls.h"
#include "storage/lmdb_env.h"

namespace dhrt {

namespace {

// Of which page a value is part is told from its address.
constexpr std::uintptr_t address_page_bytes = 4096;

}  // namespace

void CloseLmdbCursor::operator()(MDB_cursor* cursor) const {
  mdb_cursor_close(cursor);
}

void WriteTxn::put(LmdbTable table, Bytes key, Bytes value) {
  if (code_ != 0) return;
  MDB_val lmdb_key = as_val(key);
  MDB_val lmdb_value = as_val(value);
  code_ = mdb_put(txn_, handle(table), &lmdb_key, &lmdb_value, 0);
}

void WriteTxn::remove(LmdbTable table, Bytes key) {
  if (code_ != 0) return;
  MDB_val lmdb_key = as_val(key);
  const int code = mdb_del(txn_, handle(table), &lmdb_key, nullptr);
  if (code != MDB_NOTFOUND) code_ = code;
}

std::optional<Bytes> WriteTxn::get(LmdbTable table, Bytes key) {
  if (code_ != 0) return std::nullopt;
  MDB_val lmdb_key = as_val(key);
  MDB_val value{};
  const int code = mdb_get(txn_, handle(table), &lmdb_key, &value);
  if (code == 0) return as_bytes(value);
  if (code != MDB_NOTFOUND) code_ = code;
  return std::nullopt;
}

void WriteTxn::clear(LmdbTable table) {
  constexpr int keep_table = 0;
  if (code_ == 0) code_ = mdb_drop(txn_, handle(table), keep_table);
}

WriteCursor::WriteCursor(WriteTxn& txn, LmdbTable table) : txn_(txn) {
  if (txn_.code_ != 0) return;
  MDB_cursor* cursor = nullptr;
  txn_.code_ = mdb_cursor_open(txn.txn_, txn.handle(table), &cursor);
  if (txn_.code_ != 0) return;
  cursor_.reset(cursor);
  MDB_val key{};
  MDB_val value{};
  const int code = mdb_cursor_get(cursor, &key, &value, MDB_LAST);
  if (code != 0 && code != MDB_NOTFOUND) txn_.code_ = code;
  if (code != 0) return;
  empty_ = false;
  last_key_ = std::string(as_bytes(key));
}

std::optional<Bytes> WriteCursor::find(Bytes key) {
  found_ = false;
  if (txn_.code_ != 0 || behind_all(key)) return std::nullopt;
  MDB_val lmdb_key = as_val(key);
  MDB_val value{};
  const int code = mdb_cursor_get(cursor_.get(), &lmdb_key, &value, MDB_SET);
  if (code != 0 && code != MDB_NOTFOUND) txn_.code_ = code;
  if (code != 0) return std::nullopt;
  found_ = true;
  return as_bytes(value);
}

void WriteCursor::put(Bytes key, Bytes value) {
  if (txn_.code_ != 0) return;
  MDB_val lmdb_key = as_val(key);
  MDB_val lmdb_value = as_val(value);
  unsigned flags = found_ ? MDB_CURRENT : 0;
  if (behind_all(key)) {
    flags = MDB_APPEND;  // Which LMDB checks once more.
    last_key_ = key;
    empty_ = false;
  }
  txn_.code_ = mdb_cursor_put(cursor_.get(), &lmdb_key, &lmdb_value, flags);
  note_page(value.size());
}

void WriteCursor::remove() {
  if (txn_.code_ == 0 && found_) txn_.code_ = mdb_cursor_del(cursor_.get(), 0);
  found_ = false;
  note_page(0);
}

void WriteCursor::note_page(std::size_t value_bytes) {
  if (txn_.code_ != 0) return;
  MDB_val key{};
  MDB_val value{};
  // Nothing is there behind the last entry, or in an empty table: the page was counted before.
  if (mdb_cursor_get(cursor_.get(), &key, &value, MDB_GET_CURRENT) != 0) return;
  const std::uintptr_t page = reinterpret_cast<std::uintptr_t>(key.mv_data) / address_page_bytes;
  const std::size_t before = pages_;
  if (page != page_) ++pages_;
  page_ = page;
  // A large value has pages of its own.
  const std::uintptr_t of_value =
      reinterpret_cast<std::uintptr_t>(value.mv_data) / address_page_bytes;
  if (value_bytes != 0 && of_value != page) pages_ += value_bytes / address_page_bytes + 1;
  if (pages_ != before) give_way();
}

Result<ReadTxn> ReadTxn::begin(LmdbEnv& env, unsigned reader) {
  check(reader < env.readers_.size(), "a reader number is below LmdbEnv::Options::readers");
  LmdbEnv::Reader& slot = env.readers_[reader];
  ReadTxn read(env, slot);
  // Behind its lock: growth, which may lose the map, holds all of them.
  if (auto status = env.trust(); !status) return tl::unexpected(status.error());
  int code = 0;
  if (slot.txn != nullptr) {
    code = mdb_txn_renew(slot.txn.get());
  } else {
    MDB_txn* txn = nullptr;
    code = mdb_txn_begin(env.env_.get(), nullptr, MDB_RDONLY, &txn);
    slot.txn.reset(txn);
  }
  if (code == 0) return read;
  slot.txn.reset();
  return tl::unexpected(lmdb_error(code, env.path_, "begin to read"));
}

ReadTxn::~ReadTxn() {
  if (lock_.owns_lock() && reader_->txn != nullptr) mdb_txn_reset(reader_->txn.get());
}

Result<std::optional<Bytes>> ReadTxn::get(LmdbTable table, Bytes key) const {
  MDB_val lmdb_key = as_val(key);
  MDB_val value{};
  const int code = mdb_get(reader_->txn.get(), env_->handles_[static_cast<std::size_t>(table)],
                           &lmdb_key, &value);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code != 0) return tl::unexpected(lmdb_error(code, env_->path_, "read"));
  return as_bytes(value);
}

Result<LmdbCursor> LmdbCursor::open(const ReadTxn& txn, LmdbTable table) {
  MDB_cursor* cursor = nullptr;
  const int code = mdb_cursor_open(txn.reader_->txn.get(),
                                   txn.env_->handles_[static_cast<std::size_t>(table)], &cursor);
  if (code != 0) return tl::unexpected(lmdb_error(code, txn.env_->path_, "read"));
  return LmdbCursor(*txn.env_, cursor);
}

void LmdbCursor::seek(Bytes from) {
  // LMDB refuses to look for an empty key; the first entry is what it would find.
  move(from, from.empty() ? MDB_FIRST : MDB_SET_RANGE);
}

void LmdbCursor::next() {
  move({}, MDB_NEXT);
}

void LmdbCursor::move(Bytes from, int operation) {
  MDB_val key = as_val(from);
  MDB_val value{};
  code_ = mdb_cursor_get(cursor_.get(), &key, &value, static_cast<MDB_cursor_op>(operation));
  key_ = code_ == 0 ? as_bytes(key) : Bytes();
  value_ = code_ == 0 ? as_bytes(value) : Bytes();
}

Status LmdbCursor::status() const {
  if (code_ == 0 || code_ == MDB_NOTFOUND) return {};
  return tl::unexpected(lmdb_error(code_, env_->path_, "read"));
}

}  // namespace dhrt
