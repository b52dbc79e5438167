#include "storage/memory_collection.h"

#include <algorithm>
#include <limits>

#include "storage/counter.h"
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
    if (flushed_.contains(entry.record.dot))
      put(entry.key, tombstone_of(entry.record));
    else
      put(entry.key, entry.record.deleted ? expired_of(entry.record) : entry.record);
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

SeekDot MemoryState::seek_dot() const {
  return [this](const Dot& from) -> std::optional<Dot> {
    const auto found = keys_by_dot_.lower_bound(from);
    if (found == keys_by_dot_.end()) return std::nullopt;
    return found->first;
  };
}

WalkSlice MemoryState::walk(const WalkRequest& request, bool with_tombstones) const {
  WalkSlice slice;
  SliceFiller filler(request.limits);
  const SeekDot seek = seek_dot();
  std::optional<Dot> dot = request.from.value_or(Dot{});
  while ((dot = first_not_in(request.excluded, *dot, seek))) {
    const std::string& key = keys_by_dot_.find(*dot)->second;
    const Record& record = records_.find(key)->second;
    Record shown = this->shown(record);
    if (!filler.fits(key.size() + shown.value.size())) {
      slice.next = dot;
      break;
    }
    if (record.dot == *dot && (with_tombstones || !shown.deleted))
      filler.add(slice.records, key, std::move(shown));
    ++dot->sequence;
  }
  return slice;
}

RangeSlice MemoryState::range(const RangeRequest& request, bool with_tombstones) const {
  RangeSlice slice;
  SliceFiller filler(request.limits);
  for (auto it = records_.lower_bound(request.from);
       it != records_.end() && !(request.to && it->first >= *request.to); ++it) {
    Record shown = this->shown(it->second);
    if (shown.deleted && !with_tombstones) continue;
    if (!request.with_values) shown.value.clear();
    if (!filler.fits(it->first.size() + shown.value.size())) {
      slice.next = it->first;
      break;
    }
    filler.add(slice.records, it->first, std::move(shown));
  }
  return slice;
}

void MemoryState::forget(const Store::Forgettable& what) {
  for (auto it = records_.begin(); it != records_.end();) {
    const auto& [key, record] = *it;
    if (!deleted(record) || !what.everywhere.contains(record.dot) ||
        record.version.hlc > what.hlc_max) {
      ++it;
      continue;
    }
    forgotten_.add(record.dot.origin, {1, record.dot.sequence});
    forgotten_hlc_ = std::max(forgotten_hlc_, record.version.hlc);
    tally_.remove(item_of(key, record));
    unlink(key, record);
    it = records_.erase(it);
  }
}

void MemoryState::note_forgotten(const Context& dots, std::uint64_t hlc) {
  forgotten_.merge(dots);
  forgotten_hlc_ = std::max(forgotten_hlc_, hlc);
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
    const Record* record = find(key);
    put(key, flushed_.contains(record->dot) ? tombstone_of(*record) : expired_of(*record));
  }
}

void MemoryState::sweep(std::size_t& budget) {
  if (swept_ == flushed_) return;
  const SeekDot seek = seek_dot();
  while (budget > 0) {
    const auto dot = first_between(flushed_, swept_, sweep_from_, seek);
    if (!dot) {
      swept_ = flushed_;
      tally_.swept();
      return;
    }
    --budget;
    sweep_from_ = {dot->origin, dot->sequence + 1};
    const std::string key = keys_by_dot_.find(*dot)->second;
    const Record* record = find(key);
    if (record->dot == *dot && !record->deleted) put(key, tombstone_of(*record));
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

// What is forgotten is forgotten on the disk, too, where it must be a tombstone by then.
bool MemoryCollection::maintain(WallMilliseconds now, std::size_t& budget) {
  std::size_t all = std::numeric_limits<std::size_t>::max();
  if (on_disk_ != nullptr) on_disk_->maintain(now, all);
  return state_.maintain(now, budget);
}

void MemoryCollection::forget_tombstones(Store::Forgettable what) {
  what.everywhere.intersect(contexts_.seen());
  state_.forget(what);
  if (on_disk_ != nullptr) on_disk_->forget(what);
}

void MemoryCollection::note_forgotten(const Context& dots, std::uint64_t hlc) {
  state_.note_forgotten(dots, hlc);
  if (on_disk_ != nullptr) on_disk_->note_forgotten(dots, hlc);
}

Result<std::optional<Record>> MemoryCollection::find(Bytes key) {
  hot_keys_.read(key);
  const Record* record = state_.find(key);
  if (record == nullptr) return std::nullopt;
  if (!state_.deleted(*record)) return *record;
  if (options_.forget_tombstones) return std::nullopt;
  return state_.shown(*record);
}

Result<WalkSlice> MemoryCollection::walk(const WalkRequest& request) {
  // A walk shows what is on the disk: who pulls from us must not learn more than we may keep.
  const MemoryState& state = on_disk_ != nullptr ? *on_disk_ : state_;
  WalkSlice slice = state.walk(request, !options_.forget_tombstones);
  slice.durable = durable();
  return slice;
}

Result<RangeSlice> MemoryCollection::range(const RangeRequest& request) {
  const MemoryState& state = on_disk_ != nullptr ? *on_disk_ : state_;
  RangeSlice slice = state.range(request, !options_.forget_tombstones);
  slice.durable = durable();
  if (!request.encoded) return slice;
  for (const KeyedRecord& entry : std::exchange(slice.records, {})) {
    if (auto status = slice.batch.add(entry); !status) return tl::unexpected(status.error());
  }
  return slice;
}

}  // namespace dhrt
