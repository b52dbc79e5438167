#include "storage/collection_file.h"

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>

#include "storage/base/check.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

constexpr Bytes all_graves("\1", 1);  // The entry "graves" of a file that knows all.
constexpr std::size_t no_limit = std::numeric_limits<std::size_t>::max();
// What an entry of the log or expiry table takes beside its key and value, about.
constexpr std::size_t entry_overhead_bytes = 64;
constexpr std::size_t page_bytes = 4096;
// A transaction touches a small part of the pages, for what it frees is used again only by the
// second one after it; but not so few that the file is synced without end, nor so many that a
// sync lasts long.
constexpr std::size_t file_parts = 256;
constexpr std::size_t pages_least = 512;
constexpr std::size_t pages_most = 16384;
constexpr std::size_t removed_at_once = 8192;  // By one transaction.

std::size_t pages_at_once(const LmdbEnv& env) {
  return std::clamp<std::size_t>(env.pages() / file_parts, pages_least, pages_most);
}

// A change of the expiry table, noted while `data` is written. They are made afterwards in their
// own order: each page of the table is then touched once.
struct ExpiryChange {
  AliasDot dot;
  WallMilliseconds deadline = 0;
  bool adds = false;
  Bytes key;

  auto order() const { return std::tuple(deadline, dot.origin, dot.sequence, adds); }
};

bool earlier(const ExpiryChange& left, const ExpiryChange& right) {
  return left.order() < right.order();
}

class ExpiryChanges {
 public:
  void note(const RecordHead& head, Bytes key, bool adds) {
    const WallMilliseconds deadline = head.deleted ? grave_deadline : head.deadline;
    if (deadline != 0) note(deadline, {head.origin, head.sequence}, key, adds);
  }
  void note(WallMilliseconds deadline, AliasDot dot, Bytes key, bool adds) {
    changes_.push_back({.dot = dot, .deadline = deadline, .adds = adds, .key = key});
  }

  // An entry that leads to another key stays: a peer that gave one dot to two keys must not make
  // us forget either.
  void make(WriteTxn& txn) {
    if (changes_.empty()) return;
    std::ranges::stable_sort(changes_, earlier);
    WriteCursor cursor(txn, LmdbTable::expiry);
    for (const ExpiryChange& change : changes_) {
      const std::string key = expiry_key(change.deadline, change.dot);
      const auto found = cursor.find(key);
      if (change.adds) {
        if (found != change.key) cursor.put(key, change.key);
      } else if (found == change.key) {
        cursor.remove();
      }
    }
  }

 private:
  std::vector<ExpiryChange> changes_;
};

AliasDot dot_of(const RecordHead& head) {
  return {head.origin, head.sequence};
}

LogChange removal(AliasDot dot, Bytes key, bool grave) {
  return {.dot = dot, .key = {}, .number = hash64(key), .grave = grave};
}

// Writes some puts, and notes what comes of it for the indexes.
class DataWriter {
 public:
  DataWriter(WriteTxn& txn, std::span<const FilePut> puts, CollectionFile::Index index,
             CollectionFile::Replacing replacing, std::vector<std::optional<RecordHead>>& replaced)
      : txn_(txn), puts_(puts), index_(index), replacing_(replacing), replaced_(replaced) {}

  // Up to `count` of them, about as many as `pages_max` pages take.
  void write(std::size_t count, std::size_t pages_max) {
    WriteCursor data(txn_, LmdbTable::data);
    for (std::size_t i = 0; i < count && (i == 0 || data.pages() < pages_max); ++i) {
      put(data, i);
      if (!txn_.ok()) return;
    }
  }

  std::vector<LogChange> added;
  std::vector<LogChange> removed;
  ExpiryChanges expiry;

 private:
  void put(WriteCursor& data, std::size_t i) {
    const Bytes key = puts_[i].key;
    const auto old_encoded = data.find(key);
    if (!txn_.ok()) return;
    const auto old = old_encoded ? peek_record(*old_encoded) : std::nullopt;
    // One that does not decode counts as live, which it most likely was.
    replaced_.push_back(old_encoded && !old ? std::optional(RecordHead{}) : old);
    replacing_(i, old_encoded ? &*old_encoded : nullptr);
    const Bytes encoded = puts_[i].encoded;
    const auto head = peek_record(encoded);
    check(head.has_value(), "what is written to a file was encoded as a record");
    data.put(key, encoded);
    const bool moves = old && dot_of(*old) != dot_of(*head);
    // What goes to the log table later takes its tombstones along.
    const bool later = index_ == CollectionFile::Index::later;
    if (old && !(later && old->deleted && (moves || head->deleted))) expiry.note(*old, key, false);
    if (!later || !head->deleted) expiry.note(*head, key, true);
    if (moves) removed.push_back(removal(dot_of(*old), key, old->deleted));
    added.push_back(
        {.dot = dot_of(*head), .key = key, .number = added.size(), .grave = head->deleted});
  }

  WriteTxn& txn_;
  std::span<const FilePut> puts_;
  const CollectionFile::Index index_;
  CollectionFile::Replacing replacing_;
  std::vector<std::optional<RecordHead>>& replaced_;
};

void write_meta(WriteTxn& txn, const FileMeta& meta) {
  txn.put(LmdbTable::meta, meta_key::cut, encode_cut(meta.cut));
  txn.put(LmdbTable::meta, meta_key::seen, encode_context(meta.seen));
  txn.put(LmdbTable::meta, meta_key::flushed, encode_context(meta.flushed));
  txn.put(LmdbTable::meta, meta_key::origins, encode_origins(meta.origins));
  if (!meta.forgotten.empty())
    txn.put(LmdbTable::meta, meta_key::forgotten, encode_context(meta.forgotten));
  if (meta.forgotten_hlc != 0)
    txn.put(LmdbTable::meta, meta_key::forgotten_hlc, encode_number(meta.forgotten_hlc));
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

// Whether it is a tombstone of this dot.
bool is_buried(const std::optional<RecordHead>& head, AliasDot dot) {
  return head && head->deleted && dot_of(*head) == dot;
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
    txn.put(LmdbTable::meta, meta_key::graves, all_graves);
  });
  if (!env) return tl::unexpected(env.error());
  std::unique_ptr<CollectionFile> file(new CollectionFile(std::move(*env), ref));
  file->knows_graves_ = true;
  return file;
}

Result<std::unique_ptr<CollectionFile>> CollectionFile::open(const LmdbEnv::Options& options) {
  auto env = LmdbEnv::open(options);
  if (!env) return tl::unexpected(env.error());
  CollectionRef ref;
  bool knows_graves = false;
  {
    const auto txn = ReadTxn::begin(**env);
    if (!txn) return tl::unexpected(txn.error());
    if (auto status = read_entry(*txn, meta_key::ref, decode_ref, ref); !status)
      return fail(status.error(), "open " + options.path);
    const auto graves = txn->get(LmdbTable::meta, meta_key::graves);
    if (!graves) return tl::unexpected(graves.error());
    knows_graves = *graves == all_graves;
  }
  std::unique_ptr<CollectionFile> file(new CollectionFile(std::move(*env), std::move(ref)));
  file->knows_graves_ = knows_graves;
  return file;
}

Result<FileMeta> CollectionFile::meta(unsigned loop) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  FileMeta meta;
  FileCounts counts;
  Status status = read_entry(*txn, meta_key::cut, decode_cut, meta.cut);
  if (status) status = read_entry(*txn, meta_key::seen, decode_context_entry, meta.seen);
  if (status) status = read_entry(*txn, meta_key::flushed, decode_context_entry, meta.flushed);
  if (status) status = read_entry(*txn, meta_key::forgotten, decode_context_entry, meta.forgotten);
  if (status) status = read_entry(*txn, meta_key::forgotten_hlc, decode_number, meta.forgotten_hlc);
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

Result<std::size_t> CollectionFile::write(std::span<const FilePut> puts, Index index,
                                          Replacing replacing, MetaOf meta_of) {
  const std::size_t pages_max = pages_at_once(*env_);
  // What surely takes more than that is not looked at.
  std::size_t bytes = 0;
  std::size_t first = 0;
  for (; first < puts.size() && bytes < pages_max * page_bytes; ++first)
    bytes += 2 * puts[first].key.size() + puts[first].encoded.size() + entry_overhead_bytes;
  std::vector<std::optional<RecordHead>> replaced;
  std::vector<LogChange> removed;
  // Both are made anew if the transaction starts over.
  const auto body = [&](WriteTxn& txn) {
    replaced.clear();
    DataWriter writer(txn, puts, index, replacing, replaced);
    writer.write(first, pages_max);
    if (!txn.ok()) return;
    writer.expiry.make(txn);
    if (index == Index::at_once) {
      writer.added.insert(writer.added.end(), writer.removed.begin(), writer.removed.end());
      sort_log_changes(writer.added);
      change_log(txn, writer.added, no_limit);
    } else {
      RecentWriter recent(txn);
      for (const LogChange& change : writer.added)
        recent.add(change.dot, change.key, change.grave);
      recent.finish();
      removed = std::move(writer.removed);
    }
    if (const FileMeta* meta = meta_of(replaced)) write_meta(txn, *meta);
  };
  if (auto status = env_->write(body, bytes); !status) return tl::unexpected(status.error());
  if (index == Index::later) {
    stale_.insert(stale_.end(), removed.begin(), removed.end());
    unsettled_ += replaced.size() + removed.size();
  }
  return replaced.size();
}

// Adds everything in `recent` to the changes. `keys` owns what the changes borrow.
Status CollectionFile::gather_recent(FunctionRef<std::optional<Bytes>(Bytes key)> get,
                                     std::string& keys, std::vector<LogChange>& changes) const {
  std::vector<std::size_t> ends;
  const auto take = [&](AliasDot dot, Bytes key, bool grave) {
    keys.append(key);
    ends.push_back(keys.size());
    changes.push_back({.dot = dot, .key = {}, .number = ends.size(), .grave = grave});
  };
  const std::size_t before = changes.size();
  for (std::uint64_t number = 1;; ++number) {
    const auto entry = get(recent_key(number));
    if (!entry) break;
    if (read_recent(*entry, take)) continue;
    return fail(
        ErrorCode::corrupt,
        path() + " has an entry of the table 'recent' that does not decode; " + damaged_file_cure);
  }
  // Now that they stay where they are.
  for (std::size_t i = 0; i < ends.size(); ++i) {
    const std::size_t begin = i == 0 ? 0 : ends[i - 1];
    changes[before + i].key = Bytes(keys).substr(begin, ends[i] - begin);
  }
  return {};
}

Status CollectionFile::settle_index(const FileMeta* meta) {
  std::string keys;
  std::vector<LogChange> changes = std::exchange(stale_, {});
  const Status status = settle(meta, keys, changes);
  if (!status) {
    // What is in `recent` is read again.
    std::erase_if(changes, [](const LogChange& change) { return change.adds(); });
    stale_ = std::move(changes);
    return status;
  }
  unsettled_ = 0;
  walk_misses_.store(false);
  env_->trim();
  return {};
}

Status CollectionFile::settle(const FileMeta* meta, std::string& keys,
                              std::vector<LogChange>& changes) {
  changes.reserve(unsettled_);
  bool gathered = unsettled_ == 0;
  Status status;
  std::size_t done = 0;
  std::size_t now = 0;
  const auto body = [&](WriteTxn& txn) {
    if (!gathered) {
      status = gather_recent([&txn](Bytes key) { return txn.get(LmdbTable::recent, key); }, keys,
                             changes);
      if (!status || !txn.ok()) return;
      sort_log_changes(changes);
      gathered = true;
    }
    now = change_log(txn, std::span(changes).subspan(done), pages_at_once(*env_));
    change_graves(txn, std::span(changes).subspan(done, now));
    if (done + now < changes.size()) return;
    if (unsettled_ > 0) txn.clear(LmdbTable::recent);
    if (meta != nullptr) write_meta(txn, *meta);
  };
  do {
    const Status written = env_->write(body);
    if (!status) return status;
    if (!written) return written;
    done += now;
  } while (done < changes.size());
  return {};
}

Status CollectionFile::settle_after_crash(unsigned loop) {
  {
    const auto txn = ReadTxn::begin(*env_, loop);
    if (!txn) return tl::unexpected(txn.error());
    const auto entry = txn->get(LmdbTable::recent, recent_key(1));
    if (!entry) return tl::unexpected(entry.error());
    if (!*entry) return {};
  }
  unsettled_ = 1;  // At least.
  walk_misses_.store(true);
  const Status settled = settle_index(nullptr);
  if (!settled && settled.error().code != ErrorCode::full) return settled;
  return {};
}

Result<std::uint64_t> CollectionFile::count_unsettled(unsigned loop) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  const auto get = [&txn](LmdbTable table, Bytes key) {
    return txn->get(table, key).value_or(std::nullopt);
  };
  std::string keys;
  std::vector<LogChange> changes;
  const auto get_recent = [&get](Bytes key) { return get(LmdbTable::recent, key); };
  if (auto status = gather_recent(get_recent, keys, changes); !status)
    return tl::unexpected(status.error());
  sort_log_changes(changes);
  std::uint64_t count = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const auto& [dot, key, number, grave] = changes[i];
    if (i + 1 < changes.size() && changes[i + 1].dot == dot) continue;
    const auto encoded = get(LmdbTable::data, key);
    if (!encoded || !holds_dot(*encoded, dot)) continue;
    const auto entry = get(LmdbTable::log, log_key(block_of(dot)));
    const auto block = entry ? decode_log_block(*entry) : std::nullopt;
    if (!block || (*block)[place_in_block(dot)] != key) ++count;
  }
  return count;
}

Result<std::size_t> CollectionFile::remove(std::span<const FileGrave> graves, std::uint64_t hlc_max,
                                           Removing removing, MetaOfRest meta_of) {
  // A key that is gone may come back with a dot that is stale now.
  if (unsettled_ > 0) {
    if (auto status = settle_index(nullptr); !status) return tl::unexpected(status.error());
  }
  std::size_t done = 0;
  const auto body = [&](WriteTxn& txn) {
    std::size_t removed = 0;
    done = remove_some(txn, graves, hlc_max, removing, removed);
    if (removed == 0 || !txn.ok()) return;
    if (const FileMeta* meta = meta_of(removed)) write_meta(txn, *meta);
  };
  if (auto status = env_->write(body); !status) return tl::unexpected(status.error());
  return done;
}

std::size_t CollectionFile::remove_some(WriteTxn& txn, std::span<const FileGrave> graves,
                                        std::uint64_t hlc_max, Removing removing,
                                        std::size_t& removed) const {
  const std::size_t pages_max = pages_at_once(*env_);
  std::vector<LogChange> log;
  ExpiryChanges expiry;
  std::size_t done = 0;
  {
    WriteCursor data(txn, LmdbTable::data);
    const std::size_t most = std::min(graves.size(), removed_at_once);
    for (; done < most && (done == 0 || data.pages() < pages_max); ++done) {
      const auto& [dot, key] = graves[done];
      const auto held = data.find(key);
      if (!txn.ok()) return done;
      const auto head = held ? peek_record(*held) : std::nullopt;
      if (is_buried(head, dot) && head->hlc > hlc_max) continue;
      // A live record may have that deadline, too.
      const bool has_deadline = head && !head->deleted && dot_of(*head) == dot;
      if (!has_deadline) expiry.note(grave_deadline, dot, key, false);
      if (!is_buried(head, dot)) continue;
      removing(done, *held);
      log.push_back(removal(dot, key, true));
      data.remove();
    }
  }
  removed = log.size();
  expiry.make(txn);
  sort_log_changes(log);
  change_log(txn, log, no_limit);
  return done;
}

Status CollectionFile::add_graves(std::span<const FileGrave> graves, bool last) {
  if (graves.empty() && !last) return {};
  const auto body = [&](WriteTxn& txn) {
    ExpiryChanges expiry;
    for (const auto& [dot, key] : graves) {
      const auto held = txn.get(LmdbTable::data, key);
      if (held && is_buried(peek_record(*held), dot)) expiry.note(grave_deadline, dot, key, true);
    }
    expiry.make(txn);
    if (last) txn.put(LmdbTable::meta, meta_key::graves, all_graves);
  };
  if (auto status = env_->write(body); !status) return status;
  knows_graves_ = knows_graves_ || last;
  return {};
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
  if (walk_misses_.load()) {
    return fail(ErrorCode::full, path() +
                                     " does not know all of its records by their dots since a "
                                     "crash, and the disk was full; free space on the disk");
  }
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  auto cursor = LmdbCursor::open(*txn, LmdbTable::log);
  if (!cursor) return tl::unexpected(cursor.error());
  for (cursor->seek(log_key(block_of(from))); cursor->valid(); cursor->next()) {
    const auto dots = parse_log_key(cursor->key());
    if (!dots || dots->origin != from.origin) break;
    const auto block = decode_log_block(cursor->value());
    if (!block) continue;  // As good as absent.
    for (std::size_t i = 0; i < block->size(); ++i) {
      const AliasDot dot{dots->origin, dots->sequence + i};
      const Bytes key = (*block)[i];
      if (key.empty() || dot.sequence < from.sequence) continue;
      const auto encoded = txn->get(LmdbTable::data, key);
      if (!encoded) return tl::unexpected(encoded.error());
      if (*encoded && holds_dot(**encoded, dot) && !show(dot, key, **encoded)) return {};
    }
  }
  return cursor->status();
}

Status CollectionFile::graves(unsigned loop, AliasDot from,
                              FunctionRef<bool(AliasDot dot, Bytes key)> show) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  auto entries = LmdbCursor::open(*txn, LmdbTable::expiry);
  if (!entries) return tl::unexpected(entries.error());
  for (entries->seek(expiry_key(grave_deadline, from)); entries->valid(); entries->next()) {
    const auto dot = parse_grave_key(entries->key());
    if (!dot || dot->origin != from.origin) break;
    const Bytes key = entries->value();
    if (key.empty() || key.size() > key_bytes_max) continue;
    if (!show(*dot, key)) break;
  }
  return entries->status();
}

Result<std::optional<WallMilliseconds>> CollectionFile::next_expired(
    unsigned loop, WallMilliseconds deadline, std::string& cursor,
    FunctionRef<bool(Bytes key)> show) {
  const auto txn = ReadTxn::begin(*env_, loop);
  if (!txn) return tl::unexpected(txn.error());
  auto entries = LmdbCursor::open(*txn, LmdbTable::expiry);
  if (!entries) return tl::unexpected(entries.error());
  for (entries->seek(cursor); entries->valid(); entries->next()) {
    const auto due = parse_expiry_key(entries->key());
    if (due && *due > deadline) return due;
    cursor = std::string(entries->key()) + '\0';
    if (!show(entries->value())) return std::nullopt;
  }
  if (auto status = entries->status(); !status) return tl::unexpected(status.error());
  return std::numeric_limits<WallMilliseconds>::max();
}

}  // namespace dhrt
