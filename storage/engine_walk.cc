// Reading in the order of dots: for peers, who may only be told what a power cut cannot take.
//
// Intuition: first the durable context is taken, then records are gathered, memory before the
// file. A write of ours that is not durable yet is left out; what it replaced may be durable, and
// is gone. So at the end the context is made smaller by everything that such writes replaced: the
// peer will ask for it again, and get what took its place.
#include <algorithm>
#include <limits>
#include <utility>

#include "storage/dot_order.h"
#include "storage/engine_collection.h"
#include "storage/slice.h"

namespace dhrt {

namespace {

constexpr std::size_t gathered_at_once = 256;
constexpr std::size_t rounds_max = 256;
constexpr std::uint64_t no_bound = std::numeric_limits<std::uint64_t>::max();

void add_without(Context& context, const Origin& origin, const IntervalSet& set,
                 const std::vector<std::uint64_t>& hidden) {
  for (const Interval& interval : set.intervals()) {
    std::uint64_t first = interval.first;
    auto next = std::ranges::lower_bound(hidden, first);
    for (; next != hidden.end() && *next <= interval.last; ++next) {
      if (*next > first) context.add(origin, {first, *next - 1});
      first = *next + 1;
    }
    if (first <= interval.last) context.add(origin, {first, interval.last});
  }
}

}  // namespace

// One walk's slice on its way.
class EngineCollection::Walker {
 public:
  Walker(EngineCollection& collection, const WalkRequest& request)
      : collection_(collection),
        request_(request),
        published_(collection.begin_walk()),
        flushed_(collection.contexts_.durable_flushed()),
        filler_(request.limits) {
    slice_.durable = collection.contexts_.durable();
  }
  Walker(const Walker&) = delete;
  Walker& operator=(const Walker&) = delete;
  ~Walker() { collection_.end_walk(); }

  Result<WalkSlice> run() {
    const Dot from = request_.from.value_or(Dot{});
    std::vector<Origin> origins;
    for (std::size_t i = 0; i < collection_.origins_.size(); ++i) {
      const Origin& origin = *collection_.origins_.origin(static_cast<OriginAlias>(i));
      if (origin >= from.origin) origins.push_back(origin);
    }
    std::ranges::sort(origins);
    for (const Origin& origin : origins) {
      dot_ = {origin, origin == from.origin ? from.sequence : 0};
      if (auto status = walk_origin(); !status) return tl::unexpected(status.error());
      if (slice_.next) break;
    }
    collection_.hide_replaced(slice_.durable, published_);
    return std::move(slice_);
  }

 private:
  struct Gathered {
    std::uint64_t sequence = 0;
    KeyedRecord entry;
  };

  Status walk_origin() {
    alias_ = *collection_.origins_.find(dot_.origin);
    for (bool more = true; more && !slice_.next;) {
      if (rounds_++ > rounds_max) {
        slice_.next = dot_;
        return {};
      }
      std::uint64_t bound = no_bound;
      gather_memory(bound);
      if (auto status = gather_file(bound); !status) return status;
      merge(bound);
      more = bound != no_bound;
      if (more && !slice_.next) dot_.sequence = bound + 1;
    }
    return {};
  }

  // Copies what may be shown. `bound`: the last sequence up to which everything was gathered.
  void gather_memory(std::uint64_t& bound) {
    memory_.clear();
    const EngineContexts& contexts = collection_.contexts_;
    const IntervalSet* own =
        contexts.is_own(dot_.origin) ? slice_.durable.find(dot_.origin) : nullptr;
    const std::uint64_t last = !contexts.is_own(dot_.origin) ? no_bound
                               : own == nullptr              ? 0
                                                             : own->last();
    std::size_t bytes = 0;
    Dot at = dot_;
    for (bool jumped = true; jumped;) {
      jumped = false;
      at = next_absent(request_.excluded, at);
      collection_.index_.visit(alias_, at.sequence, [&](Entry& entry) {
        const Dot dot{dot_.origin, entry.dot().sequence};
        if (dot.sequence > last) return false;
        if (request_.excluded.contains(dot)) {
          at = dot;
          jumped = true;
          return false;
        }
        if (memory_.size() == gathered_at_once || bytes > request_.limits.bytes_max) {
          bound = memory_.back().sequence;
          return false;
        }
        const RecordView view = entry.view(dot_.origin);
        bytes += view.value.size();
        memory_.push_back({dot.sequence, {std::string(entry.key()), copy_of(shown(view))}});
        return true;
      });
    }
  }

  Status gather_file(std::uint64_t& bound) {
    file_.clear();
    CollectionFile* file = collection_.file();
    if (file == nullptr) return {};
    std::size_t bytes = 0;
    Dot at = dot_;
    for (bool jumped = true; jumped;) {
      jumped = false;
      at = next_absent(request_.excluded, at);
      const auto gather = [&](AliasDot found, Bytes key, Bytes encoded) {
        const Dot dot{dot_.origin, found.sequence};
        if (dot.sequence > bound) return false;
        if (request_.excluded.contains(dot)) {
          at = dot;
          jumped = true;
          return false;
        }
        if (file_.size() == gathered_at_once || bytes > request_.limits.bytes_max) {
          bound = std::min(bound, file_.back().sequence);
          return false;
        }
        const auto view = decode_record_view(
            encoded, key, [this](OriginAlias alias) { return collection_.origins_.origin(alias); });
        if (!view) return true;
        bytes += view->value.size();
        file_.push_back({dot.sequence, {std::string(key), copy_of(shown(*view))}});
        return true;
      };
      if (auto status = file->walk(file_reader(), {alias_, at.sequence}, gather); !status)
        return status;
    }
    return {};
  }

  RecordView shown(const RecordView& view) const {
    return !view.deleted && flushed_.contains(view.dot) ? tombstone_of(view) : view;
  }

  // Memory goes first where both have a dot: there it may have become a tombstone.
  void merge(std::uint64_t bound) {
    auto memory = memory_.begin();
    for (Gathered& in_file : file_) {
      if (in_file.sequence > bound || slice_.next) break;
      while (memory != memory_.end() && memory->sequence < in_file.sequence && !slice_.next)
        show(*memory++);
      if (memory != memory_.end() && memory->sequence == in_file.sequence) continue;
      if (!slice_.next && !superseded(in_file.entry)) show(in_file);
    }
    for (; memory != memory_.end() && memory->sequence <= bound && !slice_.next; ++memory)
      show(*memory);
  }

  // Memory holds another version of it, which the walk shows under its own dot.
  bool superseded(const KeyedRecord& in_file) const {
    const HashedKey key(in_file.key);
    const std::lock_guard lock(collection_.shared_.stripes.of(key).lock);
    const Entry* held = collection_.table_.find(key);
    if (held == nullptr) return false;
    const Dot dot{*collection_.origins_.origin(held->dot().origin), held->dot().sequence};
    if (dot == in_file.record.dot) return false;
    return !collection_.contexts_.is_own(dot.origin) || slice_.durable.contains(dot);
  }

  void show(Gathered& gathered) {
    KeyedRecord& entry = gathered.entry;
    if (!filler_.fits(entry.key.size() + entry.record.value.size())) {
      slice_.next = Dot{dot_.origin, gathered.sequence};
      return;
    }
    filler_.add(slice_.records, std::move(entry.key), std::move(entry.record));
  }

  EngineCollection& collection_;
  const WalkRequest& request_;
  const std::vector<Position> published_;
  const Context flushed_;
  SliceFiller filler_;
  WalkSlice slice_;
  Dot dot_;  // Where it is.
  OriginAlias alias_ = 0;
  std::vector<Gathered> memory_;
  std::vector<Gathered> file_;
  std::size_t rounds_ = 0;
};

// Before the durable context is taken: whatever becomes durable later is not shown by this walk.
std::vector<Position> EngineCollection::begin_walk() {
  walks_.fetch_add(1);
  return shared_.published();
}

Result<WalkSlice> EngineCollection::walk(const WalkRequest& request) {
  return Walker(*this, request).run();
}

void EngineCollection::hide_replaced(Context& durable, const std::vector<Position>& published) {
  std::map<Origin, std::vector<std::uint64_t>> hidden;
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    if (parts_[i] == nullptr) continue;
    for (const Replaced& old : parts_[i]->replaced) {
      if (old.by.position > published[old.by.loop])
        hidden[*origins_.origin(old.dot.origin)].push_back(old.dot.sequence);
    }
  }
  if (hidden.empty()) return;
  Context rest;
  for (const auto& [origin, set] : durable.origins()) {
    auto& of_origin = hidden[origin];
    std::ranges::sort(of_origin);
    add_without(rest, origin, set, of_origin);
  }
  durable = std::move(rest);
}

}  // namespace dhrt
