// A write that need not know what it replaces does not read the file. What it left open is settled
// by whoever reads the file next: a reader of the record, the count, or the checkpoint.
//
// Intuition: an unread entry is newer than what the file may hold of its key, for its version is
// above everything that was ever put into its stripe. Two things are open: the older record is
// still counted, and when the key came to be is not known.
#include <algorithm>
#include <utility>

#include "storage/engine_collection.h"

namespace dhrt {

namespace {

// Entries that one hold of a stripe's lock looks at.
constexpr std::size_t looked_at_once = 256;

}  // namespace

Result<EngineCollection::Near> EngineCollection::lock_near(const HashedKey& key,
                                                           std::unique_lock<std::mutex>& lock,
                                                           std::uint64_t hlc_max) {
  const std::size_t stripe = stripe_of(key.hash);
  lock = std::unique_lock(shared_.stripes[stripe].lock);
  if (Entry* held = table_.find(key)) {
    count_hit(stripe);
    return Near{.held = held, .unread_hlc = {}};
  }
  if (complete()) return Near{};
  const std::uint64_t highest = std::max(highest_hlc_in_file_, part(stripe).highest_hlc);
  if (highest <= hlc_max) return Near{.held = nullptr, .unread_hlc = highest};
  lock.unlock();
  const auto held = lock_held(key, lock, Unreadable::is_absent);
  if (!held) return tl::unexpected(held.error());
  return Near{.held = *held, .unread_hlc = {}};
}

Result<Entry*> EngineCollection::read_behind(const HashedKey& key,
                                             std::unique_lock<std::mutex>& lock) {
  Stripe& stripe = shared_.stripes.of(key);
  static thread_local std::string encoded;
  for (;;) {
    const std::uint64_t departures = stripe.departures;
    lock.unlock();
    const auto found = load(key.bytes, encoded);
    if (!found) return tl::unexpected(found.error());
    lock.lock();
    Entry* const held = table_.find(key);
    if (held == nullptr || !held->is(Entry::unread)) return held;
    // As long as it is unread, the file was not written to, unless this is another one.
    if (stripe.departures != departures) continue;
    const Bytes old = encoded;
    ByteChanges changes;
    Entry* const settled = take_notice(key, *held, *found ? &old : nullptr, changes);
    changes.add_to(shared_);
    return settled;
  }
}

Entry* EngineCollection::take_notice(const HashedKey& key, Entry& entry, const Bytes* encoded,
                                     ByteChanges& changes) {
  const AliasDot dot = entry.dot();
  Part& here = part(stripe_of(key.hash));
  entry.clear(Entry::unread);
  --here.unread;
  if (encoded != nullptr) {
    here.tally.remove(item_in_file(key.bytes, dot, *encoded));
    note_left(here, key.bytes);
    note_superseded(here, key.bytes, dot, *encoded);
  }
  RecordView record = entry.view(*origins_.origin(dot.origin));
  if (record.created != created_unknown) return &entry;
  record.created = created_behind(key.bytes, encoded, record);
  put(key, record, dot.origin, record.unseen ? Entry::unseen : 0, {}, changes);
  return table_.find(key);
}

EngineTally::Item EngineCollection::item_in_file(Bytes key, AliasDot replaced_by,
                                                 Bytes encoded) const {
  const auto head = peek_record(encoded);
  if (!head) return {.dot = replaced_by, .deleted = false, .bytes = 0};
  const AliasDot dot{head->origin, head->sequence};
  return {.dot = dot,
          .deleted = head->deleted || written_off(dot),
          .bytes = key.size() + head->value_bytes};
}

WallMilliseconds EngineCollection::created_behind(Bytes key, const Bytes* encoded,
                                                  const RecordView& record) const {
  if (encoded == nullptr) return 0;
  const auto old = decode_record_view(*encoded, key,
                                      [this](OriginAlias alias) { return origins_.origin(alias); });
  if (!old || contexts_.is_flushed_in_stripe(old->dot)) return 0;
  return created_in_place_of(*old, record);
}

bool EngineCollection::settle_counts(CountCursor& at, std::size_t records_max) {
  std::vector<std::string> keys;
  for (; at.stripe < stripe_count; ++at.stripe, at.place = 0) {
    std::unique_lock lock(shared_.stripes[at.stripe].lock);
    const Part* const here = parts_[at.stripe].get();
    do {
      if (here == nullptr || here->unread == 0) break;
      if (records_max == 0) return true;
      keys.clear();
      std::size_t looked_at = 0;
      at.place = table_.visit(at.stripe, at.place, [&](Entry& entry) {
        if (entry.is(Entry::unread)) keys.emplace_back(entry.key());
        return ++looked_at < std::min(looked_at_once, records_max);
      });
      records_max -= looked_at;
      for (const std::string& key : keys)
        read_behind_if_unread(HashedKey(key), lock);
    } while (at.place != 0);
  }
  return false;
}

// What cannot be read stays counted.
void EngineCollection::read_behind_if_unread(const HashedKey& key,
                                             std::unique_lock<std::mutex>& lock) {
  const Entry* const held = table_.find(key);
  if (held == nullptr || !held->is(Entry::unread)) return;
  if (!read_behind(key, lock)) lock.lock();
}

void EngineCollection::supersede(const DirtyCopy::Item& item, const Bytes* old, FilePut& put,
                                 Superseded& superseded) {
  if (!item.unread) return;
  const HashedKey key(put.key);
  const std::lock_guard lock(shared_.stripes.of(key).lock);
  auto record = decode_record_view(put.encoded, key.bytes,
                                   [this](OriginAlias alias) { return origins_.origin(alias); });
  if (record && record->created == created_unknown) {
    record->created = created_behind(key.bytes, old, *record);
    superseded.encoded.emplace_back();
    encode_record_view(superseded.encoded.back(), key.bytes, *record, item.dot.origin);
    put.encoded = superseded.encoded.back();
  }
  // Before anybody can find the new record in the file: see read_behind().
  Entry* const held = table_.find(key);
  if (held != nullptr && held->is(Entry::unread)) take_notice(key, *held, old, superseded.changes);
}

// Who replaces a record has seen it, whether or not its dot came into the context (a pull brings
// records before their dots). Only an intact record is believed: a dot that was never seen must not
// be called so.
void EngineCollection::note_superseded(Part& part, Bytes key, AliasDot by, Bytes old) {
  const auto head = peek_record(old);
  if (!head || AliasDot{head->origin, head->sequence} == by) return;
  // From here on it may leave the file, and a walk that began before its successor was durable
  // shows neither. Under which position that was written is not known; it was not later than now.
  const std::uint16_t loop = origins_.origin(by.origin)->loop;
  remember_replaced(part, {.dot = {head->origin, head->sequence},
                           .by = {.loop = loop, .position = shared_.loops[loop]->appended.load()}});
  const Origin* const origin = origins_.origin(head->origin);
  if (origin == nullptr || contexts_.has_seen({*origin, head->sequence})) return;
  const auto record =
      decode_record_view(old, key, [this](OriginAlias alias) { return origins_.origin(alias); });
  if (!record || record->damaged) return;
  part.superseded.push_back(record->dot);
  mark_stale();
}

// What took their place was written by now, and what the pass writes comes behind that.
void EngineCollection::take_superseded(Context& superseded) {
  for (std::size_t i = 0; i < stripe_count; ++i) {
    std::vector<Dot> dots;
    {
      const std::lock_guard lock(shared_.stripes[i].lock);
      if (parts_[i] == nullptr) continue;
      dots.swap(parts_[i]->superseded);
    }
    for (const Dot& dot : dots)
      superseded.add(dot);
  }
}

void EngineCollection::join(const Context& superseded) {
  if (superseded.empty()) return;
  contexts_.merge_seen(superseded);
  contexts_.publish(0, contexts_.durable_own(0), superseded, {});
  shared_.note_changed(shared_from_this());
  shared_.wake(0);
}

}  // namespace dhrt
