#include "storage/lmdb_committer.h"

#include <map>
#include <utility>

#include "storage/lmdb_env.h"

namespace dhrt {

namespace {

// One group of several: the puts of a collection in order, its last meta.
LmdbGroup join(std::vector<LmdbGroup> groups) {
  LmdbGroup joined;
  std::map<const LmdbEnv*, std::size_t> places;
  for (LmdbGroup& group : groups) {
    joined.position = group.position;
    for (LmdbWork& work : group.works) {
      const auto [place, fresh] = places.emplace(work.env.get(), joined.works.size());
      if (fresh) {
        joined.works.push_back(std::move(work));
        continue;
      }
      LmdbWork& target = joined.works[place->second];
      target.puts.insert(target.puts.end(), std::make_move_iterator(work.puts.begin()),
                         std::make_move_iterator(work.puts.end()));
      target.meta = std::move(work.meta);
    }
  }
  return joined;
}

// Takes the entries out that lead to the record held so far. An entry of another key under the
// same dot stays: a peer that gave one dot to two keys must not make us forget either.
void unlink(WriteTxn& txn, Bytes key) {
  const auto old = txn.get(LmdbTable::data, key);
  const auto head = old ? peek_record(*old) : std::nullopt;
  if (!head) return;
  const AliasDot dot{head->origin, head->sequence};
  if (txn.get(LmdbTable::log, log_key(dot)) == key) txn.remove(LmdbTable::log, log_key(dot));
  if (head->deadline != 0) txn.remove(LmdbTable::expiry, expiry_key(head->deadline, dot));
}

void write(WriteTxn& txn, const PendingPut& put) {
  unlink(txn, put.key);
  txn.put(LmdbTable::data, put.key, put.encoded);
  txn.put(LmdbTable::log, log_key(put.dot), put.key);
  if (put.deadline != 0) txn.put(LmdbTable::expiry, expiry_key(put.deadline, put.dot), put.key);
}

void write(WriteTxn& txn, const EncodedMeta& meta) {
  txn.put(LmdbTable::meta, meta_key::seen, meta.seen);
  txn.put(LmdbTable::meta, meta_key::flushed, meta.flushed);
  txn.put(LmdbTable::meta, meta_key::origins, meta.origins);
  txn.put(LmdbTable::meta, meta_key::counts, meta.counts);
  txn.put(LmdbTable::meta, "tally", meta.tally);
}

Status write(const LmdbWork& work) {
  // In key order LMDB touches each page once; of several puts of a key only the last counts.
  std::map<Bytes, const PendingPut*> last_puts;
  for (const SharedPut& put : work.puts)
    last_puts[put->key] = put.get();
  return work.env->write([&](WriteTxn& txn) {
    for (const auto& [key, put] : last_puts)
      write(txn, *put);
    write(txn, work.meta);
  });
}

}  // namespace

LmdbCommitter::LmdbCommitter(Hooks hooks) : hooks_(std::move(hooks)) {
  thread_ = std::thread([this] { run(); });
}

LmdbCommitter::~LmdbCommitter() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  handed_over_.notify_one();
  thread_.join();
}

void LmdbCommitter::submit(LmdbGroup group) {
  {
    const std::lock_guard lock(mutex_);
    if (failed()) return;
    // What needs no disk and waits for nothing need not change threads either.
    const bool at_once = group.works.empty() && groups_.empty() && !busy_;
    if (!at_once) {
      groups_.push_back(std::move(group));
      handed_over_.notify_one();
      return;
    }
    durable_.store(group.position, std::memory_order_release);
  }
  if (hooks_.wake) hooks_.wake();
}

Status LmdbCommitter::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

Status LmdbCommitter::wait(Position position) {
  std::unique_lock lock(mutex_);
  published_.wait(lock, [&] { return durable() >= position || failed(); });
  return health_;
}

void LmdbCommitter::run() {
  for (;;) {
    std::vector<LmdbGroup> groups;
    {
      std::unique_lock lock(mutex_);
      busy_ = false;
      handed_over_.wait(lock, [&] { return !groups_.empty() || ending_; });
      if (groups_.empty()) return;
      groups = std::exchange(groups_, {});
      busy_ = true;
    }
    if (!failed()) commit(join(std::move(groups)));
  }
}

void LmdbCommitter::commit(const LmdbGroup& group) {
  if (hooks_.before_sync && !group.works.empty()) hooks_.before_sync();
  Status status;
  for (const LmdbWork& work : group.works) {
    status = write(work);
    if (!status) break;
  }
  publish(group.position, status);
}

void LmdbCommitter::publish(Position position, const Status& status) {
  {
    const std::lock_guard lock(mutex_);
    if (status) {
      durable_.store(position, std::memory_order_release);
    } else {
      health_ = status;
      failed_.store(true, std::memory_order_release);
    }
  }
  published_.notify_all();
  if (hooks_.wake) hooks_.wake();
}

}  // namespace dhrt
