// Records in memory: found, put, counted, flushed and evicted.
#include "storage/engine_collection.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "storage/base/check.h"

namespace dhrt {

namespace {

constexpr WallMilliseconds no_deadline = std::numeric_limits<WallMilliseconds>::max();
constexpr std::uint32_t no_alias = std::numeric_limits<std::uint32_t>::max();
constexpr std::size_t slot_bytes = 8;

void count_one(std::atomic<std::uint64_t>& counter) {
  // Only who holds the stripe counts, so nothing gets lost between the two.
  counter.store(counter.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

}  // namespace

void ByteChanges::add_to(EngineShared& shared) {
  const auto add = [](std::atomic<std::int64_t>& sum, std::int64_t& change) {
    if (change != 0) sum.fetch_add(std::exchange(change, 0), std::memory_order_relaxed);
  };
  add(shared.unflushed_bytes, unflushed_bytes);
  add(shared.unflushed_records, unflushed_records);
  add(shared.cache_bytes, cache_bytes);
  add(shared.memory_bytes, memory_bytes);
}

void EngineCollection::count_hit(std::size_t stripe) {
  count_one(shared_.stripes[stripe].hits);
}

EngineCollection::EngineCollection(EngineShared& shared, CollectionRef ref, bool memory,
                                   std::uint32_t number)
    : shared_(shared),
      ref_(std::move(ref)),
      memory_(memory),
      number_(number),
      table_(shared.stripes),
      contexts_(shared.own(), shared.options.loops, shared.stripes[0].lock),
      own_aliases_(std::make_unique<std::atomic<std::uint32_t>[]>(shared.options.loops)),
      turn_notes_(std::make_unique<TurnNote[]>(shared.options.loops)),
      next_deadline_(no_deadline) {
  for (unsigned loop = 0; loop < shared.options.loops; ++loop)
    own_aliases_[loop] = no_alias;
}

EngineCollection::~EngineCollection() {
  take_weight();
}

EngineCollection::Part& EngineCollection::part(std::size_t stripe) {
  if (parts_[stripe] == nullptr) parts_[stripe] = std::make_unique<Part>();
  return *parts_[stripe];
}

// --- Reading --------------------------------------------------------------------------------

Result<std::optional<Record>> EngineCollection::find(Bytes key) {
  std::optional<Record> found;
  const Status status = read(HashedKey(key), [&found](const RecordView* held) {
    if (held != nullptr) found = copy_of(*held);
  });
  if (!status) return tl::unexpected(status.error());
  return found;
}

Status EngineCollection::read(const HashedKey& key, FunctionRef<void(const RecordView*)> show) {
  if (key.bytes.empty() || key.bytes.size() > key_bytes_max) {
    show(nullptr);
    return {};
  }
  hot_keys_.read(key.bytes);
  std::unique_lock<std::mutex> lock;
  const auto held = lock_held(key, lock);
  if (!held) return tl::unexpected(held.error());
  if (*held == nullptr) {
    show(nullptr);
    return {};
  }
  const auto& state = shared_.of_stripe[stripe_of(key.hash)];
  const auto& policy = memory_ ? state.memory : state.cache;
  if (policy) policy->touched(**held);
  const RecordView view = shown(**held);
  show(&view);
  return {};
}

RecordView EngineCollection::shown(const Entry& entry) const {
  const RecordView view = entry.view(*origins_.origin(entry.dot().origin));
  // When all is swept nothing needs to be hidden, unless a dot that two keys share hid one of them
  // from the sweep.
  if (view.deleted || !(contexts_.sweep_pending() || dots_are_shared_.load())) return view;
  return contexts_.is_flushed_in_stripe(view.dot) ? tombstone_of(view) : view;
}

Result<Entry*> EngineCollection::lock_held(const HashedKey& key, std::unique_lock<std::mutex>& lock,
                                           Unreadable unreadable) {
  const std::size_t index = stripe_of(key.hash);
  Stripe& stripe = shared_.stripes[index];
  lock = std::unique_lock(stripe.lock);
  static thread_local std::string encoded;
  for (bool looked = false;; looked = true) {
    Entry* held = table_.find(key);
    if (held != nullptr && held->is(Entry::unread)) [[unlikely]] {
      const auto settled = read_behind(key, lock);
      if (!settled) return settled;
      held = *settled;
    }
    if (held != nullptr) {
      if (!looked) count_hit(index);
      return held;
    }
    if (complete()) return nullptr;
    const std::uint64_t departures = stripe.departures;
    count_one(stripe.misses);
    lock.unlock();
    const auto found = load(key.bytes, encoded);
    if (!found) return tl::unexpected(found.error());
    Result<RecordView> record;
    if (*found) record = decode(key.bytes, encoded);
    lock.lock();
    // What came meanwhile is newer than what was read, and what left may be.
    if (table_.find(key) != nullptr || stripe.departures != departures) continue;
    if (!*found) return nullptr;
    judge(key.bytes, record);
    if (record) return insert_clean(key, *record);
    if (unreadable == Unreadable::is_absent && record.error().code == ErrorCode::corrupt)
      return nullptr;
    return tl::unexpected(record.error());
  }
}

Result<bool> EngineCollection::load(Bytes key, std::string& encoded) {
  CollectionFile* from = file();
  if (from == nullptr) return false;
  bool found = false;
  const Status status = from->get(file_reader(), key, [&](const Bytes* held) {
    found = held != nullptr;
    if (found) encoded.assign(*held);
  });
  if (!status) return tl::unexpected(status.error());
  return found;
}

Result<RecordView> EngineCollection::decode(Bytes key, Bytes encoded) {
  auto record = decode_record_view(encoded, key,
                                   [this](OriginAlias alias) { return origins_.origin(alias); });
  if (record && record->damaged) {
    // The dot may be what is damaged. It is to be trusted only if the log leads here too.
    const AliasDot dot{*origins_.find(record->dot.origin), record->dot.sequence};
    bool leads_here = false;
    const Status status = file()->walk(file_reader(), dot, [&](AliasDot found, Bytes at, Bytes) {
      leads_here = found == dot && at == key;
      return false;
    });
    if (!status) return tl::unexpected(status.error());
    if (!leads_here) record = fail(ErrorCode::corrupt, "the log does not lead to it");
  }
  if (!record) return fail(record.error(), file()->path() + ", key '" + std::string(key) + "'");
  record->unseen = !contexts_.has_seen(record->dot);
  return record;
}

Entry* EngineCollection::insert_clean(const HashedKey& key, const RecordView& record) {
  const std::size_t stripe = stripe_of(key.hash);
  ByteChanges changes;
  const auto limit = static_cast<std::int64_t>(shared_.options.cache_bytes);
  evict(
      shared_, stripe, false,
      [&] {
        return shared_.cache_bytes.load(std::memory_order_relaxed) + changes.cache_bytes > limit;
      },
      changes);
  const OriginAlias alias = *origins_.find(record.dot.origin);
  Entry* entry = table_.put(key, record, alias, 0).entry;
  weigh(part(stripe), *entry, 1, changes);
  changes.add_to(shared_);
  offer(stripe, key, *entry);
  return entry;
}

// --- Writing --------------------------------------------------------------------------------

Result<OriginAlias> EngineCollection::own_alias(unsigned loop) {
  const std::uint32_t known = own_aliases_[loop].load(std::memory_order_relaxed);
  if (known != no_alias) return static_cast<OriginAlias>(known);
  Origin own = shared_.own();
  own.loop = static_cast<std::uint16_t>(loop);
  const auto alias = origins_.alias(own);
  if (alias) own_aliases_[loop].store(*alias, std::memory_order_relaxed);
  return alias;
}

void EngineCollection::put(const HashedKey& key, const RecordView& record, OriginAlias alias,
                           std::uint8_t state, const WriteStamp& stamp, ByteChanges& changes,
                           Entry* held) {
  if (!memory_) state |= Entry::dirty;
  if (held != nullptr && put_in_place(key, record, alias, state, stamp, changes, *held)) return;
  const std::size_t stripe = stripe_of(key.hash);
  Part& here = part(stripe);
  const auto [entry, replaced] = table_.put(key, record, alias, state);
  if (replaced != nullptr && replaced->is(Entry::unread)) {
    entry->set(Entry::unread);
  } else if (entry->is(Entry::unread)) {
    ++here.unread;
  }
  weigh(here, *entry, 1, changes);
  note_health(here, *entry, record.damaged, replaced == nullptr && !entry->is(Entry::unread));
  if (replaced != nullptr) {
    weigh(here, *replaced, -1, changes);
    here.tally.remove(item_of(*replaced));
    if (!unsaved(*replaced)) note_left(here, key.bytes);
    if (replaced->dot() != entry->dot()) note_replaced(here, *replaced, stamp);
    note_moved(here, *replaced, alias);
    unlink_in_stripe(here, *replaced, entry);
  } else if (here.order != nullptr) {
    here.order->insert(*entry);
  }
  index(*entry, replaced);
  if (replaced != nullptr) table_.free(stripe, replaced);
  here.tally.add(item_of(*entry));
  note_put(here, *entry);
  if (memory_) offer(stripe, key, *entry);
}

// A walk that runs meanwhile may meet neither what was there nor what comes: the first is noted as
// replaced, the second is not durable yet.
bool EngineCollection::put_in_place(const HashedKey& key, const RecordView& record,
                                    OriginAlias alias, std::uint8_t state, const WriteStamp& stamp,
                                    ByteChanges& changes, Entry& entry) {
  const AliasDot dot{.origin = alias, .sequence = record.dot.sequence};
  if (entry.dot() == dot || !entry.is_laid_out_for(record)) return false;
  const std::size_t stripe = stripe_of(key.hash);
  Part& here = part(stripe);
  const bool was_saved = !unsaved(entry);
  note_replaced(here, entry, stamp);
  note_moved(here, entry, alias);
  unlink_in_stripe(here, entry, &entry);
  here.tally.remove(item_of(entry));
  if (was_saved) {
    weigh(here, entry, -1, changes);
    note_left(here, key.bytes);
  }
  const auto rewrite = [&] { entry.rewrite(record, alias, state); };
  if (indexed(entry)) {
    if (!index_.move(entry, dot, rewrite)) note_shared_dot(entry);
  } else {
    rewrite();
    index(entry, nullptr);
  }
  if (was_saved) weigh(here, entry, 1, changes);
  here.tally.add(item_of(entry));
  note_health(here, entry, record.damaged, false);
  note_put(here, entry);
  if (memory_) offer(stripe, key, entry);
  return true;
}

void EngineCollection::note_put(Part& here, Entry& entry) {
  here.deadlines.add(entry);
  if (memory_) here.graves.add(entry);
  note_deadline(entry.deadline());
  here.highest_hlc = std::max(here.highest_hlc, entry.hlc());
}

// The new one first: a walk meets either of them, or both.
void EngineCollection::index(Entry& entry, const Entry* replaced) {
  const bool leads_to_replaced = replaced != nullptr && indexed(*replaced);
  if (leads_to_replaced && replaced->dot() == entry.dot()) {
    index_.exchange(*replaced, entry);
    return;
  }
  if (!index_.add(entry)) note_shared_dot(entry);
  if (leads_to_replaced) index_.remove(*replaced);
}

void EngineCollection::note_shared_dot(Entry& entry) {
  entry.set(Entry::unindexed);
  dots_are_shared_.store(true);
  mark_stale();
}

// The index is listed origin by origin, and knows an entry neither behind nor ahead while it goes
// from one to the other.
void EngineCollection::note_moved(Part& here, const Entry& entry, OriginAlias to) {
  if (memory_ || !indexed(entry) || entry.dot().origin == to) return;
  if (!meta_is_stale()) mark_stale();  // Dirty all the same.
  if (!lists_.load()) return;
  here.moved.emplace_back(entry.key());
  if (here.moved.size() < here.moved_end) return;
  std::ranges::sort(here.moved);
  here.moved.erase(std::unique(here.moved.begin(), here.moved.end()), here.moved.end());
  here.moved_end = std::max<std::size_t>(256, 2 * here.moved.size());
}

void EngineCollection::unlink(std::size_t stripe, Entry& entry, Entry* next) {
  if (indexed(entry)) index_.remove(entry);
  unlink_in_stripe(part(stripe), entry, next);
}

void EngineCollection::unlink_in_stripe(Part& here, Entry& entry, Entry* next) {
  if (unsaved(entry)) here.deadlines.remove(entry);
  if (memory_) here.graves.remove(entry);
  if (here.order == nullptr || (next == &entry && unsaved(entry))) return;
  if (next != nullptr) {
    here.order->replace(entry, *next);
  } else if (unsaved(entry)) {
    here.order->remove(entry);
  }
}

void EngineCollection::offer(std::size_t stripe, const HashedKey& key, Entry& entry) {
  auto& state = shared_.of_stripe[stripe];
  const auto& policy = memory_ ? state.memory : state.cache;
  if (policy == nullptr) return;
  policy->added(EvictionPolicy::item(number_, key.hash), entry,
                [this, stripe](EvictionPolicy::Item item) -> Entry* {
                  EngineCollection* owner = shared_.owner(item.owner);
                  return owner == nullptr ? nullptr : owner->table_.find_placed(stripe, item.hash);
                });
}

void EngineCollection::note_deadline(WallMilliseconds deadline) {
  if (deadline == 0) return;
  WallMilliseconds held = next_deadline_.load(std::memory_order_relaxed);
  while (deadline < held && !next_deadline_.compare_exchange_weak(held, deadline)) {
  }
}

void EngineCollection::weigh(Part& part, const Entry& entry, std::int64_t sign,
                             ByteChanges& changes) const {
  const std::size_t size = entry.size();
  const auto bytes = sign * static_cast<std::int64_t>(Slab::rounded(size) + slot_bytes);
  const bool is_dirty = entry.is(Entry::dirty);
  for (ByteChanges* sum : {&part.weight, &changes}) {
    (memory_ ? sum->memory_bytes : sum->cache_bytes) += bytes;
    if (!is_dirty) continue;
    sum->unflushed_bytes += sign * static_cast<std::int64_t>(size);
    sum->unflushed_records += sign;
  }
}

void EngineCollection::note_replaced(Part& part, const Entry& entry, const WriteStamp& stamp) {
  remember_replaced(part, {entry.dot(), stamp});
}

void EngineCollection::remember_replaced(Part& part, const Replaced& replaced) {
  if (part.replaced.size() >= part.trim_at) trim_replaced(part);
  part.replaced.push_back(replaced);
}

void EngineCollection::trim_replaced(Part& part) {
  auto& replaced = part.replaced;
  // In this order: a walk that begins later finds no less published.
  const std::vector<Position> published = shared_.published();
  const bool walked = walks_.load() != 0;
  if (!walked) {
    std::erase_if(replaced, [&published](const Replaced& old) {
      return old.by.position <= published[old.by.loop];
    });
  }
  const bool is_much = replaced.size() >= replaced_max;
  if (is_much) shared_.sync_wanted.store(true);
  // Soon after that sync: else as much again would come first, and the sync cover half of it.
  const std::size_t often = is_much ? replaced_max / 4 : std::max<std::size_t>(64, replaced.size());
  part.trim_at = replaced.size() + (walked ? 64 : often);
}

std::size_t EngineCollection::replaced_dots() const {
  std::size_t dots = 0;
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    if (parts_[i] != nullptr) dots += parts_[i]->replaced.size();
  }
  return dots;
}

EngineTally::Item EngineCollection::item_of(const Entry& entry) const {
  return {.dot = entry.dot(),
          .deleted = entry.deleted() || written_off(entry.dot()),
          .bytes = entry.key().size() + entry.value().size()};
}

bool EngineCollection::written_off(AliasDot dot) const {
  if (written_off_.empty()) return false;
  return written_off_.contains({*origins_.origin(dot.origin), dot.sequence});
}

// --- Leaving memory -------------------------------------------------------------------------

void EngineCollection::evict(EngineShared& shared, std::size_t stripe, bool memory,
                             FunctionRef<bool()> over, ByteChanges& changes) {
  auto& state = shared.of_stripe[stripe];
  const auto& policy = memory ? state.memory : state.cache;
  if (policy == nullptr) return;
  while (over()) {
    const auto victim = policy->victim([&shared, stripe](EvictionPolicy::Item item) -> Entry* {
      EngineCollection* owner = shared.owner(item.owner);
      return owner == nullptr ? nullptr : owner->table_.find_placed(stripe, item.hash);
    });
    if (victim.entry == nullptr) return;
    EngineCollection* owner = shared.owner(victim.item.owner);
    if (owner == nullptr) return;
    owner->drop(HashedKey(victim.entry->key()), *victim.entry, changes);
    count_one(shared.stripes[stripe].evictions);
  }
}

// The cache policy goes by hashes, and what is saved is led to by the table alone.
Table::Relocated EngineCollection::relocate(std::size_t stripe, std::size_t from,
                                            std::size_t& budget) {
  const std::lock_guard lock(shared_.stripes[stripe].lock);
  if (parts_[stripe] == nullptr) return {0, 0};
  Part& here = *parts_[stripe];
  const auto done = table_.relocate(stripe, from, budget, [&](Entry& old, Entry& entry) {
    if (!unsaved(old)) return;
    unlink_in_stripe(here, old, &entry);
    here.deadlines.add(entry);
    if (memory_) here.graves.add(entry);
    if (indexed(old)) index_.exchange(old, entry);
  });
  shared_.relocated.fetch_add(done.entries, std::memory_order_relaxed);
  return done;
}

void EngineCollection::drop(const HashedKey& key, Entry& entry, ByteChanges& changes) {
  const std::size_t stripe = stripe_of(key.hash);
  Part& here = part(stripe);
  if (memory_) {
    here.tally.remove(item_of(entry));
    unlink(stripe, entry, nullptr);
  } else {
    departed_.store(true);
    set_complete(false);
  }
  weigh(here, entry, -1, changes);
  table_.take_out(key, &entry);
  table_.free(stripe, &entry);
}

void EngineCollection::take_weight() {
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    if (parts_[i] == nullptr) continue;
    const ByteChanges weight = std::exchange(parts_[i]->weight, {});
    ByteChanges changes{.unflushed_bytes = -weight.unflushed_bytes,
                        .unflushed_records = -weight.unflushed_records,
                        .cache_bytes = -weight.cache_bytes,
                        .memory_bytes = -weight.memory_bytes};
    changes.add_to(shared_);
  }
}

// --- Counting -------------------------------------------------------------------------------

CollectionCounts EngineCollection::counts() const {
  EngineCounts sum;
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    if (i == 0) sum += of_file_;
    if (parts_[i] != nullptr) sum += parts_[i]->tally.counts();
  }
  // A flush that runs meanwhile may show in some stripes only.
  const auto natural = [](std::int64_t number) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(number, 0));
  };
  return {natural(sum.live), natural(sum.tombstones), natural(sum.bytes)};
}

std::uint64_t EngineCollection::highest_hlc() const {
  std::uint64_t highest = 0;
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    if (i == 0) highest = highest_hlc_in_file_;
    if (parts_[i] != nullptr) highest = std::max(highest, parts_[i]->highest_hlc);
  }
  return highest;
}

}  // namespace dhrt
