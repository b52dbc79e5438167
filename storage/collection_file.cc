#include "storage/collection_file.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

// What an entry of the log or expiry table takes beside its key and value, about.
constexpr std::size_t entry_overhead_bytes = 64;
// From so many puts on a write leaves stale log entries for later.
constexpr std::size_t large_write_puts = 4096;
constexpr std::size_t stale_per_txn = std::size_t{64} << 10;
constexpr std::size_t stale_max = std::size_t{4} << 20;  // 24 bytes each.

// A change of the log and of the expiry table, noted while `data` is written. They are made
// afterwards in their own order: each page of these tables is then touched once.
struct IndexChange {
  AliasDot dot;
  WallMilliseconds deadline = 0;  // 0 = the log.
  bool adds = false;
  Bytes key;

  auto order() const { return std::tuple(deadline, dot.origin, dot.sequence, adds); }
};

bool earlier(const IndexChange& left, const IndexChange& right) {
  return left.order() < right.order();
}

class IndexChanges {
 public:
  explicit IndexChanges(std::size_t puts) { log_.reserve(2 * puts); }

  void note_log(const RecordHead& head, Bytes key, bool adds) {
    log_.push_back({.dot = {head.origin, head.sequence}, .adds = adds, .key = key});
  }
  void note_expiry(const RecordHead& head, Bytes key, bool adds) {
    const AliasDot dot{head.origin, head.sequence};
    if (head.deadline != 0 && !head.deleted)
      expiry_.push_back({.dot = dot, .deadline = head.deadline, .adds = adds, .key = key});
  }

  void make(WriteTxn& txn) {
    std::ranges::stable_sort(log_, earlier);
    std::ranges::stable_sort(expiry_, earlier);
    apply(txn, LmdbTable::log, log_, [](const IndexChange& change) { return log_key(change.dot); });
    apply(txn, LmdbTable::expiry, expiry_,
          [](const IndexChange& change) { return expiry_key(change.deadline, change.dot); });
  }

 private:
  // An entry that leads to another key stays: a peer that gave one dot to two keys must not make
  // us forget either.
  template <typename KeyOf>
  static void apply(WriteTxn& txn, LmdbTable table, const std::vector<IndexChange>& changes,
                    KeyOf key_of) {
    if (changes.empty()) return;
    WriteCursor cursor(txn, table);
    for (const IndexChange& change : changes) {
      const std::string key = key_of(change);
      const auto found = cursor.find(key);
      if (change.adds) {
        if (found != change.key) cursor.put(key, change.key);
      } else if (found == change.key) {
        cursor.remove();
      }
    }
  }

  std::vector<IndexChange> log_;
  std::vector<IndexChange> expiry_;
};

void write_meta(WriteTxn& txn, const FileMeta& meta) {
  txn.put(LmdbTable::meta, meta_key::cut, encode_cut(meta.cut));
  txn.put(LmdbTable::meta, meta_key::seen, encode_context(meta.seen));
  txn.put(LmdbTable::meta, meta_key::flushed, encode_context(meta.flushed));
  txn.put(LmdbTable::meta, meta_key::origins, encode_origins(meta.origins));
  txn.put(LmdbTable::meta, meta_key::counts,
          encode_counts({.highest_hlc = meta.highest_hlc,
                         .swept = meta.swept,
                         .live = meta.live,
                         .tombstones = meta.tombstones,
                         .bytes = meta.bytes}));
}

// Decodes an entry of `meta` if it is there, and leaves `target` as it is if not.
template <typename T>
Status read_entry(const ReadTxn& txn, Bytes key, Result<T> (*decode)(Bytes), T& target) {
  const auto entry = txn.get(LmdbTable::meta, key);
  if (!entry) return tl::unexpected(entry.error());
  if (!*entry) return {};
  auto decoded = decode(**entry);
  if (!decoded) return tl::unexpected(decoded.error());
  target = std::move(*decoded);
  return {};
}

bool holds_dot(Bytes encoded, AliasDot dot) {
  const auto head = peek_record(encoded);
  return head && AliasDot{head->origin, head->sequence} == dot;
}

}  // namespace

Result<std::unique_ptr<CollectionFile>> CollectionFile::create(const LmdbEnv::Options& options,
                                                               const CollectionRef& ref) {
  auto env = LmdbEnv::create(options, [&ref](WriteTxn& txn) {
    txn.put(LmdbTable::meta, meta_key::format, encode_format());
    txn.put(LmdbTable::meta, meta_key::ref, encode_ref(ref));
  });
  if (!env) return tl::unexpected(env.error());
  return std::unique_ptr<CollectionFile>(new CollectionFile(std::move(*env), ref));
}

Result<std::unique_ptr<CollectionFile>> CollectionFile::open(const LmdbEnv::Options& options) {
  auto env = LmdbEnv::open(options);
  if (!env) return tl::unexpected(env.error());
  CollectionRef ref;
  {
    const auto txn = ReadTxn::begin(**env);
    if (!txn) return tl::unexpected(txn.error());
    if (auto status = read_entry(*txn, meta_key::ref, decode_ref, ref); !status)
      return fail(status.error(), "open " + options.path);
  }
  return std::unique_ptr<CollectionFile>(new CollectionFile(std::move(*env), std::move(ref)));
}

Result<FileMeta> CollectionFile::meta(unsigned loop) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  FileMeta meta;
  FileCounts counts;
  Status status = read_entry(*txn, meta_key::cut, decode_cut, meta.cut);
  if (status) status = read_entry(*txn, meta_key::seen, decode_context_entry, meta.seen);
  if (status) status = read_entry(*txn, meta_key::flushed, decode_context_entry, meta.flushed);
  if (status) status = read_entry(*txn, meta_key::origins, decode_origins, meta.origins);
  if (status) status = read_entry(*txn, meta_key::counts, decode_counts, counts);
  if (!status) return fail(status.error(), "read " + env_->path());
  meta.swept = std::move(counts.swept);
  meta.highest_hlc = counts.highest_hlc;
  meta.live = counts.live;
  meta.tombstones = counts.tombstones;
  meta.bytes = counts.bytes;
  return meta;
}

void CollectionFile::write_data(WriteTxn& txn, const std::vector<FilePut>& puts, std::size_t& told,
                                Replaced replaced, std::vector<StaleEntry>& stale) const {
  if (puts.empty()) return;
  const bool postpone = puts.size() >= large_write_puts;
  IndexChanges changes(puts.size());
  {
    WriteCursor data(txn, LmdbTable::data);
    for (std::size_t i = 0; i < puts.size(); ++i) {
      const Bytes key = puts[i].key;
      const auto old_encoded = data.find(key);
      const auto old = old_encoded ? peek_record(*old_encoded) : std::nullopt;
      // One that does not decode counts as live, which it most likely was.
      const auto counted = old_encoded && !old ? std::optional(RecordHead{}) : old;
      if (told == i) {
        told = i + 1;
        replaced(i, counted, old_encoded ? &*old_encoded : nullptr);
      }
      const Bytes encoded = puts[i].encoded;
      const auto head = peek_record(encoded);
      check(head.has_value(), "what is written to a file was encoded as a record");
      data.put(key, encoded);
      if (!txn.ok()) return;
      if (old) changes.note_expiry(*old, key, false);
      const bool same_dot = old && old->origin == head->origin && old->sequence == head->sequence;
      if (old && !same_dot && postpone)
        stale.push_back({.dot = {old->origin, old->sequence}, .key_hash = hash64(key)});
      if (old && !same_dot && !postpone) changes.note_log(*old, key, false);
      changes.note_log(*head, key, true);
      changes.note_expiry(*head, key, true);
    }
  }
  changes.make(txn);
}

Status CollectionFile::write(const std::vector<FilePut>& puts, const FileMeta* meta,
                             Replaced replaced) {
  std::size_t bytes = 0;
  for (const FilePut& put : puts)
    bytes += 2 * put.key.size() + put.encoded.size() + entry_overhead_bytes;
  std::size_t told = 0;  // The transaction may start over; nobody is told twice.
  std::vector<StaleEntry> stale;
  const Status status = env_->write(
      [&](WriteTxn& txn) {
        stale.clear();
        write_data(txn, puts, told, replaced, stale);
        if (meta != nullptr) write_meta(txn, *meta);
      },
      bytes);
  if (!status) return status;
  stale_.insert(stale_.end(), stale.begin(), stale.end());
  if (meta == nullptr && stale_.size() < stale_max) return {};
  const Status removed = remove_stale();
  // What was to be written is; on a full disk the rest waits for the next time.
  if (!removed && removed.error().code != ErrorCode::full) return removed;
  return {};
}

Status CollectionFile::remove_stale() {
  std::ranges::sort(stale_, {}, [](const StaleEntry& entry) {
    return std::tuple(entry.dot.origin, entry.dot.sequence);
  });
  std::size_t done = 0;
  Status status;
  while (done < stale_.size() && status) {
    const std::size_t end = std::min(done + stale_per_txn, stale_.size());
    status = env_->write([&](WriteTxn& txn) {
      WriteCursor log(txn, LmdbTable::log);
      for (std::size_t i = done; i < end; ++i) {
        const auto key = log.find(log_key(stale_[i].dot));
        if (key && hash64(*key) == stale_[i].key_hash) log.remove();
      }
    });
    if (status) done = end;
  }
  if (done == stale_.size()) {
    stale_ = {};  // With its memory.
  } else {
    stale_.erase(stale_.begin(), stale_.begin() + static_cast<std::ptrdiff_t>(done));
  }
  return status;
}

Status CollectionFile::remove(const std::vector<std::string>& keys) {
  // A key that is gone may come back with a dot that is stale now.
  if (auto status = remove_stale(); !status) return status;
  return env_->write([&](WriteTxn& txn) {
    IndexChanges changes(keys.size());
    {
      WriteCursor data(txn, LmdbTable::data);
      for (const std::string& key : keys) {
        const auto old = data.find(key);
        if (!old) continue;
        if (const auto head = peek_record(*old)) {
          changes.note_log(*head, key, false);
          changes.note_expiry(*head, key, false);
        }
        data.remove();
      }
    }
    changes.make(txn);
  });
}

Status CollectionFile::get(unsigned loop, Bytes key, FunctionRef<void(const Bytes* encoded)> show) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  // LMDB looks for neither an empty key nor one that it could not keep.
  const bool possible = !key.empty() && key.size() <= key_bytes_max;
  const auto encoded =
      possible ? txn->get(LmdbTable::data, key) : Result<std::optional<Bytes>>(std::nullopt);
  if (!encoded) return tl::unexpected(encoded.error());
  show(*encoded ? &**encoded : nullptr);
  return {};
}

Status CollectionFile::scan(unsigned loop, Bytes from, bool behind,
                            FunctionRef<bool(Bytes key, Bytes encoded)> show) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  auto cursor = LmdbCursor::open(*txn, LmdbTable::data);
  if (!cursor) return tl::unexpected(cursor.error());
  cursor->seek(from);
  if (behind && cursor->valid() && cursor->key() == from) cursor->next();
  while (cursor->valid() && show(cursor->key(), cursor->value()))
    cursor->next();
  return cursor->status();
}

Status CollectionFile::walk(unsigned loop, AliasDot from,
                            FunctionRef<bool(AliasDot dot, Bytes key, Bytes encoded)> show) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  auto cursor = LmdbCursor::open(*txn, LmdbTable::log);
  if (!cursor) return tl::unexpected(cursor.error());
  for (cursor->seek(log_key(from)); cursor->valid(); cursor->next()) {
    const auto dot = parse_log_key(cursor->key());
    if (!dot || dot->origin != from.origin) break;
    const Bytes key = cursor->value();
    const auto encoded = txn->get(LmdbTable::data, key);
    if (!encoded) return tl::unexpected(encoded.error());
    if (*encoded && holds_dot(**encoded, *dot) && !show(*dot, key, **encoded)) break;
  }
  return cursor->status();
}

Status CollectionFile::next_expired(unsigned loop, WallMilliseconds deadline, std::string& cursor,
                                    FunctionRef<bool(Bytes key)> show) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  auto entries = LmdbCursor::open(*txn, LmdbTable::expiry);
  if (!entries) return tl::unexpected(entries.error());
  for (entries->seek(cursor); entries->valid(); entries->next()) {
    const auto due = parse_expiry_key(entries->key());
    if (due && *due > deadline) break;
    cursor = std::string(entries->key()) + '\0';
    if (!show(entries->value())) break;
  }
  return entries->status();
}

}  // namespace dhrt
