// A collection's way into its file.
//
// Intuition: what is dirty is listed and brought into key order; part by part it is copied, made
// safe in the logs, and written. Whatever was written to meanwhile has another dot by then and
// stays dirty. Bounds: a list and a part, of some tens of megabytes, however much is dirty.
#include <algorithm>
#include <filesystem>
#include <span>
#include <system_error>
#include <utility>

#include "storage/base/give_way.h"
#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr std::size_t listed_at_once = 128;  // Under one hold of the index's lock.
constexpr std::size_t fetched_at_once = 16;
constexpr std::size_t settled_at_once = 16;

// What is listed stays in memory until all of it is in the file, whoever wants its place.
bool list_is_full(const DirtyKeys& keys, const EngineOptions& options) {
  if (keys.count() == 0) return false;
  return keys.bytes() >= options.checkpoint_list_bytes ||
         keys.entry_bytes() >= options.checkpoint_bytes;
}

// Twice as much each time, for reserve() gives what is asked and no more.
template <typename Container>
void make_room_in(Container& container, std::size_t more) {
  if (container.capacity() - container.size() < more)
    container.reserve(std::max(2 * container.capacity(), container.size() + more));
}

}  // namespace

void DirtyKeys::make_room(std::size_t keys) {
  make_room_in(items_, keys);
  make_room_in(bytes_, keys * key_bytes_max);
}

void DirtyKeys::add(Bytes key, std::size_t entry_bytes) {
  Item item{};
  item.key_begin = begin_of(key);
  item.key_at = bytes_.size() & Item::bits_48;
  item.key_bytes = key.size() & key_bytes_max;
  items_.push_back(item);
  bytes_.append(key);
  entry_bytes_ += entry_bytes;
}

void DirtyKeys::note_copied(std::size_t index, const Entry& entry, bool damaged) {
  Item& item = items_[index];
  item.sequence = entry.dot().sequence & Item::bits_48;
  item.origin = entry.dot().origin;
  item.is_copied = 1;
  item.deleted = entry.deleted() ? 1 : 0;
  item.damaged = damaged ? 1 : 0;
}

std::optional<DirtyKeys::Copied> DirtyKeys::copied(std::size_t index) const {
  const Item& item = items_[index];
  if (item.is_copied == 0) return std::nullopt;
  return Copied{.dot = {static_cast<OriginAlias>(item.origin), item.sequence},
                .deleted = item.deleted != 0,
                .damaged = item.damaged != 0};
}

void DirtyKeys::sort() {
  const auto before = [this](const Item& left, const Item& right) {
    if (left.key_begin != right.key_begin) return left.key_begin < right.key_begin;
    return key(left) < key(right);
  };
  std::ranges::sort(items_, giving_way(before));
  // One that was written again while the list was made may be in it twice.
  const auto same_key = [this](const Item& left, const Item& right) {
    return key(left) == key(right);
  };
  items_.erase(std::unique(items_.begin(), items_.end(), same_key), items_.end());
}

void DirtyCopy::make_room(std::size_t records) {
  constexpr std::size_t record_bytes = 4096;  // Most are not larger.
  make_room_in(items_, records);
  make_room_in(bytes_, std::max(records * record_bytes, bytes_.size() / 4));
}

void DirtyCopy::add(const Entry& entry, const Origin& origin) {
  const Bytes key = entry.key();
  const RecordView view = entry.view(origin);
  Item item{.key_at = bytes_.size(),
            .key_bytes = static_cast<std::uint32_t>(key.size()),
            .value_bytes = static_cast<std::uint32_t>(view.value.size()),
            .dot = entry.dot(),
            .deleted = view.deleted,
            .unread = entry.is(Entry::unread)};
  bytes_.append(key);
  const std::size_t begin = bytes_.size();
  encode_record_view(bytes_, key, view, item.dot.origin);
  item.encoded_bytes = bytes_.size() - begin;
  items_.push_back(item);
}

void EngineCollection::begin_pass(const LogCut& cut, DirtyPass& pass) {
  meta_stale_.store(false, std::memory_order_release);
  pass.meta.cut = cut;
  pass.meta.seen = contexts_.durable();
  pass.meta.flushed = contexts_.durable_flushed();
  pass.meta.swept = contexts_.swept();
  take_superseded(pass.superseded);
  pass.meta.seen.merge(pass.superseded);
  pass.forgettable = forgetting_.due(cut.positions);
  pass.forgettable.intersect(pass.meta.seen);
  begin_listing();
  copy_next(pass);
}

void EngineCollection::copy_next(DirtyPass& pass) {
  if (pass.next_key == pass.keys.count() && !pass.all_listed) {
    pass.keys = {};
    pass.next_key = 0;
    pass.list_is_new = true;
    if (dots_are_shared_.load()) {
      list_table(pass);
    } else {
      list_index(pass);
      list_moved(pass);
    }
    pass.keys.sort();
  }
  pass.copy = {};
  while (pass.next_key < pass.keys.count() &&
         pass.copy.record_bytes() < shared_.options.checkpoint_part_bytes) {
    const std::size_t end = std::min(pass.next_key + fetched_at_once, pass.keys.count());
    copy_keys(pass, end);
    give_way();
  }
  pass.meta.origins = origins_.names();
  pass.meta.highest_hlc = highest_hlc();
}

// Whatever is held of them by now, if it is still dirty: a later write is as good.
void EngineCollection::copy_keys(DirtyPass& pass, std::size_t end) {
  for (std::size_t i = pass.next_key; i < end; ++i)
    table_.prefetch(HashedKey(pass.keys.key(i)));
  for (std::size_t i = pass.next_key; i < end; ++i)
    table_.prefetch_entry(HashedKey(pass.keys.key(i)));
  pass.copy.make_room(end - pass.next_key);
  for (; pass.next_key < end; ++pass.next_key) {
    const HashedKey key(pass.keys.key(pass.next_key));
    const std::lock_guard lock(shared_.stripes.of(key).lock);
    const Entry* const entry = table_.find(key);
    if (entry == nullptr || !entry->is(Entry::dirty)) continue;
    const Origin& origin = *origins_.origin(entry->dot().origin);
    pass.copy.add(*entry, origin);
    pass.keys.note_copied(pass.next_key, *entry, entry->view(origin).damaged);
  }
}

void EngineCollection::list_index(DirtyPass& pass) {
  for (; pass.alias < index_.origins(); ++pass.alias, pass.sequence = 0) {
    for (bool more = true; more;) {
      if (list_is_full(pass.keys, shared_.options)) return;
      more = false;
      if (gives_way()) index_.let_others_in(pass.alias);
      give_way();
      std::size_t listed = 0;
      pass.keys.make_room(listed_at_once);
      index_.visit(pass.alias, pass.sequence, [&](Entry& entry) {
        if (listed++ == listed_at_once) {
          pass.sequence = entry.dot().sequence;
          more = true;
          return false;
        }
        pass.keys.add(entry.key(), entry.size());
        return true;
      });
    }
  }
  pass.all_listed = true;
}

// Whoever began to write before has shown in the index what it wrote; who begins now notes it.
void EngineCollection::begin_listing() {
  lists_.store(true);
  for (Stripe& stripe : shared_.stripes)
    const std::lock_guard lock(stripe.lock);
}

void EngineCollection::end_pass() {
  if (!lists_.exchange(false)) return;
  for (std::size_t i = 0; i < stripe_count; ++i)
    static_cast<void>(take_moved(i));
}

void EngineCollection::list_moved(DirtyPass& pass) {
  if (pass.all_listed) lists_.store(false);
  for (std::size_t i = 0; i < stripe_count; ++i) {
    for (const std::string& key : take_moved(i))
      pass.keys.add(key, 0);
  }
}

std::vector<std::string> EngineCollection::take_moved(std::size_t stripe) {
  const std::lock_guard lock(shared_.stripes[stripe].lock);
  if (parts_[stripe] == nullptr) return {};
  return std::exchange(parts_[stripe]->moved, {});
}

void EngineCollection::list_table(DirtyPass& pass) {
  for (; pass.stripe < stripe_count; ++pass.stripe) {
    if (list_is_full(pass.keys, shared_.options)) return;
    const std::lock_guard lock(shared_.stripes[pass.stripe].lock);
    table_.visit(pass.stripe, 0, [&](Entry& entry) {
      if (entry.is(Entry::dirty)) pass.keys.add(entry.key(), entry.size());
      return true;
    });
  }
  pass.all_listed = true;
}

Status EngineCollection::make_file() {
  if (file() != nullptr) return {};
  // Nobody erases the collection meanwhile: its file would stay behind under the name of the next.
  const std::shared_lock lock(shared_.structure);
  if (erased()) return {};
  const auto options = shared_.file_options(ref_.name);
  // Of an erased collection of this name, whose removal failed. With its lock file: somebody here
  // may still read that.
  std::error_code code;
  if (std::filesystem::exists(options.path, code)) {
    if (auto status = shared_.directory->remove(ref_.name); !status) return status;
  }
  auto made = CollectionFile::create(options, ref_);
  if (!made) return tl::unexpected(made.error());
  if (auto status = shared_.directory->sync(); !status) return status;
  file_owner_ = std::move(*made);
  file_.store(file_owner_.get(), std::memory_order_release);
  return {};
}

Status EngineCollection::write_copy(DirtyPass& pass) {
  if (auto status = make_file(); !status) {
    mark_stale();
    return status;
  }
  if (erased()) return {};
  const Status status = write_records(pass);
  if (!status) {
    mark_stale();
    return status;
  }
  if (!pass.list_ends()) return {};
  files_written_.fetch_add(1, std::memory_order_release);
  settle(pass.keys);
  if (!pass.is_last()) return {};
  join(pass.superseded);
  forget_order();
  return {};
}

Status EngineCollection::write_records(DirtyPass& pass) {
  // Of a pass that failed: what waits must not become more and more.
  if (std::exchange(pass.list_is_new, false) && !file()->settled()) {
    if (auto status = file()->settle_index(nullptr); !status) return status;
  }
  const bool later = pass.keys.count() >= CollectionFile::large_write_puts;
  const auto index = later ? CollectionFile::Index::later : CollectionFile::Index::at_once;
  if (auto status = write_part(pass, index); !status) return status;
  if (!later || !pass.list_ends()) return {};
  pass.copy = {};  // Before that needs memory of its own.
  FileMeta meta = meta_for(pass, pass.is_last());
  if (auto status = file()->settle_index(&meta); !status) return status;
  meta_on_disk_ = std::move(meta);
  return {};
}

// Before the last transaction only the names and the counts may be new: a start would take the
// rest to mean that all records are here.
FileMeta EngineCollection::meta_for(const DirtyPass& pass, bool last) const {
  FileMeta meta = last ? pass.meta : meta_on_disk_;
  meta.origins = pass.meta.origins;
  // More than was dropped does no harm.
  meta.forgotten = forgetting_.forgotten();
  meta.forgotten_hlc = forgetting_.forgotten_hlc();
  meta.highest_hlc = std::max(meta_on_disk_.highest_hlc, pass.meta.highest_hlc);
  meta.live = meta_on_disk_.live;
  meta.tombstones = meta_on_disk_.tombstones;
  meta.bytes = meta_on_disk_.bytes;
  return meta;
}

Status EngineCollection::write_part(DirtyPass& pass, CollectionFile::Index index) {
  const DirtyCopy& copy = pass.copy;
  std::vector<FilePut> puts;
  puts.reserve(copy.items().size());
  for (const DirtyCopy::Item& item : copy.items())
    puts.push_back({copy.key(item), copy.encoded(item)});
  Superseded superseded;
  Status status;
  std::size_t next = 0;
  do {
    const auto written = write_some(pass, std::span(puts).subspan(next), index, superseded);
    if (written) {
      next += *written;
    } else {
      status = tl::unexpected(written.error());
    }
  } while (status && next < puts.size());
  superseded.changes.add_to(shared_);
  return status;
}

Result<std::size_t> EngineCollection::write_some(const DirtyPass& pass, std::span<FilePut> puts,
                                                 CollectionFile::Index index,
                                                 Superseded& superseded) {
  const auto items = std::span(pass.copy.items()).last(puts.size());
  FileMeta meta;
  const auto count = [&meta](bool deleted, std::uint64_t bytes, bool adds) {
    const std::uint64_t one = adds ? 1 : ~std::uint64_t{0};
    if (deleted) {
      meta.tombstones += one;
      return;
    }
    meta.live += one;
    meta.bytes += adds ? bytes : ~bytes + 1;
  };
  const auto replacing = [&](std::size_t put, const Bytes* held) {
    supersede(items[put], held, puts[put], superseded);
  };
  const auto meta_of = [&](std::span<const std::optional<RecordHead>> replaced) {
    const bool all = replaced.size() == items.size() && pass.is_last();
    meta = meta_for(pass, all && index == CollectionFile::Index::at_once);
    for (std::size_t i = 0; i < replaced.size(); ++i) {
      const DirtyCopy::Item& item = items[i];
      const auto& old = replaced[i];
      if (old) count(old->deleted, item.key_bytes + old->value_bytes, false);
      count(item.deleted, item.key_bytes + item.value_bytes, true);
    }
    return &meta;
  };
  const auto written = file()->write(puts, index, replacing, meta_of);
  if (written) meta_on_disk_ = std::move(meta);
  return written;
}

// What is in the file now becomes cache.
void EngineCollection::settle(const DirtyKeys& keys) {
  ByteChanges changes;
  for (std::size_t i = 0; i < keys.count(); ++i) {
    const auto copied = keys.copied(i);
    if (!copied) continue;
    const HashedKey key(keys.key(i));
    const std::size_t stripe = stripe_of(key.hash);
    if (i % settled_at_once == 0) give_way();
    const std::lock_guard lock(shared_.stripes[stripe].lock);
    Entry* entry = table_.find(key);
    if (entry == nullptr || !entry->is(Entry::dirty) || entry->dot() != copied->dot) continue;
    // A tombstone, or a copy that healed it, has the dot of what it replaced.
    const RecordView view = entry->view(*origins_.origin(copied->dot.origin));
    if (view.deleted != copied->deleted || view.damaged != copied->damaged) continue;
    unlink(stripe, *entry, nullptr);
    weigh(part(stripe), *entry, -1, changes);
    entry->clear(Entry::dirty);
    weigh(part(stripe), *entry, 1, changes);
    offer(stripe, key, *entry);
  }
  changes.add_to(shared_);
}

}  // namespace dhrt
