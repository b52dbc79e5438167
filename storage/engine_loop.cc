#include "storage/engine_loop.h"

#include <algorithm>
#include <utility>

#include "storage/base/system_clock.h"
#include "storage/collection_table.h"

namespace dhrt {

namespace {

EngineCollection& as_ours(Collection& collection) {
  return static_cast<EngineCollection&>(collection);
}

// The longest that an answer is held back; by how much depends on how near the limit is.
constexpr Duration held_back_max{200};
// Half of the silence that a peer bears (pull_timeout in cluster/options.h).
constexpr Duration patience_max{5000};

Status check_key(Bytes key) {
  if (!key.empty() && key.size() <= key_bytes_max) return {};
  return fail(ErrorCode::invalid_argument, "a key of " + std::to_string(key.size()) +
                                               " bytes cannot be stored; use 1 to " +
                                               std::to_string(key_bytes_max) + " bytes");
}

Status check_record(const RecordView& record) {
  if (record.attributes.size() > attributes_bytes_max) {
    return fail(ErrorCode::invalid_argument, "attributes of " +
                                                 std::to_string(record.attributes.size()) +
                                                 " bytes cannot be stored; use " +
                                                 std::to_string(attributes_bytes_max) + " at most");
  }
  constexpr std::uint64_t sequence_end = std::uint64_t{1} << 48;
  if (record.dot.sequence == 0 || record.dot.sequence >= sequence_end) {
    return fail(ErrorCode::invalid_argument, "a record with sequence " +
                                                 std::to_string(record.dot.sequence) +
                                                 " cannot be stored; sequences are 1 to 2^48 - 1");
  }
  return {};
}

std::uint64_t dots_in(const Context& context) {
  std::uint64_t dots = 0;
  for (const auto& [origin, set] : context.origins()) {
    for (const Interval& interval : set.intervals())
      dots += interval.last - interval.first + 1;
  }
  return dots;
}

}  // namespace

// --- Collections ----------------------------------------------------------------------------

Result<Collection*> EngineLoop::open(const OpenOptions& options) {
  const std::unique_lock lock(shared_.structure);
  const auto found = shared_.collections.find(options.ref.name);
  const SharedCollection held = found == shared_.collections.end() ? nullptr : found->second;
  const auto verdict = judge_open(held.get(), options.ref);
  if (!verdict) return tl::unexpected(verdict.error());
  if (*verdict == OpenAs::held) return held.get();
  if (held != nullptr) {
    if (auto status = erase_locked(held); !status) return tl::unexpected(status.error());
  }
  const SharedCollection made = shared_.make(options.ref, options.memory || !shared_.on_disk());
  if (made->in_memory()) return made.get();
  // An empty collection survives a restart too: its name stands in the log until a file is made.
  if (auto status = log()->reserve(log_item_overhead_max, true); !status)
    return tl::unexpected(status.error());
  log()->frame().add_contexts(made->ref(), {}, {});
  made->mark_stale();
  logged_ = next_position();
  return made.get();
}

Status EngineLoop::erase(Bytes name) {
  const std::unique_lock lock(shared_.structure);
  const auto found = shared_.collections.find(name);
  if (found == shared_.collections.end()) return {};
  return erase_locked(SharedCollection(found->second));
}

Status EngineLoop::erase_locked(const SharedCollection& held) {
  if (!held->in_memory()) {
    if (auto status = log()->reserve(log_item_overhead_max, true); !status) return status;
    log()->frame().add_erase(held->ref());
    logged_ = next_position();
    shared_.doomed.push_back({.name = held->ref().name, .loop = loop_, .position = logged_});
  }
  shared_.retire(held);
  return {};
}

Collection* EngineLoop::find(Bytes name) {
  const std::uint64_t version = shared_.structure_version.load();
  if (version == found_version_ && name == found_name_) return found_;
  found_ = shared_.find(name).get();
  found_name_ = std::string(name);
  found_version_ = version;
  return found_;
}

// In order of names. None goes before this loop's turn is over.
const std::vector<EngineCollection*>& EngineLoop::known() {
  const std::uint64_t version = shared_.structure_version.load();
  if (std::exchange(known_version_, version) == version) return known_;
  known_.clear();
  for (const SharedCollection& collection : shared_.all())
    known_.push_back(collection.get());
  return known_;
}

std::vector<Collection*> EngineLoop::collections() {
  std::vector<Collection*> all;
  for (const SharedCollection& collection : shared_.all())
    all.push_back(collection.get());
  return all;
}

// Asked by whoever wants one more, however often it is refused.
std::size_t EngineLoop::collection_count() {
  const std::shared_lock lock(shared_.structure);
  return shared_.collections.size();
}

// --- Writing --------------------------------------------------------------------------------

Position EngineLoop::next_position() {
  mine().appended.store(++last_, std::memory_order_release);
  return last_;
}

// Before anything of the stripe is looked at: a collection in memory may have to make room.
void EngineLoop::make_room(const EngineCollection& target, std::size_t stripe) {
  const auto limit = static_cast<std::int64_t>(shared_.options.memory_limit);
  if (!target.in_memory() || limit == 0) return;
  const auto over = [&] { return shared_.memory_bytes.load() + changes_.memory_bytes > limit; };
  if (!over()) return;
  const std::lock_guard lock(shared_.stripes[stripe].lock);
  EngineCollection::evict(shared_, stripe, true, over, changes_);
}

// Whether a write may go on. In stripe.
Status EngineLoop::admit(const EngineCollection& target) {
  if (target.erased())
    return fail(ErrorCode::not_found,
                "collection '" + target.ref().name + "' was dropped; open it again");
  return shared_.failed.load(std::memory_order_relaxed) ? shared_.health() : Status{};
}

Status EngineLoop::admit_record(const EngineCollection& target, Bytes key, const RecordView& put,
                                bool in_place) {
  if (auto status = check_record(put); !status) return status;
  if (target.in_memory()) {
    const auto limit = static_cast<std::int64_t>(shared_.options.memory_limit);
    if (limit == 0 || shared_.options.memory_eviction != Eviction::none) return {};
    // A delete takes room only for the moment; it is how a user makes some.
    if (put.deleted && in_place) return {};
    const auto bytes = static_cast<std::int64_t>(Slab::rounded(Entry::size_of(key, put)));
    if (shared_.memory_bytes.load() + changes_.memory_bytes + bytes <= limit) return {};
    shared_.writes_refused.fetch_add(1, std::memory_order_relaxed);
    return fail(ErrorCode::full, "memory limit of " + std::to_string(limit) +
                                     " bytes reached; raise --memory-limit or set --evict");
  }
  if (shared_.refuses_writes.load(std::memory_order_relaxed)) {
    shared_.writes_refused.fetch_add(1, std::memory_order_relaxed);
    return fail(ErrorCode::busy,
                "more than " + std::to_string(shared_.options.unflushed_max) +
                    " bytes wait to be written to the files; ask again later, or raise "
                    "--unflushed-max if the disk is quick enough");
  }
  auto room = log()->reserve(log_record_bytes_max(key, put), put.deleted);
  if (!room) shared_.writes_refused.fetch_add(1, std::memory_order_relaxed);
  return room;
}

Result<OriginAlias> EngineLoop::alias_of(EngineCollection& target, const Origin& origin) {
  const bool own = target.contexts().is_own(origin) && origin.loop == loop_;
  return own ? target.own_alias(loop_) : target.origins().alias(origin);
}

ContextGain& EngineLoop::gain_of(EngineCollection& target) {
  EngineCollection::TurnNote& note = target.turn_note(loop_);
  if (note.turn != turn_) {
    note.turn = turn_;
    note.gain = gains_.size();
    gains_.push_back({.collection = target.shared_from_this()});
  }
  return gains_[note.gain];
}

void EngineLoop::note_put(EngineCollection& target, const Dot& dot, bool joins_seen) {
  ContextGain& gain = gain_of(target);
  if (!joins_seen || target.contexts().is_own(dot.origin)) return;
  gain.seen.add(dot);
  target.contexts().add_seen(dot);
}

// A turn of ours is synced, or need not be, but what it met on other loops is not.
bool EngineLoop::awaits_others() {
  if (!awaits_others_) return false;
  const std::lock_guard lock(mine().mutex);
  awaits_others_ = std::ranges::any_of(mine().unpublished, [this](const LoopShared::Turn& turn) {
    return !shared_.have_published(turn.others);
  });
  return awaits_others_;
}

bool EngineLoop::is_unsettled(const EngineCollection& target, const Dot& dot) const {
  if (shared_.loops.size() == 1 || target.in_memory()) return false;
  const EngineContexts& contexts = target.contexts();
  return contexts.is_own(dot.origin) && dot.origin.loop != loop_ &&
         dot.sequence > contexts.durable_own(dot.origin.loop);
}

std::vector<Position> EngineLoop::others_appended() const {
  std::vector<Position> appended;
  for (const auto& loop : shared_.loops)
    appended.push_back(loop->appended.load(std::memory_order_acquire));
  appended[loop_] = 0;
  return appended;
}

Result<EngineCollection::Near> EngineLoop::lock_for(EngineCollection& target, const HashedKey& key,
                                                    const Terms& terms,
                                                    std::unique_lock<std::mutex>& lock) {
  if (terms.unread_hlc_max != 0) return target.lock_near(key, lock, terms.unread_hlc_max);
  const auto held = target.lock_held(key, lock, EngineCollection::Unreadable::is_absent);
  if (!held) return tl::unexpected(held.error());
  return EngineCollection::Near{.held = *held, .unread_hlc = {}};
}

Result<Position> EngineLoop::update(Collection& collection, const HashedKey& key,
                                    const Terms& terms, Decide decide) {
  EngineCollection& target = as_ours(collection);
  if (auto status = check_key(key.bytes); !status) return tl::unexpected(status.error());
  make_room(target, stripe_of(key.hash));
  std::unique_lock<std::mutex> lock;
  const auto near = lock_for(target, key, terms, lock);
  if (!near) return tl::unexpected(near.error());
  const auto& [held, unread_hlc] = *near;
  if (auto status = admit(target); !status) return tl::unexpected(status.error());

  RecordView put;
  RecordView seen_there;
  const bool joins_seen = terms.joins == Joins::seen;
  if (held != nullptr) {
    seen_there = target.shown(*held);
    seen_there.unsettled = is_unsettled(target, seen_there.dot);
    if (seen_there.unsettled && !joins_seen) met_unsettled_ = true;
  } else if (unread_hlc) {
    seen_there.version.hlc = *unread_hlc;
    seen_there.unread = true;
  }
  if (!decide(held != nullptr || unread_hlc ? &seen_there : nullptr, put)) return Position{0};
  const bool own = target.contexts().is_own(put.dot.origin);
  if (!own && target.contexts().is_flushed_in_stripe(put.dot)) put = tombstone_of(put);
  put.unseen = !joins_seen;
  if (auto status = admit_record(target, key.bytes, put, held != nullptr); !status)
    return tl::unexpected(status.error());
  const auto alias = alias_of(target, put.dot.origin);
  if (!alias) return tl::unexpected(alias.error());

  const Position position = next_position();
  if (own) target.contexts().raise_own(put.dot.origin.loop, put.dot.sequence);
  if (!target.in_memory()) {
    log()->frame().add_record(target.ref(), key.bytes, put, joins_seen);
    logged_ = position;
  }
  const std::uint8_t state = unread_hlc ? Entry::unread : 0;
  target.put(key, put, *alias, state, {loop_, position}, changes_, held);
  lock.unlock();
  note_put(target, put.dot, joins_seen);
  return position;
}

Status EngineLoop::check_puts(EngineCollection& target, const Batch& batch) {
  if (auto status = admit(target); !status) return status;
  std::size_t bytes = log_contexts_bytes_max(batch.seen, batch.flushed);
  for (const KeyedRecord& entry : batch.puts) {
    if (auto status = check_key(entry.key); !status) return status;
    const RecordView view = view_of(entry.record);
    if (auto status = admit_record(target, entry.key, view, true); !status) return status;
    if (const auto alias = alias_of(target, view.dot.origin); !alias)
      return tl::unexpected(alias.error());
    bytes += log_record_bytes_max(entry.key, view);
  }
  if (target.in_memory()) return {};
  // The whole of it is in one frame, or nothing.
  return log()->reserve(bytes, batch.puts.empty());
}

Status EngineLoop::put_all(EngineCollection& target, const Batch& batch) {
  for (const KeyedRecord& entry : batch.puts) {
    const HashedKey key(entry.key);
    make_room(target, stripe_of(key.hash));
    std::unique_lock<std::mutex> lock;
    const auto held = target.lock_held(key, lock, EngineCollection::Unreadable::is_absent);
    if (!held) return tl::unexpected(held.error());
    RecordView put = view_of(entry.record);
    const bool joins_seen = batch.seen.contains(put.dot);
    put.unseen = !joins_seen;
    if (target.contexts().is_flushed_in_stripe(put.dot)) put = tombstone_of(put);
    if (target.contexts().is_own(put.dot.origin))
      target.contexts().raise_own(put.dot.origin.loop, put.dot.sequence);
    if (!target.in_memory()) {
      log()->frame().add_record(target.ref(), key.bytes, put, joins_seen);
      logged_ = last_;
    }
    const auto alias = alias_of(target, put.dot.origin);
    target.put(key, put, *alias, 0, {loop_, last_}, changes_, *held);
  }
  return {};
}

void EngineLoop::append_contexts(EngineCollection& target, const Batch& batch) {
  std::uint64_t joined = 0;
  for (const KeyedRecord& entry : batch.puts)
    joined += batch.seen.contains(entry.record.dot) ? 1 : 0;
  const bool only_puts = batch.flushed.empty() && dots_in(batch.seen) <= joined;
  if (!only_puts && !target.in_memory() && target.contexts().is_news(batch.seen, batch.flushed)) {
    log()->frame().add_contexts(target.ref(), batch.seen, batch.flushed);
    logged_ = last_;
  }
  ContextGain& gain = gain_of(target);
  gain.seen.merge(batch.seen);
  gain.flushed.merge(batch.flushed);
  target.contexts().merge_seen(batch.seen);
}

Result<Position> EngineLoop::append(Collection& collection, Batch batch) {
  EngineCollection& target = as_ours(collection);
  if (auto status = check_puts(target, batch); !status) return tl::unexpected(status.error());
  const Position position = next_position();
  if (!batch.seen.empty() || !batch.flushed.empty()) append_contexts(target, batch);
  if (!batch.flushed.empty()) target.flush(batch.flushed);
  gain_of(target);
  if (auto status = put_all(target, batch); !status) return tl::unexpected(status.error());
  return position;
}

void EngineLoop::forget_tombstones(Collection& collection, Forgettable what) {
  as_ours(collection).forget_tombstones(what);
}

Status EngineLoop::note_forgotten(Collection& collection, const Context& dots, std::uint64_t hlc) {
  EngineCollection& target = as_ours(collection);
  if (!target.forgets_more(dots, hlc)) return {};
  if (!target.in_memory()) {
    if (auto status = admit(target); !status) return status;
    if (auto status = log()->reserve(log_contexts_bytes_max(dots, {}), true); !status)
      return status;
    logged_ = next_position();
    log()->frame().add_forgotten(target.ref(), dots, hlc);
  }
  target.note_forgotten(dots, hlc);
  return {};
}

// --- Turns ----------------------------------------------------------------------------------

void EngineLoop::commit() {
  changes_.add_to(shared_);
  LoopShared& here = mine();
  if (last_ != here.committed.load(std::memory_order_relaxed)) {
    for (ContextGain& gain : gains_)
      gain.own_last = gain.collection->contexts().last_own(loop_);
    {
      const std::lock_guard lock(here.mutex);
      here.unpublished.push_back(
          {.position = last_,
           .logged = logged_,
           // A pull that ends with this turn has its vector merged next, in this log: what the
           // pulled records lost to must not be lost after that.
           .others = met_unsettled_ ? others_appended() : std::vector<Position>(),
           .gains = std::exchange(gains_, {})});
    }
    if (log() != nullptr && !log()->frame().empty()) log()->commit(last_);
    committed_log_ = logged_;
    awaits_others_ = awaits_others_ || met_unsettled_;
    met_unsettled_ = false;
    here.committed.store(last_, std::memory_order_release);
    ++turn_;
    shared_.reckon_pressure();
  }
  here.turns.fetch_add(1);
}

Position EngineLoop::collect() {
  shared_.advance(loop_);
  LoopShared& here = mine();
  Position answerable = here.published.load(std::memory_order_acquire);
  const bool awaits_sync = shared_.options.durability == Durability::sync;
  const bool is_written = log() != nullptr && !awaits_sync && log()->written() >= committed_log_;
  if (is_written && !awaits_others())
    answerable = std::max(answerable, here.committed.load(std::memory_order_relaxed));
  return hold_back(answerable);
}

// Above half of what may be unflushed, answers are delayed a little, and more the nearer the
// limit is: clients slow down before they are refused.
Position EngineLoop::hold_back(Position position) {
  const auto limit = static_cast<std::int64_t>(shared_.options.unflushed_max);
  const std::int64_t half = limit / 2;
  const std::int64_t above = shared_.on_disk() ? shared_.unflushed_bytes.load() - half : 0;
  if (above <= 0 && held_.empty()) return answered_ = position;
  const Time now = monotonic_now();
  if (position > answered_ && (held_.empty() || held_.back().position < position)) {
    const std::int64_t share = std::clamp<std::int64_t>(above, 0, half);
    const Duration delay{held_back_max.count() * share / std::max<std::int64_t>(half, 1)};
    held_.push_back({position, now + delay});
    shared_.throttled_milliseconds.fetch_add(static_cast<std::uint64_t>(delay.count()));
  }
  while (!held_.empty() && (held_.front().until <= now || above <= 0)) {
    answered_ = held_.front().position;
    held_.pop_front();
  }
  mine().held_back.store(!held_.empty());
  return answered_;
}

Position EngineLoop::collect_patiently() {
  const auto half = static_cast<std::int64_t>(shared_.options.unflushed_max) / 2;
  const bool keeps_up = !shared_.on_disk() || shared_.unflushed_bytes.load() <= half;
  const Time now = monotonic_now();
  if (keeps_up || now - answered_patiently_at_ >= patience_max) {
    answered_patiently_ = answered_;
    answered_patiently_at_ = now;
  } else if (answered_patiently_ < answered_) {
    mine().held_back.store(true);
  }
  return answered_patiently_;
}

bool EngineLoop::maintain(WallMilliseconds now, std::size_t records_max) {
  if (!shared_.health()) return false;
  // From where the last call stopped, all around, so that nobody waits for a busy neighbour.
  const std::vector<EngineCollection*>& all = known();
  const auto name_of = [](const EngineCollection* collection) -> const std::string& {
    return collection->ref().name;
  };
  const auto begin = std::ranges::upper_bound(all, maintained_, {}, name_of) - all.begin();
  bool more = false;
  const std::size_t share = std::max<std::size_t>(records_max / 4, 1);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (records_max == 0) return true;
    EngineCollection& collection = *all[(static_cast<std::size_t>(begin) + i) % all.size()];
    std::size_t budget = std::min(share, records_max);
    records_max -= budget;
    more = collection.maintain(now, budget, changes_) || more;
    records_max += budget;
    maintained_ = collection.ref().name;
  }
  // Behind all that makes room by itself.
  return defragmenter_.step(all, records_max) || more;
}

std::vector<DamagedKey> EngineLoop::take_damaged() {
  std::vector<DamagedKey> damaged;
  if (!shared_.damaged_news.exchange(false)) return damaged;
  for (const SharedCollection& collection : shared_.all()) {
    for (std::string& key : collection->damaged().take())
      damaged.push_back({collection->ref().name, std::move(key)});
  }
  return damaged;
}

Status EngineLoop::drain() {
  commit();
  if (log() != nullptr) {
    if (auto status = log()->sync_now(); !status) return status;
  }
  shared_.advance(loop_);
  return health();
}

}  // namespace dhrt
