#include "storage/memory_collection.h"

#include <algorithm>
#include <limits>

#include "storage/dot_order.h"
#include "storage/slice.h"

namespace dhrt {

void MemoryState::apply(const Batch& batch) {
  seen_.merge(batch.seen);
  if (!flushed_.contains(batch.flushed)) {
    flushed_.merge(batch.flushed);
    tally_.flush(flushed_, seen_);
    sweep_from_ = {};
  }
  for (const KeyedRecord& entry : batch.puts) {
    highest_hlc_ = std::max(highest_hlc_, entry.record.version.hlc);
    put(entry.key, deleted(entry.record) ? tombstone_of(entry.record) : entry.record);
  }
}

void MemoryState::put(const std::string& key, Record record) {
  std::optional<Tally::Item> old;
  auto place = records_.lower_bound(key);
  if (place != records_.end() && place->first == key) {
    old = item_of(key, place->second);
    unlink(key, place->second);
  } else {
    place = records_.emplace_hint(place, key, Record{});
  }
  tally_.replace(old, item_of(key, record), seen_);
  keys_by_dot_[record.dot] = key;
  if (record.deadline != 0) deadlines_.emplace(record.deadline, key);
  place->second = std::move(record);
}

void MemoryState::unlink(const std::string& key, const Record& record) {
  const auto entry = keys_by_dot_.find(record.dot);
  // A peer that gave one dot to two keys must not make us forget the other key.
  if (entry != keys_by_dot_.end() && entry->second == key) keys_by_dot_.erase(entry);
  if (record.deadline != 0) deadlines_.erase({record.deadline, key});
}

const Record* MemoryState::find(Bytes key) const {
  const auto found = records_.find(key);
  return found == records_.end() ? nullptr : &found->second;
}

ScanSlice MemoryState::scan(const ScanRequest& request) const {
  ScanSlice slice;
  SliceFiller filler(request.limits);
  for (auto it = records_.lower_bound(std::max(request.from, request.prefix));
       it != records_.end() && has_prefix(it->first, request.prefix); ++it) {
    const Record& record = it->second;
    if (deleted(record) || !visible(record, request.now)) continue;
    Record shown = record;
    if (!request.with_values) shown.value.clear();
    if (!filler.fits(it->first.size() + shown.value.size())) {
      slice.next = it->first;
      break;
    }
    filler.add(slice.records, it->first, std::move(shown));
  }
  return slice;
}

WalkSlice MemoryState::walk(const WalkRequest& request, bool with_tombstones) const {
  WalkSlice slice;
  SliceFiller filler(request.limits);
  auto it = keys_by_dot_.lower_bound(request.from.value_or(Dot{}));
  while (it != keys_by_dot_.end()) {
    const Dot wanted = next_absent(request.excluded, it->first);
    if (wanted != it->first) {
      it = keys_by_dot_.lower_bound(wanted);
      continue;
    }
    const Record& record = records_.find(it->second)->second;
    Record shown = deleted(record) ? tombstone_of(record) : record;
    if (!filler.fits(it->second.size() + shown.value.size())) {
      slice.next = it->first;
      break;
    }
    if (record.dot == it->first && (with_tombstones || !shown.deleted))
      filler.add(slice.records, it->second, std::move(shown));
    ++it;
  }
  return slice;
}

bool MemoryState::maintain(WallMilliseconds now, std::size_t& budget) {
  expire(now, budget);
  sweep(budget);
  return (!deadlines_.empty() && deadlines_.begin()->first <= now) || swept_ != flushed_;
}

void MemoryState::expire(WallMilliseconds now, std::size_t& budget) {
  while (budget > 0 && !deadlines_.empty() && deadlines_.begin()->first <= now) {
    --budget;
    const std::string key = deadlines_.begin()->second;
    put(key, tombstone_of(*find(key)));
  }
}

void MemoryState::sweep(std::size_t& budget) {
  if (swept_ == flushed_) return;
  while (budget > 0) {
    const auto next = next_present(flushed_, sweep_from_);
    const auto entry = next ? keys_by_dot_.lower_bound(*next) : keys_by_dot_.end();
    if (entry == keys_by_dot_.end()) {
      swept_ = flushed_;
      tally_.swept();
      return;
    }
    // Jumps over what earlier sweeps went through, and over dots that nothing is held of.
    sweep_from_ = next_absent(swept_, entry->first);
    if (sweep_from_ != entry->first || entry->first != *next) continue;
    --budget;
    ++sweep_from_.sequence;
    const std::string key = entry->second;
    const Record* record = find(key);
    if (record->dot == *next && !record->deleted) put(key, tombstone_of(*record));
  }
}

MemoryCollection::MemoryCollection(Options options) : options_(std::move(options)) {
  if (options_.loses_unsynced) on_disk_ = std::make_unique<MemoryState>();
}

void MemoryCollection::append(Position position, Batch batch) {
  state_.apply(batch);
  if (on_disk_ == nullptr) {
    contexts_.expect(position, std::move(batch.seen), std::move(batch.flushed));
    return;
  }
  contexts_.expect(position, batch.seen, batch.flushed);
  unsynced_.emplace_back(position, std::move(batch));
}

bool MemoryCollection::advance(Position durable) {
  while (!unsynced_.empty() && unsynced_.front().first <= durable) {
    on_disk_->apply(unsynced_.front().second);
    unsynced_.pop_front();
  }
  return contexts_.advance(durable);
}

void MemoryCollection::lose_unsynced() {
  if (on_disk_ == nullptr) return;
  unsynced_.clear();
  contexts_.forget_expected();
  state_ = *on_disk_;
}

Result<std::optional<Record>> MemoryCollection::find(Bytes key) {
  const Record* record = state_.find(key);
  if (record == nullptr) return std::nullopt;
  if (!state_.deleted(*record)) return *record;
  if (options_.forget_tombstones) return std::nullopt;
  return tombstone_of(*record);
}

Result<WalkSlice> MemoryCollection::walk(const WalkRequest& request) {
  // A walk shows what is on the disk: who pulls from us must not learn more than we may keep.
  const MemoryState& state = on_disk_ != nullptr ? *on_disk_ : state_;
  WalkSlice slice = state.walk(request, !options_.forget_tombstones);
  slice.durable = durable();
  return slice;
}

}  // namespace dhrt
