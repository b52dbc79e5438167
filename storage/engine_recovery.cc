// A collection as a start finds it: its file, and what the logs have beyond that.
#include <algorithm>
#include <utility>

#include "storage/engine_collection.h"

namespace dhrt {

Status EngineCollection::attach(std::unique_ptr<CollectionFile> file) {
  auto meta = file->meta(file_reader());
  if (!meta) return tl::unexpected(meta.error());
  for (std::size_t i = 0; i < meta->origins.size(); ++i) {
    const auto alias = origins_.alias(*meta->origins.origin(static_cast<OriginAlias>(i)));
    if (!alias) return tl::unexpected(alias.error());
  }
  contexts_.restore(meta->seen, meta->flushed, meta->swept);
  forgetting_.note_forgotten(meta->forgotten, meta->forgotten_hlc);
  of_file_ = {.live = static_cast<std::int64_t>(meta->live),
              .tombstones = static_cast<std::int64_t>(meta->tombstones),
              .bytes = static_cast<std::int64_t>(meta->bytes)};
  origins_in_file_ = meta->origins.size();
  highest_hlc_in_file_ = meta->highest_hlc;
  set_complete(meta->live + meta->tombstones == 0);
  meta_on_disk_ = std::move(*meta);
  file_owner_ = std::move(file);
  file_.store(file_owner_.get(), std::memory_order_release);
  return {};
}

// Memory takes the newest of what the logs have; the file is asked at the end, in its own order.
Status EngineCollection::replay_record(const HashedKey& key, RecordView record, bool joins_seen) {
  const auto alias = origins_.alias(record.dot.origin);
  if (!alias) return tl::unexpected(alias.error());
  // Without a file nothing is behind it: see with_created().
  if (record.created == created_unknown && file() == nullptr) record.created = 0;
  const std::size_t stripe = stripe_of(key.hash);
  const std::lock_guard lock(shared_.stripes[stripe].lock);
  if (joins_seen) replayed_seen_.add(record.dot);
  if (const Entry* held = table_.find(key)) {
    const RecordView there = held->view(*origins_.origin(held->dot().origin));
    if (!takes_place(record, there)) return {};
  }
  const std::uint8_t unseen = joins_seen ? 0 : Entry::unseen;
  const auto put = table_.put(key, record, *alias, Entry::dirty | unseen);
  if (put.replaced != nullptr) table_.free(stripe, put.replaced);
  return {};
}

void EngineCollection::replay_contexts(const Context& seen, const Context& flushed) {
  if (!file_is_lost_) replayed_seen_.merge(seen);
  replayed_flushed_.merge(flushed);
  mark_stale();
}

// Newer, or the same write where what is held is damaged.
bool EngineCollection::takes_place(const RecordView& record, const RecordView& held) {
  const bool heals = held.damaged && !record.damaged && held.dot == record.dot;
  return heals || newer(record, held);
}

// Whether the file has none, or an older one, which is counted out: then when the key came to be.
Result<std::optional<WallMilliseconds>> EngineCollection::beats_file(const Entry& entry,
                                                                     EngineTally& tally) {
  std::optional<WallMilliseconds> created = 0;
  if (file() == nullptr) return created;
  const RecordView record = entry.view(*origins_.origin(entry.dot().origin));
  const Status status = file()->get(file_reader(), entry.key(), [&](const Bytes* encoded) {
    if (encoded == nullptr) return;
    const auto held = decode_record_view(
        *encoded, entry.key(), [this](OriginAlias alias) { return origins_.origin(alias); });
    if (held && !takes_place(record, *held)) {
      created.reset();
      return;
    }
    created = created_behind(entry.key(), encoded, record);
    tally.remove(item_in_file(entry.key(), entry.dot(), *encoded));
  });
  if (!status) return tl::unexpected(status.error());
  return created;
}

// One that was written blindly is made once more when that is known.
void EngineCollection::with_created(std::size_t stripe, Entry& entry, WallMilliseconds created) {
  const AliasDot dot = entry.dot();
  RecordView record = entry.view(*origins_.origin(dot.origin));
  if (record.created != created_unknown) return;
  record.created = created;
  const auto put = table_.put(HashedKey(entry.key()), record, dot.origin, Entry::dirty);
  table_.free(stripe, put.replaced);
}

// In the order of the file. What it has already leaves memory.
Status EngineCollection::compare_with_file() {
  struct Replayed {
    std::uint64_t key_begin;
    Entry* entry;
    std::size_t stripe;
  };
  std::vector<Replayed> replayed;
  replayed.reserve(table_.size());
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    table_.visit(i, 0, [&](Entry& entry) {
      replayed.push_back({begin_of(entry.key()), &entry, i});
      return true;
    });
  }
  std::ranges::sort(replayed, [](const Replayed& left, const Replayed& right) {
    if (left.key_begin != right.key_begin) return left.key_begin < right.key_begin;
    return left.entry->key() < right.entry->key();
  });
  for (const auto& [key_begin, entry, stripe] : replayed) {
    const std::lock_guard lock(shared_.stripes[stripe].lock);
    const auto created = beats_file(*entry, part(stripe).tally);
    if (!created) return tl::unexpected(created.error());
    if (*created) {
      with_created(stripe, *entry, **created);
    } else {
      table_.take_out(HashedKey(entry->key()), entry);
      table_.free(stripe, entry);
    }
  }
  return {};
}

void EngineCollection::take_stock(Part& here, Entry& entry, ByteChanges& changes) {
  weigh(here, entry, 1, changes);
  index(entry, nullptr);
  here.tally.add(item_of(entry));
  note_put(here, entry);
}

Result<std::size_t> EngineCollection::end_replay() {
  if (file() != nullptr) {
    if (auto status = compare_with_file(); !status) return tl::unexpected(status.error());
  }
  table_.end_filling();
  ByteChanges changes;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    table_.visit(i, 0, [&](Entry& entry) {
      take_stock(part(i), entry, changes);
      ++kept;
      return true;
    });
  }
  changes.add_to(shared_);
  end_replay_of_contexts();
  return kept;
}

void EngineCollection::end_replay_of_contexts() {
  Context seen = contexts_.seen();
  Context flushed = contexts_.flushed();
  seen.merge(replayed_seen_);
  flushed.merge(replayed_flushed_);
  if (!replayed_seen_.empty()) mark_stale();
  contexts_.restore(std::move(seen), std::move(flushed), contexts_.swept());
  replayed_seen_ = {};
  replayed_flushed_ = {};
  if (contexts_.sweep_pending()) write_off_flushed(file_is_within(contexts_.flushed()));
}

}  // namespace dhrt
