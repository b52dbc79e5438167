#include "storage/lmdb_collection.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "storage/base/check.h"
#include "storage/log_index.h"
#include "storage/slice.h"

namespace dhrt {

namespace {

constexpr WallMilliseconds no_deadline = std::numeric_limits<WallMilliseconds>::max();

bool usable_key(Bytes key) {
  return !key.empty() && key.size() <= key_bytes_max;
}

// The entry of `meta`, empty if there is none.
Result<Bytes> meta_entry(const ReadTxn& txn, Bytes key) {
  auto entry = txn.get(LmdbTable::meta, key);
  if (!entry) return tl::unexpected(entry.error());
  return entry->value_or(Bytes());
}

// Decodes an entry of `meta` if it is there, and leaves `target` as it is if not.
template <typename T>
Status read_entry(const ReadTxn& txn, Bytes key, Result<T> (*decode)(Bytes), T& target) {
  const auto entry = meta_entry(txn, key);
  if (!entry) return tl::unexpected(entry.error());
  if (entry->empty()) return {};
  auto decoded = decode(*entry);
  if (!decoded) return tl::unexpected(decoded.error());
  target = std::move(*decoded);
  return {};
}

std::string encode_tally_entry(const Tally& tally) {
  std::string out;
  ByteWriter writer(out);
  encode(writer, tally);
  return out;
}

Result<Tally> decode_tally_entry(Bytes encoded) {
  ByteReader reader(encoded);
  Tally tally = decode_tally(reader);
  if (reader.ok() && reader.empty()) return tally;
  return fail(ErrorCode::corrupt, "the entry 'tally' does not decode; restore it from a backup");
}

}  // namespace

LmdbCollection::LmdbCollection(std::shared_ptr<LmdbEnv> env, CollectionRef ref)
    : env_(std::move(env)), ref_(std::move(ref)) {}

Result<std::unique_ptr<LmdbCollection>> LmdbCollection::create(const LmdbEnv::Options& options,
                                                               const CollectionRef& ref) {
  auto env = LmdbEnv::create(options, [&ref](WriteTxn& txn) {
    txn.put(LmdbTable::meta, meta_key::format, encode_format());
    txn.put(LmdbTable::meta, meta_key::ref, encode_ref(ref));
  });
  if (!env) return tl::unexpected(env.error());
  return std::unique_ptr<LmdbCollection>(new LmdbCollection(std::move(*env), ref));
}

Result<std::unique_ptr<LmdbCollection>> LmdbCollection::open(const LmdbEnv::Options& options) {
  auto env = LmdbEnv::open(options);
  if (!env) return tl::unexpected(env.error());
  if (*env == nullptr) return std::unique_ptr<LmdbCollection>();
  std::unique_ptr<LmdbCollection> collection(new LmdbCollection(std::move(*env), {}));
  if (auto status = collection->read_meta(); !status)
    return fail(status.error(), "open " + options.path);
  return collection;
}

Status LmdbCollection::read_meta() {
  const auto txn = ReadTxn::begin(*env_);
  if (!txn) return tl::unexpected(txn.error());
  Status status = read_entry(*txn, meta_key::ref, decode_ref, ref_);
  if (status) status = read_entry(*txn, meta_key::seen, decode_context_entry, seen_);
  if (status) status = read_entry(*txn, meta_key::flushed, decode_context_entry, flushed_);
  if (status) status = read_entry(*txn, meta_key::origins, decode_origins, origins_);
  if (status) status = read_entry(*txn, meta_key::counts, decode_counts, counts_);
  if (status) status = read_entry(*txn, "tally", decode_tally_entry, tally_);
  contexts_ = DurableContext(seen_, flushed_);
  return status;
}

Status LmdbCollection::check_puts(const Batch& batch) {
  for (const KeyedRecord& entry : batch.puts) {
    if (!usable_key(entry.key)) {
      return fail(ErrorCode::invalid_argument, "a key of " + std::to_string(entry.key.size()) +
                                                   " bytes cannot be stored; use 1 to " +
                                                   std::to_string(key_bytes_max) + " bytes");
    }
    if (entry.record.attributes.size() > attributes_bytes_max) {
      return fail(ErrorCode::invalid_argument,
                  "attributes of " + std::to_string(entry.record.attributes.size()) +
                      " bytes cannot be stored; use " + std::to_string(attributes_bytes_max) +
                      " at most");
    }
    if (entry.record.dot.sequence == 0) {
      return fail(ErrorCode::invalid_argument,
                  "a record with sequence 0 cannot be stored; sequences start at 1");
    }
    if (const auto alias = origins_.alias(entry.record.dot.origin); !alias)
      return fail(alias.error(), env_->path());
  }
  return {};
}

Status LmdbCollection::append(Position position, Batch batch) {
  if (auto status = check_puts(batch); !status) return status;
  const auto in_file = heads_in_file(batch.puts);
  if (!in_file) return tl::unexpected(in_file.error());

  changed_ = changed_ || !batch.puts.empty() || !seen_.contains(batch.seen) ||
             !flushed_.contains(batch.flushed);
  seen_.merge(batch.seen);
  if (!flushed_.contains(batch.flushed)) {
    flushed_.merge(batch.flushed);
    tally_.flush(flushed_, seen_);
    flush_position_ = position;
    sweep_from_ = {};
  }
  for (std::size_t i = 0; i < batch.puts.size(); ++i)
    put(position, batch.puts[i], (*in_file)[i]);
  contexts_.expect(position, std::move(batch.seen), std::move(batch.flushed));
  return {};
}

Result<std::vector<std::optional<RecordHead>>> LmdbCollection::heads_in_file(
    const std::vector<KeyedRecord>& puts) {
  std::vector<std::optional<RecordHead>> heads(puts.size());
  if (puts.empty()) return heads;
  const auto txn = ReadTxn::begin(*env_);
  if (!txn) return tl::unexpected(txn.error());
  for (std::size_t i = 0; i < puts.size(); ++i) {
    if (overlay_.contains(puts[i].key)) continue;
    const auto encoded = txn->get(LmdbTable::data, puts[i].key);
    if (!encoded) return tl::unexpected(encoded.error());
    if (*encoded) heads[i] = peek_record(**encoded);
  }
  return heads;
}

void LmdbCollection::put(Position position, const KeyedRecord& entry,
                         const std::optional<RecordHead>& in_file) {
  const bool deleted = entry.record.deleted || flushed_.contains(entry.record.dot);
  const Record record = deleted ? tombstone_of(entry.record) : entry.record;
  auto pending = std::make_shared<PendingPut>();
  pending->position = position;
  pending->dot = {*origins_.find(record.dot.origin), record.dot.sequence};
  pending->deadline = record.deadline;
  pending->key = entry.key;
  const Status encoded = encode_record(pending->encoded, entry.key, record, origins_, {});
  check(encoded.has_value(), "a record whose origin has an alias can be encoded");

  const auto replaced = overlay_.find(entry.key);
  const auto old = replaced != overlay_.end() ? peek_record(replaced->second->encoded) : in_file;
  std::optional<Tally::Item> old_item;
  if (const Origin* origin = old ? origins_.origin(old->origin) : nullptr)
    old_item = {{*origin, old->sequence}, old->deleted, entry.key.size() + old->value_bytes};
  tally_.replace(old_item, item_of(entry.key, record), seen_);
  counts_.highest_hlc = std::max(counts_.highest_hlc, record.version.hlc);
  if (record.deadline != 0) earliest_deadline_ = std::min(earliest_deadline_, record.deadline);

  SharedPut shared = std::move(pending);
  overlay_.insert_or_assign(entry.key, shared);
  unsynced_.push_back(shared);
  not_taken_.push_back(std::move(shared));
}

LmdbWork LmdbCollection::take_work() {
  changed_ = false;
  return {.env = env_,
          .puts = std::exchange(not_taken_, {}),
          .meta = {.seen = encode_context(seen_),
                   .flushed = encode_context(flushed_),
                   .origins = encode_origins(origins_),
                   .counts = encode_counts(counts_),
                   .tally = encode_tally_entry(tally_)}};
}

bool LmdbCollection::advance(Position durable) {
  durable_position_ = durable;
  while (!unsynced_.empty() && unsynced_.front()->position <= durable) {
    const auto held = overlay_.find(unsynced_.front()->key);
    if (held != overlay_.end() && held->second == unsynced_.front()) overlay_.erase(held);
    unsynced_.pop_front();
  }
  return contexts_.advance(durable);
}

Record LmdbCollection::shown(Record record, const Context& flushed) const {
  if (!record.deleted && !flushed.contains(record.dot)) return record;
  return tombstone_of(record);
}

Result<Record> LmdbCollection::decode_from_file(const ReadTxn& txn, Bytes key,
                                                Bytes encoded) const {
  auto record = decode_record(encoded, key, origins_);
  if (record && record->damaged) {
    // The dot may be what is damaged. It is to be trusted only if the log leads here too.
    const AliasDot dot{*origins_.find(record->dot.origin), record->dot.sequence};
    const auto entry = txn.get(LmdbTable::log, log_key(dot));
    if (!entry) return tl::unexpected(entry.error());
    if (*entry != key) record = fail(ErrorCode::corrupt, "the log does not lead to it");
  }
  if (!record) return fail(record.error(), env_->path() + ", key '" + std::string(key) + "'");
  return record;
}

Result<std::optional<Record>> LmdbCollection::find_stored(Bytes key) {
  if (!usable_key(key)) return std::nullopt;
  if (const auto held = overlay_.find(key); held != overlay_.end()) {
    auto record = decode_record(held->second->encoded, key, origins_);
    check(record.has_value(), "what we have encoded can be decoded");
    return std::move(*record);
  }
  const auto txn = ReadTxn::begin(*env_);
  if (!txn) return tl::unexpected(txn.error());
  const auto encoded = txn->get(LmdbTable::data, key);
  if (!encoded) return tl::unexpected(encoded.error());
  if (!*encoded) return std::nullopt;
  auto record = decode_from_file(*txn, key, **encoded);
  if (!record) return tl::unexpected(record.error());
  return std::move(*record);
}

Result<std::optional<Record>> LmdbCollection::find(Bytes key) {
  auto record = find_stored(key);
  if (record && *record) *record = shown(std::move(**record), flushed_);
  return record;
}

bool LmdbCollection::show(const ScanRequest& request, Bytes key, Record record, SliceFiller& filler,
                          ScanSlice& slice) const {
  record = shown(std::move(record), flushed_);
  if (!visible(record, request.now)) return true;
  if (!request.with_values) record.value.clear();
  if (!filler.fits(key.size() + record.value.size())) {
    slice.next = std::string(key);
    return false;
  }
  filler.add(slice.records, std::string(key), std::move(record));
  return true;
}

Result<ScanSlice> LmdbCollection::scan(const ScanRequest& request) {
  const auto txn = ReadTxn::begin(*env_);
  if (!txn) return tl::unexpected(txn.error());
  auto file = LmdbCursor::open(*txn, LmdbTable::data);
  if (!file) return tl::unexpected(file.error());

  ScanSlice slice;
  SliceFiller filler(request.limits);
  const std::string& start = std::max(request.from, request.prefix);
  auto ahead = overlay_.lower_bound(start);
  file->seek(start);
  const auto in_prefix = [&](Bytes key) { return has_prefix(key, request.prefix); };
  for (bool room = true; room;) {
    const bool have_ahead = ahead != overlay_.end() && in_prefix(ahead->first);
    const bool have_file = file->valid() && in_prefix(file->key());
    if (!have_ahead && !have_file) break;
    const bool from_file = have_file && (!have_ahead || file->key() < Bytes(ahead->first));
    if (from_file) {
      // One that does not decode is left out: find() says what is wrong with it.
      auto record = decode_from_file(*txn, file->key(), file->value());
      if (record) room = show(request, file->key(), std::move(*record), filler, slice);
      file->next();
      continue;
    }
    if (have_file && file->key() == Bytes(ahead->first)) file->next();
    auto record = decode_record(ahead->second->encoded, ahead->first, origins_);
    check(record.has_value(), "what we have encoded can be decoded");
    room = show(request, ahead->first, std::move(*record), filler, slice);
    ++ahead;
  }
  if (auto status = file->status(); !status) return tl::unexpected(status.error());
  return slice;
}

Result<std::optional<KeyedRecord>> LmdbCollection::entry_of(const ReadTxn& txn,
                                                            const Dot& dot) const {
  const auto key = txn.get(LmdbTable::log, log_key({*origins_.find(dot.origin), dot.sequence}));
  if (!key) return tl::unexpected(key.error());
  if (!*key) return std::nullopt;
  const auto encoded = txn.get(LmdbTable::data, **key);
  if (!encoded) return tl::unexpected(encoded.error());
  if (!*encoded) return std::nullopt;
  auto record = decode_from_file(txn, **key, **encoded);
  // One that does not decode, or has another dot, is not what the log promised: not shown.
  if (!record || record->dot != dot) return std::nullopt;
  return KeyedRecord{std::string(**key), std::move(*record)};
}

Result<WalkSlice> LmdbCollection::walk(const WalkRequest& request) {
  const auto txn = ReadTxn::begin(*env_);
  if (!txn) return tl::unexpected(txn.error());
  auto index = LogIndex::open(*txn, origins_);
  if (!index) return tl::unexpected(index.error());
  WalkSlice slice;
  Context flushed;
  Status status = read_entry(*txn, meta_key::seen, decode_context_entry, slice.durable);
  if (status) status = read_entry(*txn, meta_key::flushed, decode_context_entry, flushed);
  if (!status) return fail(status.error(), "walk " + env_->path());

  SliceFiller filler(request.limits);
  const SeekDot seek = [&index](const Dot& from) { return index->seek(from); };
  std::optional<Dot> dot = request.from.value_or(Dot{});
  while ((dot = first_not_in(request.excluded, *dot, seek))) {
    auto entry = entry_of(*txn, *dot);
    if (!entry) return tl::unexpected(entry.error());
    if (*entry) {
      KeyedRecord& held = **entry;
      held.record = shown(std::move(held.record), flushed);
      if (!filler.fits(held.key.size() + held.record.value.size())) {
        slice.next = dot;
        break;
      }
      filler.add(slice.records, std::move(held.key), std::move(held.record));
    }
    ++dot->sequence;
  }
  if (auto end = index->status(); !end) return tl::unexpected(end.error());
  return slice;
}

Result<std::vector<KeyedRecord>> LmdbCollection::overdue(WallMilliseconds now, std::size_t& budget,
                                                         bool& more) {
  std::vector<KeyedRecord> tombstones;
  const auto expired = expired_keys(now, budget);
  if (!expired) return tl::unexpected(expired.error());
  for (const std::string& key : *expired) {
    const auto held = find_stored(key);
    if (held && *held && !(*held)->deleted && !visible(**held, now))
      tombstones.push_back({key, tombstone_of(**held)});
  }
  if (sweep_is_due() && budget > 0) {
    const auto found = sweep(budget, tombstones);
    if (!found) return tl::unexpected(found.error());
    // The end counts only once what was found on the way there has been appended.
    const bool ended = budget > 0 && !*found;
    if (ended) {
      counts_.swept = flushed_;
      tally_.swept();
    }
    more = more || !ended;
  }
  more = more || budget == 0;
  return tombstones;
}

Result<bool> LmdbCollection::sweep(std::size_t& budget, std::vector<KeyedRecord>& tombstones) {
  const auto entries = flushed_entries(budget);
  if (!entries) return tl::unexpected(entries.error());
  bool found = false;
  for (const LogEntry& entry : *entries) {
    const auto held = find_stored(entry.key);
    if (!held || !*held || (*held)->deleted || (*held)->dot != entry.dot) continue;
    tombstones.push_back({entry.key, tombstone_of(**held)});
    found = true;
  }
  return found;
}

Result<std::vector<std::string>> LmdbCollection::expired_keys(WallMilliseconds now,
                                                              std::size_t& budget) {
  std::vector<std::string> keys;
  if (earliest_deadline_ > now || budget == 0) return keys;
  const auto txn = ReadTxn::begin(*env_);
  if (!txn) return tl::unexpected(txn.error());
  auto cursor = LmdbCursor::open(*txn, LmdbTable::expiry);
  if (!cursor) return tl::unexpected(cursor.error());
  for (cursor->seek(expiry_from_); cursor->valid(); cursor->next()) {
    const auto deadline = parse_expiry_key(cursor->key());
    if (deadline && *deadline > now) break;
    if (budget == 0) {
      // Entries up to here may stay in the file until their tombstones are.
      expiry_from_ = std::string(cursor->key());
      return keys;
    }
    --budget;
    keys.emplace_back(cursor->value());
  }
  if (auto status = cursor->status(); !status) return tl::unexpected(status.error());
  const auto next = cursor->valid() ? parse_expiry_key(cursor->key()) : no_deadline;
  // What is not in the file yet may be due before that: look again when it is.
  earliest_deadline_ = unsynced_.empty() ? next.value_or(0) : 0;
  expiry_from_.clear();
  return keys;
}

Result<std::vector<LmdbCollection::LogEntry>> LmdbCollection::flushed_entries(std::size_t& budget) {
  std::vector<LogEntry> entries;
  const auto txn = ReadTxn::begin(*env_);
  if (!txn) return tl::unexpected(txn.error());
  auto index = LogIndex::open(*txn, origins_);
  if (!index) return tl::unexpected(index.error());
  const SeekDot seek = [&index](const Dot& from) { return index->seek(from); };
  while (budget > 0) {
    const auto dot = first_between(flushed_, counts_.swept, sweep_from_, seek);
    if (!dot) break;
    --budget;
    sweep_from_ = {dot->origin, dot->sequence + 1};
    entries.push_back({*dot, std::string(index->key())});
  }
  if (auto status = index->status(); !status) return tl::unexpected(status.error());
  return entries;
}

}  // namespace dhrt
