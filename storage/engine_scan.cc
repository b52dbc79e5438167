#include "storage/engine_scan.h"

#include <algorithm>
#include <utility>

namespace dhrt {

namespace {

// Keys looked at within one slice, most of which may not be visible: some 300 pages of small
// records, which a disk reads in less than 50 ms.
constexpr std::size_t looked_at_max = 8192;
// Bytes of the file looked at within one slice, whether or not values are wanted: a checksum is of
// all of them.
constexpr std::size_t bytes_looked_at_max = std::size_t{16} << 20;
// Entries brought into order within one slice, before it shows anything: some 3 ms of work. No
// less than all entries of one stripe.
constexpr std::size_t ordered_max = 8192;
// Entries to look at, of which the file has all, are as much work as one that is put in order.
constexpr std::size_t looked_at_per_ordered = 8;

}  // namespace

KeyOrder& EngineCollection::ordered(std::size_t stripe, std::size_t& made) {
  Part& here = part(stripe);
  here.scanned = true;
  if (here.order == nullptr) {
    std::vector<Entry*> entries;
    std::size_t looked_at = 0;
    // Right behind a checkpoint none is wanted, of however many. Who was erased weighs nothing.
    const auto wanted = static_cast<std::size_t>(here.weight.unflushed_records);
    const bool wants_all = memory_ || erased();
    if (wants_all || wanted > 0) {
      table_.visit(stripe, 0, [&](Entry& entry) {
        ++looked_at;
        if (unsaved(entry)) entries.push_back(&entry);
        return wants_all || entries.size() < wanted;
      });
    }
    made += entries.size() + looked_at / looked_at_per_ordered;
    here.order = std::make_unique<KeyOrder>();
    here.order->build(std::move(entries));
  }
  return *here.order;
}

Status EngineCollection::KeyReader::read() {
  if (!all_ordered()) {
    // No key is empty, and no page's end is said by an empty one.
    next_ = from_.empty() ? std::string(1, '\0') : std::move(from_);
    return {};
  }
  while (!ended_ && !full_) {
    if (looked_at_ > looked_at_max) {
      next_ = std::move(from_);
      break;
    }
    if (auto status = round(); !status) return status;
  }
  return {};
}

Status EngineCollection::KeyReader::round() {
  Bound bound;
  gather(bound);
  std::size_t next = 0;
  if (auto status = merge_file(bound, next); !status) return status;
  for (; next < order_.size() && !full_ && !(bound && in_memory(next).key > *bound); ++next)
    show(std::move(in_memory(next)));
  if (bound) {
    // The least key behind the bound.
    from_ = *bound + '\0';
  } else {
    ended_ = true;
  }
  return {};
}

// The first scan brings what is in memory into order; not all of it in one slice.
bool EngineCollection::KeyReader::all_ordered() {
  std::size_t made = 0;
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(collection_.shared_.stripes[i].lock);
    if (collection_.parts_[i] == nullptr) continue;
    if (made >= ordered_max && collection_.parts_[i]->order == nullptr) return false;
    collection_.ordered(i, made);
  }
  return true;
}

// Copies the first entries of every stripe.
void EngineCollection::KeyReader::gather(Bound& bound) {
  const std::size_t share = limits_.records_max / stripe_count;
  // Keys are spread evenly; some stripe has more of them, by a few times the root of that.
  const std::size_t entries_max = share + std::min(share / 2, share / 4 + 8) + 2;
  const std::size_t bytes_max = limits_.bytes_max / (stripe_count / 4) + 1;
  memory_.clear();
  memory_.reserve(std::min(entries_max * stripe_count, collection_.table_.size()));
  std::size_t made = 0;
  std::vector<std::size_t> ends;  // Of what every stripe gave.
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(collection_.shared_.stripes[i].lock);
    if (collection_.parts_[i] == nullptr) continue;
    std::size_t entries = 0;
    std::size_t bytes = 0;
    Bytes last;
    collection_.ordered(i, made).visit(from_, {}, [&](Entry& entry) {
      if (!has(entry.key())) return false;
      if (entries == entries_max || bytes > bytes_max) {
        if (!bound || last < Bytes(*bound)) bound = std::string(last);
        return false;
      }
      ++entries;
      last = entry.key();
      std::optional<RecordView> view = take(entry);
      if (!view) return true;
      if (!with_values()) view->value = {};
      bytes += view->value.size();
      memory_.push_back({std::string(last), copy_of(*view)});
      return true;
    });
    if (memory_.size() > (ends.empty() ? 0 : ends.back())) ends.push_back(memory_.size());
  }
  merge_gathered(std::move(ends));
}

// Each stripe gave its own in order. Most comparisons are of a few bytes that keys do not share.
void EngineCollection::KeyReader::merge_gathered(std::vector<std::size_t> ends) {
  const auto key = [this](std::size_t index) { return Bytes(memory_[index].key); };
  std::size_t shared = memory_.empty() ? 0 : key(0).size();
  std::size_t first = 0;
  for (const std::size_t end : ends) {
    for (const std::size_t index : {first, end - 1}) {
      const auto differs = std::ranges::mismatch(key(0).substr(0, shared), key(index));
      shared = static_cast<std::size_t>(differs.in2 - key(index).begin());
    }
    first = end;
  }
  order_.clear();
  order_.reserve(memory_.size());
  records_.reserve(std::min(limits_.records_max, records_.size() + memory_.size()));
  for (std::size_t i = 0; i < memory_.size(); ++i)
    order_.push_back({begin_of(key(i).substr(shared)), i});
  const auto before = [&](const Place& left, const Place& right) {
    return left.begin != right.begin ? left.begin < right.begin
                                     : key(left.index) < key(right.index);
  };
  while (ends.size() > 1) {
    std::vector<std::size_t> merged;
    std::size_t begin = 0;
    for (std::size_t i = 0; i < ends.size(); i += 2) {
      const std::size_t end = i + 1 < ends.size() ? ends[i + 1] : ends[i];
      const auto at = [&](std::size_t place) {
        return order_.begin() + static_cast<std::ptrdiff_t>(place);
      };
      std::inplace_merge(at(begin), at(ends[i]), at(end), before);
      merged.push_back(end);
      begin = end;
    }
    ends = std::move(merged);
  }
}

Status EngineCollection::KeyReader::merge_file(const Bound& bound, std::size_t& next) {
  CollectionFile* file = collection_.file();
  if (file == nullptr) return {};
  std::string from = from_;
  for (bool again = true; again && !full_;) {
    again = false;
    std::string damaged;
    const Status status = file->scan(file_reader(), from, false, [&](Bytes key, Bytes encoded) {
      if (!has(key) || (bound && key > Bytes(*bound))) return false;
      while (next < order_.size() && Bytes(in_memory(next).key) < key && !full_)
        show(std::move(in_memory(next++)));
      if (full_) return false;
      if (looked_at_ >= looked_at_max || bytes_looked_at_ >= bytes_looked_at_max) {
        stop_at(std::string(key));
        return false;
      }
      if (next < order_.size() && Bytes(in_memory(next).key) == key) {
        note_in_file(in_memory(next), encoded);
        show(std::move(in_memory(next++)));
        return !full_;
      }
      bytes_looked_at_ += encoded.size();
      if (show_encoded(key, encoded)) return !full_;
      damaged = std::string(key);
      return false;
    });
    if (!status) return status;
    if (damaged.empty()) continue;
    from = damaged + '\0';
    if (auto shown = show_damaged(std::move(damaged)); !shown) return shown;
    again = true;
  }
  return {};
}

// False if its checksum is wrong, or it does not decode.
bool EngineCollection::KeyReader::show_encoded(Bytes key, Bytes encoded) {
  auto view = decode_record_view(encoded, key, [this](OriginAlias alias) { return origin(alias); });
  if (!view || view->damaged) return false;
  if (!wants(*view)) {
    ++looked_at_;
    return true;
  }
  if (!with_values()) view->value = {};
  show(key, *view);
  return true;
}

// Whether it is to be trusted takes another look at the file. Of one that does not decode nothing
// is known but that there is one.
Status EngineCollection::KeyReader::show_damaged(std::string key) {
  auto found = collection_.find(key);
  if (!found && found.error().code != ErrorCode::corrupt) return tl::unexpected(found.error());
  std::optional<Record> record = found ? std::move(*found) : undecodable();
  if (!record) return {};
  if (!with_values()) record->value.clear();
  show({std::move(key), std::move(*record)});
  return {};
}

void EngineCollection::KeyReader::show(KeyedRecord entry) {
  if (batch() != nullptr) return show(entry.key, view_of(entry.record));
  ++looked_at_;
  RecordView finished = view_of(entry.record);
  if (!finish(finished)) return;
  if (!filler_.fits(entry.key.size() + finished.value.size())) return stop_at(std::move(entry.key));
  if (finished.deleted != entry.record.deleted) entry.record = copy_of(finished);
  entry.record.created = finished.created;
  filler_.add(records_, std::move(entry.key), std::move(entry.record));
}

void EngineCollection::KeyReader::show(Bytes key, RecordView record) {
  ++looked_at_;
  if (!finish(record)) return;
  if (!filler_.fits(key.size() + record.value.size())) return stop_at(std::string(key));
  if (batch() == nullptr)
    filler_.add(records_, std::string(key), copy_of(record));
  else if (batch()->add(key, record, std::nullopt))
    filler_.add(key, record);
  else
    stop_at(std::string(key));  // The batch names too many origins already.
}

// Here the next slice begins.
void EngineCollection::KeyReader::stop_at(std::string key) {
  next_ = std::move(key);
  full_ = true;
}

// One scan's slice on its way: what readers see.
class EngineCollection::Scanner final : public KeyReader {
 public:
  Scanner(EngineCollection& collection, const ScanRequest& request)
      : KeyReader(collection, std::max(request.from, request.prefix), request.limits),
        request_(request),
        flushed_(collection.contexts_.flushed()) {}

  Result<ScanSlice> run() {
    if (auto status = read(); !status) return tl::unexpected(status.error());
    return ScanSlice{.records = std::move(records_), .next = std::move(next_)};
  }

 private:
  bool has(Bytes key) const override { return has_prefix(key, request_.prefix); }
  std::optional<RecordView> take(const Entry& entry) override { return collection_.shown(entry); }

  // One that was written without a look at the file's learns when its key came to be.
  void note_in_file(KeyedRecord& entry, Bytes encoded) override {
    if (entry.record.created != created_unknown) return;
    const auto old =
        decode_record_view(encoded, entry.key, [this](OriginAlias alias) { return origin(alias); });
    entry.record.created =
        old && !flushed_.contains(old->dot) ? created_in_place_of(*old, view_of(entry.record)) : 0;
  }
  bool wants(const RecordView& in_file) override {
    return visible(in_file, request_.now) && !flushed_.contains(in_file.dot);
  }
  std::optional<Record> undecodable() override { return Record{.damaged = true}; }
  bool finish(RecordView& record) override {
    if (record.created == created_unknown) record.created = 0;
    return visible(record, request_.now);
  }
  bool with_values() const override { return request_.with_values; }

  const ScanRequest& request_;
  const Context flushed_;
};

Result<ScanSlice> EngineCollection::scan(const ScanRequest& request) {
  return Scanner(*this, request).run();
}

void EngineCollection::forget_order() {
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    if (parts_[i] == nullptr || std::exchange(parts_[i]->scanned, false)) continue;
    parts_[i]->order.reset();
  }
}

}  // namespace dhrt
