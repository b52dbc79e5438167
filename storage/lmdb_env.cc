#include "storage/lmdb_env.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <lmdb.h>

#include "storage/lmdb_calls.h"
#include "storage/lmdb_format.h"
#include "storage/lmdb_pages.h"

namespace dhrt {

namespace {

constexpr std::array<const char*, lmdb_tables> table_names{"meta", "data", "log", "expiry",
                                                           "recent"};
// The tables and a small batch fit; below, LMDB could not even make the file.
constexpr std::size_t map_bytes_min = std::size_t{256} << 10;
constexpr std::size_t map_bytes_step = std::size_t{64} << 10;  // A multiple of any page size.
constexpr std::size_t growth_bytes_min = std::size_t{1} << 20;
constexpr std::size_t growth_divisor = 16;  // Of what there is, when that is more.
// What may be left over of the last growth. Each change of the map's size keeps readers waiting.
constexpr std::size_t spare_divisor = 64;
// Beside ours: for mdb_stat, a copy and the like.
constexpr unsigned readers_spare = 8;
constexpr unsigned file_mode = 0640;

std::size_t round_up(std::size_t bytes) {
  return (std::max(bytes, map_bytes_min) + map_bytes_step - 1) / map_bytes_step * map_bytes_step;
}

// The blocks of the file's first `bytes`, so that the map never meets a hole on a full disk.
int allocate(int descriptor, std::size_t bytes) {
  struct stat now {};
  if (::fstat(descriptor, &now) != 0) return errno;
  const auto wanted = static_cast<off_t>(bytes);
  constexpr off_t block_bytes = 512;  // Of st_blocks, whatever the file system has.
  if (now.st_size >= wanted && now.st_blocks * block_bytes >= now.st_size) return 0;
  const int code = ::posix_fallocate(descriptor, 0, wanted);
  // What was got on the way is given back: others need it more than a file that does not grow.
  if (code != 0 && ::ftruncate(descriptor, now.st_size) != 0) return errno;
  return code;
}

// LMDB maps its lock file as well, which would be all hole.
int allocate_lock_file(const std::string& path) {
  constexpr std::size_t lock_file_bytes = 16384;  // More than the table of readers takes.
  const int descriptor = ::open((path + "-lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, file_mode);
  if (descriptor < 0) return errno;
  const int code = allocate(descriptor, lock_file_bytes);
  ::close(descriptor);
  return code;
}

// With LMDB's lock file. Best effort: what stays is in nobody's way.
void remove_file(const std::string& path) {
  ::unlink(path.c_str());
  ::unlink((path + "-lock").c_str());
}

// Zero, or an error number.
int sync_and_rename(const std::string& from, const std::string& to) {
  const int descriptor = ::open(from.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) return errno;
  const int code = ::fsync(descriptor) == 0 ? 0 : errno;
  ::close(descriptor);
  if (code != 0) return code;
  return std::rename(from.c_str(), to.c_str()) == 0 ? 0 : errno;
}

}  // namespace

void CloseLmdbEnv::operator()(MDB_env* env) const {
  mdb_env_close(env);
}

void AbortLmdbTxn::operator()(MDB_txn* txn) const {
  mdb_txn_abort(txn);
}

LmdbEnv::LmdbEnv(const Options& options)
    : path_(options.path),
      map_bytes_(round_up(options.map_bytes_initial)),
      readers_(std::max(options.readers, 1U)) {}

Status LmdbEnv::open_file() {
  MDB_env* env = nullptr;
  int code = mdb_env_create(&env);
  if (code == 0) {
    env_.reset(env);
    code = mdb_env_set_maxdbs(env, lmdb_tables);
  }
  const auto readers = static_cast<unsigned>(readers_.size());
  if (code == 0) code = mdb_env_set_maxreaders(env, readers + readers_spare);
  if (code == 0) code = mdb_env_set_mapsize(env, map_bytes_);
  if (code == 0) code = allocate_lock_file(path_);
  if (code == 0) {
    code = mdb_env_open(env, path_.c_str(), MDB_NOSUBDIR | MDB_NOTLS | MDB_WRITEMAP, file_mode);
  }
  int descriptor = -1;
  if (code == 0) code = mdb_env_get_fd(env, &descriptor);
  if (code == 0) code = allocate(descriptor, map_bytes_);
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "open"));
  file_bytes_ = map_bytes_;
  return {};
}

Result<std::shared_ptr<LmdbEnv>> LmdbEnv::create(const Options& options,
                                                 const std::function<void(WriteTxn&)>& fill) {
  if (::access(options.path.c_str(), F_OK) == 0)
    return fail(ErrorCode::precondition, options.path + " exists; move it away");
  Options unfinished = options;
  unfinished.path = unfinished_path(options.path);
  remove_file(unfinished.path);
  Status status = make(unfinished, fill);
  if (status) {
    const int code = sync_and_rename(unfinished.path, options.path);
    if (code != 0) status = tl::unexpected(lmdb_error(code, options.path, "make"));
  }
  remove_file(unfinished.path);
  if (!status) return tl::unexpected(status.error());
  return open(options);
}

Status LmdbEnv::make(const Options& options, const std::function<void(WriteTxn&)>& fill) {
  LmdbEnv env(options);
  if (auto status = env.open_file(); !status) return status;
  MDB_txn* txn = nullptr;
  int code = mdb_txn_begin(env.env_.get(), nullptr, 0, &txn);
  if (code != 0) return tl::unexpected(lmdb_error(code, env.path_, "begin"));
  std::unique_ptr<MDB_txn, AbortLmdbTxn> guard(txn);
  for (std::size_t i = 0; i < lmdb_tables && code == 0; ++i)
    code = mdb_dbi_open(txn, table_names[i], MDB_CREATE, &env.handles_[i]);
  WriteTxn write(txn, env.handles_);
  write.code_ = code;
  fill(write);
  write.put(LmdbTable::meta, meta_key::txn, encode_txn(mdb_txn_id(txn)));
  code = write.code_ != 0 ? write.code_ : mdb_txn_commit(guard.release());
  if (code != 0) return tl::unexpected(lmdb_error(code, env.path_, "make tables in"));
  return {};
}

Result<std::shared_ptr<LmdbEnv>> LmdbEnv::open(const Options& options) {
  const auto file_bytes = inspect_lmdb_file(options.path);
  if (!file_bytes) return tl::unexpected(file_bytes.error());
  std::shared_ptr<LmdbEnv> env(new LmdbEnv(options));
  env->map_bytes_ = *file_bytes;
  if (auto status = env->open_file(); !status) return tl::unexpected(status.error());
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
  if (!meta_page_is_sound(txn)) {
    return fail(ErrorCode::corrupt, path_ +
                                        " is damaged: its meta page leads to other pages than "
                                        "the last commit left; " +
                                        damaged_file_cure);
  }
  code = mdb_txn_commit(guard.release());  // Keeps the handles.
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "open the tables of"));
  return {};
}

bool LmdbEnv::meta_page_is_sound(MDB_txn* txn) const {
  MDB_val key = as_val(meta_key::txn);
  MDB_val value{};
  if (mdb_get(txn, handles_[static_cast<std::size_t>(LmdbTable::meta)], &key, &value) != 0)
    return false;
  // LMDB counts from 1 again in a copy.
  const std::size_t number = mdb_txn_id(txn);
  return number <= 1 || as_bytes(value) == encode_txn(number);
}

int LmdbEnv::try_write(const std::function<void(WriteTxn&)>& body) {
  MDB_txn* txn = nullptr;
  if (const int code = mdb_txn_begin(env_.get(), nullptr, 0, &txn); code != 0) return code;
  std::unique_ptr<MDB_txn, AbortLmdbTxn> guard(txn);
  WriteTxn write(txn, handles_);
  body(write);
  write.put(LmdbTable::meta, meta_key::txn, encode_txn(mdb_txn_id(txn)));
  if (write.code_ != 0) return write.code_;
  return mdb_txn_commit(guard.release());  // Frees the handle even when it fails.
}

Status LmdbEnv::write(const std::function<void(WriteTxn&)>& body, std::size_t bytes_expected) {
  if (auto status = trust(); !status) return status;
  int code = try_write(body);
  while (code == MDB_MAP_FULL) {
    if (auto status = grow(bytes_expected); !status) return status;
    code = try_write(body);
  }
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "commit to"));
  return {};
}

Status LmdbEnv::grow(std::size_t bytes_expected) {
  int descriptor = -1;
  if (const int code = mdb_env_get_fd(env_.get(), &descriptor); code != 0)
    return tl::unexpected(lmdb_error(code, path_, "enlarge"));
  std::size_t step = std::max({map_bytes_ / growth_divisor, growth_bytes_min, bytes_expected});
  for (;;) {
    const std::size_t target = round_up(map_bytes_ + step);
    const int code = allocate(descriptor, target);
    if (code == 0) return resize_map(target);
    // A nearly full disk may still have room for less.
    if (step == growth_bytes_min) return tl::unexpected(lmdb_error(code, path_, "enlarge"));
    step = std::max(step / 2, growth_bytes_min);
  }
}

// Nothing is done if the file is not longer than that.
Status LmdbEnv::shorten_file(std::size_t bytes) const {
  if (bytes >= map_bytes_) return {};
  int descriptor = -1;
  if (const int code = mdb_env_get_fd(env_.get(), &descriptor); code != 0)
    return tl::unexpected(lmdb_error(code, path_, "shorten"));
  if (::ftruncate(descriptor, static_cast<off_t>(bytes)) != 0)
    return tl::unexpected(lmdb_error(errno, path_, "shorten"));
  return {};
}

Status LmdbEnv::resize_map(std::size_t bytes) {
  const std::lock_guard no_copy(copying_);
  std::vector<std::unique_lock<std::mutex>> no_reads;
  for (Reader& reader : readers_)
    no_reads.emplace_back(reader.busy);
  // LMDB lets go of the old map first, and has none if it cannot get the new one.
  void* probe = ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (probe == MAP_FAILED) return tl::unexpected(lmdb_error(errno, path_, "resize the map of"));
  ::munmap(probe, bytes);
  // LMDB shortens the file, too, but without a map to go back to.
  if (auto status = shorten_file(bytes); !status) return status;
  if (const int code = mdb_env_set_mapsize(env_.get(), bytes); code != 0) return lose_map(code);
  map_bytes_ = bytes;
  file_bytes_ = bytes;
  return {};
}

// LMDB has let go of the old map and still has its address: whoever reads there ends the process,
// and closing the file would unmap what has that place by then. So it is neither read nor closed.
Status LmdbEnv::lose_map(int code) {
  // No cure but a start, whatever LMDB says: not even room on a full disk.
  fault_ = {ErrorCode::io, "resize the map of " + path_ + ": " + mdb_strerror(code) +
                               "; the file is not used until the node is started again"};
  for (Reader& reader : readers_)
    static_cast<void>(reader.txn.release());
  static_cast<void>(env_.release());
  distrusted_.store(true, std::memory_order_release);
  return tl::unexpected(fault_);
}

Status LmdbEnv::trust() const {
  if (!distrusted_.load(std::memory_order_acquire)) return {};
  return tl::unexpected(fault_);
}

Result<bool> LmdbEnv::inspect(LmdbPlace& place, std::size_t leaves_max, std::uint64_t& bytes) {
  if (auto status = trust(); !status) return tl::unexpected(status.error());
  int descriptor = -1;
  if (const int code = mdb_env_get_fd(env_.get(), &descriptor); code != 0)
    return tl::unexpected(lmdb_error(code, path_, "read"));
  auto slice = inspect_lmdb_slice(descriptor, path_, place, leaves_max);
  if (slice) {
    place = std::move(slice->next);
    bytes += slice->bytes;
    return slice->more;
  }
  if (slice.error().code == ErrorCode::corrupt) {
    fault_ = slice.error();
    distrusted_.store(true, std::memory_order_release);
  }
  return tl::unexpected(slice.error());
}

Status LmdbEnv::sync() {
  if (auto status = trust(); !status) return status;
  int descriptor = -1;
  int code = mdb_env_get_fd(env_.get(), &descriptor);
  if (code == 0 && ::fsync(descriptor) != 0) code = errno;
  if (code != 0) return tl::unexpected(lmdb_error(code, path_, "sync"));
  return {};
}

std::uint64_t LmdbEnv::pages() const {
  MDB_envinfo info{};
  mdb_env_info(env_.get(), &info);
  return info.me_last_pgno + 1;
}

void LmdbEnv::trim() {
  if (!trust()) return;
  MDB_stat stat{};
  mdb_env_stat(env_.get(), &stat);
  const std::size_t used = round_up(pages() * stat.ms_psize);
  if (used + std::max(map_bytes_ / spare_divisor, growth_bytes_min) >= map_bytes_) return;
  static_cast<void>(resize_map(used));
}

Status LmdbEnv::copy_to(const std::string& path) {
  // Growth, which may lose the map, waits for this.
  const std::lock_guard lock(copying_);
  if (auto status = trust(); !status) return status;
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file_mode);
  if (descriptor < 0) return tl::unexpected(lmdb_error(errno, path, "make the copy"));
  int code = mdb_env_copyfd2(env_.get(), descriptor, MDB_CP_COMPACT);
  if (code == 0 && ::fsync(descriptor) != 0) code = errno;
  if (::close(descriptor) != 0 && code == 0) code = errno;
  if (code == 0) return {};
  ::unlink(path.c_str());
  return fail(lmdb_error(code, path, "write the copy"), "copy " + path_);
}

}  // namespace dhrt
