#include "storage/collection_file.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "storage/base/check.h"

namespace dhrt {

namespace {

// What an entry of the log or expiry table takes beside its key and value, about.
constexpr std::size_t entry_overhead_bytes = 64;

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

  void note(const RecordHead& head, Bytes key, bool adds) {
    const AliasDot dot{head.origin, head.sequence};
    log_.push_back({.dot = dot, .adds = adds, .key = key});
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
  if (*env == nullptr) return std::unique_ptr<CollectionFile>();
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

Status CollectionFile::write(const std::vector<FilePut>& puts, const FileMeta* meta,
                             Replaced replaced) {
  std::size_t bytes = 0;
  for (const FilePut& put : puts)
    bytes += 2 * put.key.size() + put.encoded.size() + entry_overhead_bytes;
  std::size_t told = 0;  // The transaction may start over; nobody is told twice.
  return env_->write(
      [&](WriteTxn& txn) {
        IndexChanges changes(puts.size());
        if (!puts.empty()) {
          WriteCursor data(txn, LmdbTable::data);
          for (std::size_t i = 0; i < puts.size() && txn.ok(); ++i) {
            const auto old = data.find(puts[i].key);
            const auto old_head = old ? peek_record(*old) : std::nullopt;
            const auto head = peek_record(puts[i].encoded);
            check(head.has_value(), "what is written to a file was encoded as a record");
            data.put(puts[i].key, puts[i].encoded);
            if (!txn.ok()) return;
            if (old_head) changes.note(*old_head, puts[i].key, false);
            changes.note(*head, puts[i].key, true);
            if (told > i) continue;
            told = i + 1;
            replaced(i, old_head);
          }
        }
        changes.make(txn);
        if (meta != nullptr) write_meta(txn, *meta);
      },
      bytes);
}

Status CollectionFile::remove(const std::vector<std::string>& keys) {
  return env_->write([&](WriteTxn& txn) {
    IndexChanges changes(keys.size());
    {
      WriteCursor data(txn, LmdbTable::data);
      for (const std::string& key : keys) {
        const auto old = data.find(key);
        if (!old) continue;
        if (const auto head = peek_record(*old)) changes.note(*head, key, false);
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
