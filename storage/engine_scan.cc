// Ordered reading: what is in memory and what is in the file, merged.
//
// Intuition: memory is looked at first, and the file in a transaction begun after that: an entry
// that a checkpoint takes out of memory's order meanwhile is then in the file. Memory is read in
// rounds, a few entries of every stripe; a round is complete up to the least of the last keys.
#include <algorithm>
#include <utility>

#include "storage/engine_collection.h"
#include "storage/slice.h"

namespace dhrt {

namespace {

// Keys looked at within one slice, most of which may not be visible: some 300 pages of small
// records, which a disk reads in less than 50 ms.
constexpr std::size_t looked_at_max = 8192;
// Entries brought into order within one slice, before it shows anything: some 10 ms of work. No
// less than all entries of one stripe.
constexpr std::size_t ordered_max = 32768;

}  // namespace

KeyOrder& EngineCollection::ordered(std::size_t stripe, std::size_t& made) {
  Part& here = part(stripe);
  here.scanned = true;
  if (here.order == nullptr) {
    std::vector<Entry*> entries;
    table_.visit(stripe, 0, [&](Entry& entry) {
      if (unsaved(entry)) entries.push_back(&entry);
      return true;
    });
    made += entries.size();
    here.order = std::make_unique<KeyOrder>();
    here.order->build(std::move(entries));
  }
  return *here.order;
}

// One scan's slice on its way.
class EngineCollection::Scanner {
 public:
  Scanner(EngineCollection& collection, const ScanRequest& request)
      : collection_(collection),
        request_(request),
        flushed_(collection.contexts_.flushed()),
        filler_(request.limits),
        from_(std::max(request.from, request.prefix)) {}

  Result<ScanSlice> run() {
    if (!all_ordered()) {
      // No key is empty, and no page's end is said by an empty one.
      slice_.next = from_.empty() ? std::string(1, '\0') : std::move(from_);
      return std::move(slice_);
    }
    while (!ended_ && !full_) {
      if (looked_at_ > looked_at_max) {
        slice_.next = std::move(from_);
        break;
      }
      if (auto status = round(); !status) return tl::unexpected(status.error());
    }
    return std::move(slice_);
  }

 private:
  // Where keys of this round end; absent: there are no more.
  using Bound = std::optional<std::string>;

  Status round() {
    Bound bound;
    gather(bound);
    std::size_t next = 0;
    if (auto status = merge_file(bound, next); !status) return status;
    for (; next < memory_.size() && !full_ && !(bound && memory_[next].key > *bound); ++next)
      show(std::move(memory_[next]));
    if (bound) {
      // The least key behind the bound.
      from_ = *bound + '\0';
    } else {
      ended_ = true;
    }
    return {};
  }

  // The first scan brings what is in memory into order; not all of it in one slice.
  bool all_ordered() {
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
  void gather(Bound& bound) {
    memory_.clear();
    const std::size_t share = request_.limits.records_max / stripe_count;
    const std::size_t entries_max = share + share / 2 + 2;
    const std::size_t bytes_max = request_.limits.bytes_max / (stripe_count / 4) + 1;
    std::size_t made = 0;
    for (std::size_t i = 0; i < stripe_count; ++i) {
      const std::lock_guard lock(collection_.shared_.stripes[i].lock);
      if (collection_.parts_[i] == nullptr) continue;
      std::size_t entries = 0;
      std::size_t bytes = 0;
      collection_.ordered(i, made).visit(from_, request_.prefix, [&](Entry& entry) {
        if (entries == entries_max || bytes > bytes_max) {
          const std::string& last = memory_.back().key;
          if (!bound || last < *bound) bound = last;
          return false;
        }
        RecordView view = collection_.shown(entry);
        if (!request_.with_values) view.value = {};
        memory_.push_back({std::string(entry.key()), copy_of(view)});
        ++entries;
        bytes += view.value.size();
        return true;
      });
    }
    std::ranges::sort(memory_, {}, &KeyedRecord::key);
  }

  Status merge_file(const Bound& bound, std::size_t& next) {
    CollectionFile* file = collection_.file();
    if (file == nullptr) return {};
    std::string from = from_;
    for (bool again = true; again && !full_;) {
      again = false;
      std::string damaged;
      const Status status = file->scan(file_reader(), from, false, [&](Bytes key, Bytes encoded) {
        if (!has_prefix(key, request_.prefix) || (bound && key > Bytes(*bound))) return false;
        while (next < memory_.size() && Bytes(memory_[next].key) < key && !full_)
          show(std::move(memory_[next++]));
        if (full_) return false;
        if (looked_at_ >= looked_at_max) {
          stop_at(std::string(key));
          return false;
        }
        if (next < memory_.size() && Bytes(memory_[next].key) == key) {
          learn_created(memory_[next], encoded);
          show(std::move(memory_[next++]));
          return !full_;
        }
        if (show_encoded(key, encoded)) return !full_;
        damaged = std::string(key);
        return false;
      });
      if (!status) return status;
      if (damaged.empty()) continue;
      // Whether it is to be trusted takes another look at the file. Of one that does not decode
      // nothing is known but that there is one.
      auto found = collection_.find(damaged);
      from = damaged + '\0';
      if (!found && found.error().code != ErrorCode::corrupt) return tl::unexpected(found.error());
      if (!found) found = Record{.damaged = true};
      if (*found) show({std::move(damaged), std::move(**found)});
      again = true;
    }
    return {};
  }

  // Of a record that was written without a look at the file's.
  void learn_created(KeyedRecord& entry, Bytes encoded) const {
    if (entry.record.created != created_unknown) return;
    const auto old = decode_record_view(encoded, entry.key, [this](OriginAlias alias) {
      return collection_.origins_.origin(alias);
    });
    entry.record.created =
        old && !flushed_.contains(old->dot) ? created_in_place_of(*old, view_of(entry.record)) : 0;
  }

  // False if its checksum is wrong, or it does not decode.
  bool show_encoded(Bytes key, Bytes encoded) {
    auto view = decode_record_view(
        encoded, key, [this](OriginAlias alias) { return collection_.origins_.origin(alias); });
    if (!view || view->damaged) return false;
    if (view->deleted || flushed_.contains(view->dot) || !visible(*view, request_.now)) {
      ++looked_at_;
      return true;
    }
    if (!request_.with_values) view->value = {};
    show({std::string(key), copy_of(*view)});
    return true;
  }

  void show(KeyedRecord entry) {
    ++looked_at_;
    if (entry.record.created == created_unknown) entry.record.created = 0;
    const Record& record = entry.record;
    if (!visible(record, request_.now)) return;
    if (!filler_.fits(entry.key.size() + record.value.size())) return stop_at(std::move(entry.key));
    filler_.add(slice_.records, std::move(entry.key), std::move(entry.record));
  }

  // Here the next slice begins.
  void stop_at(std::string key) {
    slice_.next = std::move(key);
    full_ = true;
  }

  EngineCollection& collection_;
  const ScanRequest& request_;
  const Context flushed_;
  SliceFiller filler_;
  ScanSlice slice_;
  std::string from_;
  std::vector<KeyedRecord> memory_;
  std::size_t looked_at_ = 0;
  bool full_ = false;
  bool ended_ = false;
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
