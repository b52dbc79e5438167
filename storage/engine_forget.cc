// Tombstones go when every node has them.
//
// Intuition: in memory they stand in an order of their own; in a file, in its expiry table. The
// checkpoint takes them out of the file, behind everything that it wrote: the logs that a start
// would read have nothing then that they have replaced (forgetting.h). While a transaction takes
// one out, writers and readers go on; so that it is counted out once, the stripe remembers that it
// is leaving, and whoever replaces it meanwhile says so.
#include <algorithm>
#include <limits>
#include <utility>

#include "storage/base/give_way.h"
#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr std::size_t dropped_at_once = 32;  // Under one hold of a stripe's lock.
// Brought into key order: the more, the fewer pages are touched for each.
constexpr std::size_t gathered_at_once = 65536;
constexpr std::size_t gathered_bytes = std::size_t{8} << 20;
constexpr std::size_t found_at_once = 1024;  // Records of a file that is gone through.

}  // namespace

bool EngineCollection::keeps_all() const {
  const EngineOptions& options = shared_.options;
  return !memory_ || options.memory_limit == 0 || options.memory_eviction == Eviction::none;
}

void EngineCollection::forget_tombstones(const Store::Forgettable& what) {
  const Context durable = contexts_.durable();
  // Behind that: who wrote a tombstone that is durable found what it replaced before.
  std::vector<Position> appended;
  if (!memory_) {
    for (const auto& loop : shared_.loops)
      appended.push_back(loop->appended.load(std::memory_order_acquire));
  }
  if (!forgetting_.allow(what, durable, std::move(appended))) return;
  if (memory_) {
    forgets_.store(true);
  } else if (counts().tombstones > 0) {
    mark_stale();
  }
}

bool EngineCollection::forgets_more(const Context& dots, std::uint64_t hlc) const {
  return hlc > forgetting_.forgotten_hlc() || !forgetting_.forgotten().contains(dots);
}

void EngineCollection::note_forgotten(const Context& dots, std::uint64_t hlc) {
  forgetting_.note_forgotten(dots, hlc);
  mark_stale();
}

// --- In memory ------------------------------------------------------------------------------

bool EngineCollection::forget_in_memory(std::size_t& budget, ByteChanges& changes) {
  // What becomes due from here on says so again.
  forgets_.store(false);
  const Context due = forgetting_.due();
  for (std::size_t stripe = 0; stripe < stripe_count;) {
    const std::size_t entries_max = std::min(budget, dropped_at_once);
    const std::size_t dropped = forget_in_stripe(stripe, due, entries_max, changes);
    budget -= dropped;
    if (dropped == entries_max && budget == 0) {
      forgets_.store(true);
      return true;
    }
    if (dropped < entries_max) ++stripe;
  }
  return false;
}

std::size_t EngineCollection::forget_in_stripe(std::size_t stripe, const Context& due,
                                               std::size_t entries_max, ByteChanges& changes) {
  const std::lock_guard lock(shared_.stripes[stripe].lock);
  if (parts_[stripe] == nullptr || parts_[stripe]->graves.size() == 0) return 0;
  std::vector<Entry*> entries;
  const std::uint64_t hlc_max = forgetting_.hlc_max();
  for (const auto& [origin, set] : due.origins()) {
    const auto alias = origins_.find(origin);
    if (!alias) continue;
    for (const Interval& interval : set.intervals())
      parts_[stripe]->graves.find(*alias, interval, hlc_max, entries_max, entries);
  }
  std::vector<Dot> dots;
  for (const Entry* entry : entries) {
    forgetting_.note_hlc(entry->hlc());
    dots.push_back({*origins_.origin(entry->dot().origin), entry->dot().sequence});
  }
  // Before: who does not find one finds it there.
  forgetting_.note(dots);
  for (Entry* entry : entries)
    drop(HashedKey(entry->key()), *entry, changes);
  return entries.size();
}

// --- In a file ------------------------------------------------------------------------------

Result<bool> EngineCollection::forget_some(const DirtyPass& pass, Dot& from) {
  if (file() == nullptr || erased()) return false;
  if (forgetting_.waits() && meta_on_disk_.tombstones > 0) mark_stale();
  if (pass.forgettable.empty() || meta_on_disk_.tombstones == 0) return false;
  // The cluster may have taken some back.
  Context due = forgetting_.due();
  due.intersect(pass.forgettable);
  std::vector<FileGrave> graves;
  Status status;
  const bool more = next_graves(due, from, graves, status);
  if (!status) return tl::unexpected(status.error());
  std::ranges::sort(graves, giving_way([](const FileGrave& left, const FileGrave& right) {
                      return left.key < right.key;
                    }));
  for (std::span<const FileGrave> rest = graves; !rest.empty();) {
    const auto done = forget_graves(rest);
    if (!done) return tl::unexpected(done.error());
    rest = rest.subspan(*done);
  }
  return more;
}

// Gathers the first from `from` on, which moves behind them. False: there are no more.
bool EngineCollection::next_graves(const Context& due, Dot& from, std::vector<FileGrave>& graves,
                                   Status& status) {
  std::size_t bytes = 0;
  for (auto it = due.origins().lower_bound(from.origin); it != due.origins().end(); ++it) {
    const auto& [origin, set] = *it;
    const auto alias = origins_.find(origin);
    if (!alias) continue;
    const std::uint64_t first = origin == from.origin ? from.sequence : 0;
    for (const Interval& interval : set.intervals()) {
      if (interval.last < first) continue;
      const AliasDot begin{*alias, std::max(interval.first, first)};
      status = file()->graves(file_reader(), begin, [&](AliasDot dot, Bytes key) {
        if (dot.sequence > interval.last) return false;
        graves.push_back({dot, std::string(key)});
        bytes += key.size();
        return graves.size() < gathered_at_once && bytes < gathered_bytes;
      });
      if (!status) return false;
      if (graves.size() < gathered_at_once && bytes < gathered_bytes) continue;
      from = {origin, graves.back().dot.sequence + 1};
      return true;
    }
  }
  return false;
}

Result<std::size_t> EngineCollection::forget_graves(std::span<const FileGrave> graves) {
  give_way();
  std::vector<Dot> dots;
  for (const FileGrave& grave : graves)
    dots.push_back({*origins_.origin(grave.dot.origin), grave.dot.sequence});
  // Before: who does not find one finds it there.
  forgetting_.note(dots);
  ByteChanges changes;
  std::optional<FileMeta> meta;
  std::size_t next = 0;
  bool again = false;
  const auto removing = [&](std::size_t i, Bytes held) {
    again = again || i < next;
    next = i + 1;
    let_leave(graves[i], held, again, changes);
  };
  const auto meta_of = [&](std::size_t removed) {
    meta = meta_on_disk_;
    meta->tombstones -= std::min<std::uint64_t>(meta->tombstones, removed);
    meta->forgotten = forgetting_.forgotten();
    meta->forgotten_hlc = forgetting_.forgotten_hlc();
    return &*meta;
  };
  const auto done = file()->remove(graves, forgetting_.hlc_max(), removing, meta_of);
  if (done && meta) meta_on_disk_ = std::move(*meta);
  for (const FileGrave& grave : graves.first(done.value_or(graves.size()))) {
    const std::size_t stripe = stripe_of(HashedKey(grave.key).hash);
    const std::lock_guard lock(shared_.stripes[stripe].lock);
    Part& here = part(stripe);
    for (Leaving& gone : std::exchange(here.leaving, {})) {
      if (done) end_leaving(gone, here, shared_.stripes[stripe], changes);
    }
  }
  changes.add_to(shared_);
  return done;
}

// Within the transaction: until it ends the file has the tombstone. One that was replaced is
// counted out already, or by who replaced it without a look.
void EngineCollection::let_leave(const FileGrave& grave, Bytes encoded, bool again,
                                 ByteChanges& changes) {
  if (const auto head = peek_record(encoded)) forgetting_.note_hlc(head->hlc);
  const HashedKey key(grave.key);
  const std::size_t stripe = stripe_of(key.hash);
  const std::lock_guard lock(shared_.stripes[stripe].lock);
  Part& here = part(stripe);
  const auto leaves = [&](const Leaving& one) { return Bytes(one.key) == key.bytes; };
  if (again && std::ranges::any_of(here.leaving, leaves)) return;
  Entry* held = table_.find(key);
  if (held != nullptr && held->is(Entry::unread)) held = take_notice(key, *held, &encoded, changes);
  const bool replaced = held != nullptr && held->is(Entry::dirty);
  here.leaving.push_back({.key = grave.key, .dot = grave.dot, .replaced = replaced});
}

void EngineCollection::note_left(Part& here, Bytes key) {
  for (Leaving& gone : here.leaving) {
    if (Bytes(gone.key) == key) gone.replaced = true;
  }
}

// The file does not have it any more. Who read it there before must not bring it back.
void EngineCollection::end_leaving(Leaving& gone, Part& here, Stripe& stripe,
                                   ByteChanges& changes) {
  const HashedKey key(gone.key);
  ++stripe.departures;
  Entry* const held = table_.find(key);
  if (!gone.replaced) here.tally.remove({.dot = gone.dot, .deleted = true, .bytes = 0});
  if (held == nullptr || held->is(Entry::dirty) || held->dot() != gone.dot) return;
  weigh(here, *held, -1, changes);
  table_.take_out(key, held);
  table_.free(stripe_of(key.hash), held);
  if (!damaged_.none()) damaged_.resolve(gone.key);
}

Result<bool> EngineCollection::find_graves(std::string& from) {
  if (erased()) return false;
  if (auto trust = file()->trust(); !trust) return tl::unexpected(trust.error());
  std::vector<FileGrave> graves;
  std::size_t looked_at = 0;
  std::string last;
  const Status status =
      file()->scan(file_reader(), from, !from.empty(), [&](Bytes key, Bytes encoded) {
        last.assign(key);
        const auto head = peek_record(encoded);
        if (head && head->deleted) {
          // What is damaged is perhaps no tombstone.
          const auto record = decode_record_view(
              encoded, key, [this](OriginAlias alias) { return origins_.origin(alias); });
          if (record && !record->damaged)
            graves.push_back({{head->origin, head->sequence}, std::string(key)});
        }
        return ++looked_at < found_at_once;
      });
  if (!status) return tl::unexpected(status.error());
  const bool more = looked_at == found_at_once;
  if (auto added = file()->add_graves(graves, !more); !added) return tl::unexpected(added.error());
  from = std::move(last);
  if (!more) mark_stale();
  return more;
}

}  // namespace dhrt
