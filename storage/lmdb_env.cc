#include "storage/lmdb_env.h"

#include <algorithm>
#include <cerrno>
#include <mutex>

#include <lmdb.h>

#include "storage/lmdb_format.h"

namespace dhrt {

namespace {

constexpr std::array<const char*, lmdb_tables> table_names{"meta", "data", "log", "expiry"};
// The tables and a small batch fit; below, LMDB could not even make the file.
constexpr std::size_t map_bytes_min = std::size_t{256} << 10;
constexpr std::size_t map_bytes_step = std::size_t{64} << 10;  // A multiple of any page size.
// One thread of ours reads; the others are for mdb_stat and the like.
constexpr unsigned readers_max = 8;
constexpr unsigned file_mode = 0640;

struct Reaction {
  ErrorCode code;
  const char* cure;
};

Reaction reaction_to(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
      return {ErrorCode::full, "free space on the disk, then start the node again"};
    case EACCES:
    case EPERM:
    case EROFS:
      return {ErrorCode::io, "let the node's user write the file and its directory"};
    case EMFILE:
    case ENFILE:
      return {ErrorCode::io, "raise the limit of open files (ulimit -n); a collection takes two"};
    case ENOMEM:
      return {ErrorCode::io, "raise vm.max_map_count and the limit of address space (ulimit -v)"};
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
      return {ErrorCode::corrupt,
              "restore the file from a backup, or move it away and let the peers fill a new one"};
    default:
      return {ErrorCode::io, "look for disk errors in the system's log, then start the node again"};
  }
}

Error lmdb_error(int code, const std::string& path, const char* doing) {
  const Reaction reaction = reaction_to(code);
  return {reaction.code,
          std::string(doing) + " " + path + ": " + mdb_strerror(code) + "; " + reaction.cure};
}

MDB_val as_val(Bytes bytes) {
  // LMDB takes keys and values as void*, and does not write through it.
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

Bytes as_bytes(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

std::size_t round_up(std::size_t bytes) {
  return (std::max(bytes, map_bytes_min) + map_bytes_step - 1) / map_bytes_step * map_bytes_step;
}

}  // namespace

void CloseLmdbEnv::operator()(MDB_env* env) const {
  mdb_env_close(env);
}

void AbortLmdbTxn::operator()(MDB_txn* txn) const {
  mdb_txn_abort(txn);
}

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

LmdbEnv::LmdbEnv(const Options& options)
    : path_(options.path), map_bytes_(round_up(options.map_bytes_initial)) {}

Status LmdbEnv::open_file() {
  MDB_env* env = nullptr;
  int code = mdb_env_create(&env);
  if (code == 0) {
    env_.reset(env);
    code = mdb_env_set_maxdbs(env, lmdb_tables);
  }
  if (code == 0) code = mdb_env_set_maxreaders(env, readers_max);
  if (code == 0) code = mdb_env_set_mapsize(env, map_bytes_);
  if (code == 0) code = mdb_env_open(env, path_.c_str(), MDB_NOSUBDIR | MDB_NOTLS, file_mode);
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "open"));
  MDB_envinfo info{};
  mdb_env_info(env, &info);
  map_bytes_ = info.me_mapsize;  // A file may be larger than what we asked for.
  return {};
}

Result<std::shared_ptr<LmdbEnv>> LmdbEnv::create(const Options& options,
                                                 const std::function<void(WriteTxn&)>& fill) {
  std::shared_ptr<LmdbEnv> env(new LmdbEnv(options));
  if (auto status = env->open_file(); !status) return tl::unexpected(status.error());
  MDB_txn* txn = nullptr;
  int code = mdb_txn_begin(env->env_.get(), nullptr, 0, &txn);
  if (code != 0) return tl::unexpected(lmdb_error(code, env->path_, "begin"));
  std::unique_ptr<MDB_txn, AbortLmdbTxn> guard(txn);
  for (std::size_t i = 0; i < lmdb_tables && code == 0; ++i)
    code = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &env->handles_[i]);
  WriteTxn write(txn, env->handles_);
  write.code_ = code;
  fill(write);
  code = write.code_ != 0 ? write.code_ : mdb_txn_commit(guard.release());
  if (code != 0) return tl::unexpected(lmdb_error(code, env->path_, "make tables in"));
  return env;
}

Result<std::shared_ptr<LmdbEnv>> LmdbEnv::open(const Options& options) {
  std::shared_ptr<LmdbEnv> env(new LmdbEnv(options));
  if (auto status = env->open_file(); !status) return tl::unexpected(status.error());
  MDB_stat stat{};
  mdb_env_stat(env->env_.get(), &stat);
  if (stat.ms_entries == 0) return std::shared_ptr<LmdbEnv>();
  if (auto status = env->open_tables(); !status) return tl::unexpected(status.error());
  return env;
}

Status LmdbEnv::open_tables() {
  MDB_txn* txn = nullptr;
  int code = mdb_txn_begin(env_.get(), nullptr, MDB_RDONLY, &txn);
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "begin"));
  std::unique_ptr<MDB_txn, AbortLmdbTxn> guard(txn);
  for (std::size_t i = 0; i < lmdb_tables; ++i) {
    code = mdb_dbi_open(txn, table_names[i], 0, &handles_[i]);
    if (code == MDB_NOTFOUND || code == MDB_INCOMPATIBLE) {
      return fail(ErrorCode::corrupt, path_ + " is an LMDB file, but has no table '" +
                                          table_names[i] +
                                          "' of dhrt; move it out of the data directory");
    }
    if (code != 0) return tl::unexpected(lmdb_error(code, path_, "open a table of"));
    // The format stands first: the tables of a later one may be others.
    if (static_cast<LmdbTable>(i) != LmdbTable::meta) continue;
    MDB_val key = as_val(meta_key::format);
    MDB_val value{};
    code = mdb_get(txn, handles_[i], &key, &value);
    if (code != 0 && code != MDB_NOTFOUND)
      return tl::unexpected(lmdb_error(code, path_, "read the format of"));
    if (auto status = check_format(code == 0 ? as_bytes(value) : Bytes(), path_); !status)
      return status;
  }
  code = mdb_txn_commit(guard.release());  // Keeps the handles.
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "open the tables of"));
  return {};
}

int LmdbEnv::try_write(const std::function<void(WriteTxn&)>& body) {
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env_.get(), nullptr, 0, &txn); code != 0) return code;
  std::unique_ptr<MDB_txn, AbortLmdbTxn> guard(txn);
  WriteTxn write(txn, handles_);
  body(write);
  if (write.code_ != 0) return write.code_;
  return mdb_txn_commit(guard.release());  // Frees the handle even when it fails.
}

Status LmdbEnv::write(const std::function<void(WriteTxn&)>& body) {
  int code = try_write(body);
  while (code == MDB_MAP_FULL) {
    if (auto status = grow(); !status) return status;
    code = try_write(body);
  }
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "commit to"));
  return {};
}

Status LmdbEnv::grow() {
  const std::unique_lock lock(map_);
  const int code = mdb_env_set_mapsize(env_.get(), map_bytes_ * 2);
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "enlarge the map of"));
  map_bytes_ *= 2;
  return {};
}

Result<ReadTxn> ReadTxn::begin(LmdbEnv& env) {
  ReadTxn read(env);
  int code = 0;
  if (env.reader_ != nullptr) {
    code = mdb_txn_renew(env.reader_.get());
  } else {
    MDB_txn* txn = nullptr;
    code = mdb_txn_begin(env.env_.get(), nullptr, MDB_RDONLY, &txn);
    env.reader_.reset(txn);
  }
  if (code == 0) return read;
  env.reader_.reset();
  return tl::unexpected(lmdb_error(code, env.path_, "begin to read"));
}

ReadTxn::~ReadTxn() {
  if (lock_.owns_lock() && env_->reader_ != nullptr) mdb_txn_reset(env_->reader_.get());
}

Result<std::optional<Bytes>> ReadTxn::get(LmdbTable table, Bytes key) const {
  MDB_val lmdb_key = as_val(key);
  MDB_val value{};
  const int code = mdb_get(env_->reader_.get(), env_->handles_[static_cast<std::size_t>(table)],
                           &lmdb_key, &value);
  if (code == MDB_NOTFOUND) return std::nullopt;
  if (code != 0) return tl::unexpected(lmdb_error(code, env_->path_, "read"));
  return as_bytes(value);
}

Result<LmdbCursor> LmdbCursor::open(const ReadTxn& txn, LmdbTable table) {
  MDB_cursor* cursor = nullptr;
  const int code = mdb_cursor_open(txn.env_->reader_.get(),
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
