// LMDB alone: what the file format costs whoever reads it without a cache in front.
#include <array>
#include <memory>

#include <lmdb.h>

#include "storage/base/bytes.h"
#include "storage/base/random.h"
#include "tests/bench/storage/figures.h"

namespace dhrt::bench {

namespace {

constexpr std::size_t batch = 64;
constexpr std::size_t header_bytes = 24;  // What a record has beside its value, about.

Status checked(int rc, const char* doing) {
  if (rc == 0) return {};
  return fail(ErrorCode::io, std::string(doing) + ": " + mdb_strerror(rc));
}

struct CloseEnvironment {
  void operator()(MDB_env* env) const { mdb_env_close(env); }
};
using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;

MDB_val as_value(Bytes bytes) {
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

Result<Environment> open_environment(const StorageBenchOptions& options, std::uint64_t records) {
  MDB_env* raw = nullptr;
  if (auto made = checked(mdb_env_create(&raw), "mdb_env_create"); !made)
    return tl::unexpected(made.error());
  Environment env(raw);
  mdb_env_set_mapsize(raw, records * (options.value_bytes + 400) + (std::size_t{16} << 20));
  const std::string path = options.directory + "/raw.mdb";
  const unsigned flags = MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOTLS;
  if (auto opened = checked(mdb_env_open(raw, path.c_str(), flags, 0644), "mdb_env_open"); !opened)
    return tl::unexpected(opened.error());
  return env;
}

Status fill(MDB_env* env, const StorageBenchOptions& options, std::uint64_t records) {
  const std::string value(options.value_bytes + header_bytes, 'x');
  std::string key;
  for (std::uint64_t begin = 0; begin < records; begin += 10000) {
    MDB_txn* txn = nullptr;
    if (auto begun = checked(mdb_txn_begin(env, nullptr, 0, &txn), "mdb_txn_begin"); !begun)
      return begun;
    MDB_dbi dbi = 0;
    mdb_dbi_open(txn, nullptr, 0, &dbi);
    for (std::uint64_t i = begin; i < std::min(begin + 10000, records); ++i) {
      write_random_key(i, key);
      MDB_val mdb_key = as_value(key);
      MDB_val mdb_value = as_value(value);
      if (auto put = checked(mdb_put(txn, dbi, &mdb_key, &mdb_value, 0), "mdb_put"); !put) {
        mdb_txn_abort(txn);
        return put;
      }
    }
    if (auto done = checked(mdb_txn_commit(txn), "mdb_txn_commit"); !done) return done;
  }
  return {};
}

// One batch of gets in a transaction renewed for it, as a turn of an event loop does.
Status get_batch(MDB_txn* txn, MDB_dbi dbi, const std::array<std::string, batch>& keys) {
  if (auto renewed = checked(mdb_txn_renew(txn), "mdb_txn_renew"); !renewed) return renewed;
  Status status;
  for (const std::string& key : keys) {
    MDB_val mdb_key = as_value(key);
    MDB_val mdb_value{};
    status = checked(mdb_get(txn, dbi, &mdb_key, &mdb_value), "mdb_get");
    if (!status) break;
    volatile char last = static_cast<char*>(mdb_value.mv_data)[mdb_value.mv_size - 1];
    static_cast<void>(last);
  }
  mdb_txn_reset(txn);
  return status;
}

Result<Figures> raw_get(const StorageBenchOptions& options) {
  const std::uint64_t records = options.records_or(10'000'000);
  auto env = open_environment(options, records);
  if (!env) return tl::unexpected(env.error());
  if (auto filled = fill(env->get(), options, records); !filled)
    return tl::unexpected(filled.error());

  MDB_txn* txn = nullptr;
  if (auto begun = checked(mdb_txn_begin(env->get(), nullptr, MDB_RDONLY, &txn), "mdb_txn_begin");
      !begun)
    return tl::unexpected(begun.error());
  MDB_dbi dbi = 0;
  mdb_dbi_open(txn, nullptr, 0, &dbi);
  mdb_txn_reset(txn);
  Random random(7);
  std::array<std::string, batch> keys;
  double cpu = 0;
  const std::uint64_t batches = (options.quick ? 100'000 : 2'000'000) / batch;
  Status status;
  for (std::uint64_t i = 0; i < batches && status; ++i) {
    for (std::string& key : keys)
      write_random_key(random.below(records), key);
    const Stopwatch watch;
    status = get_batch(txn, dbi, keys);
    cpu += watch.cpu_seconds();
  }
  mdb_txn_abort(txn);
  if (!status) return tl::unexpected(status.error());
  const double gets = static_cast<double>(batches * batch);
  return Figures{{"random get, " + std::to_string(records) + " records", cpu * 1e6 / gets, "us CPU",
                  std::nullopt, ""}};
}

}  // namespace

std::vector<Group> raw_groups() {
  return {{"raw-lmdb-get", "LMDB alone, 64 gets per read transaction", raw_get}};
}

}  // namespace dhrt::bench
