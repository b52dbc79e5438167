// A collection's way into its file.
//
// Intuition: what is dirty is copied, made safe in the logs, and written in key order. Whatever
// was written to meanwhile has another dot by then and stays dirty.
#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr std::size_t copied_at_once = 128;
constexpr std::size_t transaction_bytes = std::size_t{32} << 20;

// The first eight bytes of a key as a number, which orders like them.
std::uint64_t begin_of(Bytes key) {
  std::uint64_t begin = 0;
  for (std::size_t i = 0; i < 8; ++i)
    begin = begin << 8 | (i < key.size() ? static_cast<std::uint8_t>(key[i]) : 0);
  return begin;
}

}  // namespace

void DirtyCopy::add(const Entry& entry, const Origin& origin) {
  const Bytes key = entry.key();
  const RecordView view = entry.view(origin);
  Item item{.key_begin = begin_of(key),
            .key_at = bytes_.size(),
            .key_bytes = static_cast<std::uint32_t>(key.size()),
            .value_bytes = static_cast<std::uint32_t>(view.value.size()),
            .dot = entry.dot(),
            .deleted = view.deleted,
            .damaged = view.damaged,
            .unread = entry.is(Entry::unread)};
  bytes_.append(key);
  const std::size_t begin = bytes_.size();
  encode_record_view(bytes_, key, view, item.dot.origin);
  item.encoded_bytes = bytes_.size() - begin;
  items_.push_back(item);
}

void DirtyCopy::sort() {
  std::ranges::sort(items_, [this](const Item& left, const Item& right) {
    if (left.key_begin != right.key_begin) return left.key_begin < right.key_begin;
    return key(left) < key(right);
  });
  // One that was written again while the copy was made may be in it twice: the later is as good.
  const auto same_key = [this](const Item& left, const Item& right) {
    return key(left) == key(right);
  };
  items_.erase(std::unique(items_.begin(), items_.end(), same_key), items_.end());
}

void EngineCollection::copy_dirty(const LogCut& cut, DirtyCopy& copy) {
  meta_stale_.store(false, std::memory_order_release);
  // Each of these covers the one before it: everything below the cut is in the contexts, and
  // everything in the contexts is in the records, or in the file already.
  copy.meta.cut = cut;
  copy.meta.seen = contexts_.durable();
  copy.meta.flushed = contexts_.durable_flushed();
  copy.meta.swept = contexts_.swept();
  take_superseded(copy.superseded);
  copy.meta.seen.merge(copy.superseded);
  if (dots_are_shared_.load()) {
    copy_from_table(copy);
  } else {
    copy_from_index(copy);
  }
  copy.meta.origins = origins_.names();
  copy.meta.highest_hlc = highest_hlc();
  copy.sort();
}

void EngineCollection::copy_from_index(DirtyCopy& copy) {
  for (std::size_t i = 0; i < index_.origins(); ++i) {
    const auto alias = static_cast<OriginAlias>(i);
    std::uint64_t from = 0;
    for (bool more = true; more;) {
      more = false;
      std::size_t copied = 0;
      index_.visit(alias, from, [&](Entry& entry) {
        if (copied++ == copied_at_once) {
          from = entry.dot().sequence;
          more = true;
          return false;
        }
        copy.add(entry, *origins_.origin(alias));
        return true;
      });
    }
  }
}

void EngineCollection::copy_from_table(DirtyCopy& copy) {
  for (std::size_t stripe = 0; stripe < stripe_count; ++stripe) {
    const std::lock_guard lock(shared_.stripes[stripe].lock);
    table_.visit(stripe, 0, [&](Entry& entry) {
      if (entry.is(Entry::dirty)) copy.add(entry, *origins_.origin(entry.dot().origin));
      return true;
    });
  }
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

Status EngineCollection::write_copy(DirtyCopy& copy) {
  if (auto status = make_file(); !status) {
    mark_stale();
    return status;
  }
  if (erased()) return {};
  const auto& items = copy.items();
  std::size_t next = 0;
  do {
    std::vector<FilePut> puts;
    const std::size_t first = next;
    for (std::size_t bytes = 0; next < items.size() && bytes < transaction_bytes; ++next) {
      puts.push_back({copy.key(items[next]), copy.encoded(items[next])});
      bytes += puts.back().key.size() + puts.back().encoded.size();
    }
    // Before the last one only the names and the counts may be new: a start would take the rest
    // to mean that all records are here.
    FileMeta meta = next == items.size() ? std::move(copy.meta) : meta_on_disk_;
    if (next != items.size()) {
      meta.origins = copy.meta.origins;
      meta.highest_hlc = std::max(meta.highest_hlc, copy.meta.highest_hlc);
    }
    if (auto status = write_part(copy, first, puts, meta); !status) {
      mark_stale();
      return status;
    }
  } while (next < items.size());
  files_written_.fetch_add(1, std::memory_order_release);
  settle(copy);
  join(copy.superseded);
  forget_order();
  return {};
}

Status EngineCollection::write_part(const DirtyCopy& copy, std::size_t first,
                                    std::vector<FilePut>& puts, FileMeta& meta) {
  const auto count = [&meta](bool deleted, std::uint64_t bytes, bool adds) {
    const std::uint64_t one = adds ? 1 : ~std::uint64_t{0};
    if (deleted) {
      meta.tombstones += one;
      return;
    }
    meta.live += one;
    meta.bytes += adds ? bytes : ~bytes + 1;
  };
  meta.live = meta_on_disk_.live;
  meta.tombstones = meta_on_disk_.tombstones;
  meta.bytes = meta_on_disk_.bytes;
  Superseded superseded;
  const auto replaced = [&](std::size_t put, const std::optional<RecordHead>& old,
                            const Bytes* encoded) {
    const DirtyCopy::Item& item = copy.items()[first + put];
    if (old) count(old->deleted, item.key_bytes + old->value_bytes, false);
    count(item.deleted, item.key_bytes + item.value_bytes, true);
    supersede(item, encoded, puts[put], superseded);
  };
  const Status status = file()->write(puts, &meta, replaced);
  superseded.changes.add_to(shared_);
  if (!status) return status;
  meta_on_disk_ = std::move(meta);
  return {};
}

// What is in the file now becomes cache.
void EngineCollection::settle(const DirtyCopy& copy) {
  ByteChanges changes;
  for (const DirtyCopy::Item& item : copy.items()) {
    const HashedKey key(copy.key(item));
    const std::size_t stripe = stripe_of(key.hash);
    const std::lock_guard lock(shared_.stripes[stripe].lock);
    Entry* entry = table_.find(key);
    if (entry == nullptr || !entry->is(Entry::dirty) || entry->dot() != item.dot) continue;
    // A tombstone, or a copy that healed it, has the dot of what it replaced.
    const RecordView view = entry->view(*origins_.origin(item.dot.origin));
    if (view.deleted != item.deleted || view.damaged != item.damaged) continue;
    unlink(stripe, *entry, nullptr);
    weigh(part(stripe), *entry, -1, changes);
    entry->clear(Entry::dirty);
    weigh(part(stripe), *entry, 1, changes);
    offer(stripe, key, *entry);
  }
  changes.add_to(shared_);
}

}  // namespace dhrt
