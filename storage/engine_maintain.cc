// What becomes a tombstone without being deleted: flushed records, and those past their deadline.
#include <algorithm>
#include <limits>
#include <utility>

#include "storage/counter.h"
#include "storage/dot_order.h"
#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr WallMilliseconds no_deadline = std::numeric_limits<WallMilliseconds>::max();
// How many records one hold of a stripe's lock may bury.
constexpr std::size_t buried_at_once = 32;

class AllStripes {
 public:
  explicit AllStripes(Stripes& stripes) : stripes_(stripes) {
    for (std::size_t i = 0; i < stripe_count; ++i)
      stripes_[i].lock.lock();
  }
  AllStripes(const AllStripes&) = delete;
  AllStripes& operator=(const AllStripes&) = delete;
  ~AllStripes() {
    for (std::size_t i = 0; i < stripe_count; ++i)
      stripes_[i].lock.unlock();
  }

 private:
  Stripes& stripes_;
};

bool covers(const IntervalSet& dead, const EngineTally::OfOrigin& live) {
  return live.last == 0 || dead.next_absent(live.first) > live.last;
}

}  // namespace

bool EngineCollection::flush(const Context& flushed) {
  Context dead = contexts_.flushed();
  dead.merge(flushed);
  const bool file_dies = file_is_within(dead);
  const AllStripes lock(shared_.stripes);
  if (!contexts_.flush_with_stripes_locked(flushed)) return false;
  write_off_flushed(file_dies);
  mark_stale();
  return true;
}

// Whether the file holds nothing but records of these dots.
bool EngineCollection::file_is_within(const Context& dead) {
  bool failed = false;
  std::string key;
  const SeekDot seek = [&](const Dot& at) { return next_indexed(at, false, key, failed); };
  return !first_not_in(dead, Dot{}, seek) && !failed;
}

// Writes off every origin of which the flushed context surely covers all live records. The others
// are put right one by one, by the sweep. What a start found in the file is one heap of all
// origins that were in it then; `file_dies` says that all of the file is flushed.
void EngineCollection::write_off_flushed(bool file_dies) {
  const Context& dead = contexts_.flushed_in_stripe();
  std::vector<EngineTally::OfOrigin> live(origins_.size());
  for (const auto& part : parts_) {
    if (part == nullptr) continue;
    for (std::size_t alias = 0; alias < part->tally.origins().size(); ++alias)
      live[alias].merge(part->tally.origins()[alias]);
  }
  bool heap_dies = file_dies;
  std::vector<OriginAlias> covered;
  for (std::size_t i = 0; i < live.size(); ++i) {
    const auto alias = static_cast<OriginAlias>(i);
    const Origin& origin = *origins_.origin(alias);
    const IntervalSet* of_origin = dead.find(origin);
    const bool dies = of_origin != nullptr && covers(*of_origin, live[i]);
    if (dies) {
      covered.push_back(alias);
    } else if (i < origins_in_file_) {
      heap_dies = false;
    }
  }
  for (const OriginAlias alias : covered) {
    const Origin& origin = *origins_.origin(alias);
    if (!heap_dies && alias < origins_in_file_) continue;
    for (const auto& part : parts_) {
      if (part != nullptr) part->tally.write_off(alias);
    }
    for (const Interval& interval : dead.find(origin)->intervals())
      written_off_.add(origin, interval);
  }
  if (!heap_dies) return;
  of_file_ = {.live = 0, .tombstones = of_file_.tombstones + of_file_.live, .bytes = 0};
  // Live records of these origins, in the file or not, are flushed, one and all.
  for (std::size_t i = 0; i < origins_in_file_; ++i) {
    const Origin& origin = *origins_.origin(static_cast<OriginAlias>(i));
    if (const IntervalSet* set = dead.find(origin)) {
      for (const Interval& interval : set->intervals())
        written_off_.add(origin, interval);
    }
  }
  origins_in_file_ = 0;
}

bool EngineCollection::maintain(WallMilliseconds now, std::size_t& budget, ByteChanges& changes) {
  bool more = false;
  if (next_deadline_.load(std::memory_order_relaxed) <= now)
    more = expire_in_memory(now, budget, changes);
  if (budget > 0 && file() != nullptr) more = expire_in_file(now, budget, changes) || more;
  if (budget > 0 && contexts_.sweep_due()) more = sweep(budget, changes) || more;
  if (budget > 0 && forgets_.load()) more = forget_in_memory(budget, changes) || more;
  // Who used all of it may not have come to everything.
  return more || budget == 0;
}

// In stripe. The write stays the same, so nothing is logged: a start would find it due again.
void EngineCollection::bury(const HashedKey& key, Entry& entry, ByteChanges& changes) {
  const AliasDot dot = entry.dot();
  const RecordView view = entry.view(*origins_.origin(dot.origin));
  const bool is_flushed = contexts_.is_flushed_in_stripe(view.dot);
  const RecordView tombstone = is_flushed ? tombstone_of(view) : expired_of(view);
  const std::uint8_t state = entry.is(Entry::unseen) ? Entry::unseen : 0;
  put(key, tombstone, dot.origin, state, {}, changes);
  mark_stale();
  if (memory_) forgets_.store(true);
}

bool EngineCollection::expire_in_memory(WallMilliseconds now, std::size_t& budget,
                                        ByteChanges& changes) {
  // The least of what is seen from here on; a write meanwhile can only lower it.
  next_deadline_.store(no_deadline);
  std::vector<Entry*> due;
  for (std::size_t looked = 0; looked < stripe_count;) {
    const std::size_t stripe = expiry_stripe_;
    const std::lock_guard lock(shared_.stripes[stripe].lock);
    if (parts_[stripe] != nullptr) {
      due.clear();
      parts_[stripe]->deadlines.take_due(now, std::min(budget, buried_at_once), due);
      for (Entry* entry : due) {
        const HashedKey key(entry->key());
        if (shared_.options.expired) shared_.options.expired(ref().name, key.bytes);
        bury(key, *entry, changes);
      }
      budget -= due.size();
      shared_.expired.fetch_add(due.size(), std::memory_order_relaxed);
      const WallMilliseconds next = parts_[stripe]->deadlines.next();
      note_deadline(next);
      const bool more_here = next != 0 && next <= now;
      if (more_here && budget == 0) {
        // The stripes behind were not looked at: what they have may be due as well.
        note_deadline(now);
        return true;
      }
      if (more_here) continue;
    }
    expiry_stripe_ = (stripe + 1) % stripe_count;
    ++looked;
  }
  return false;
}

bool EngineCollection::expire_in_file(WallMilliseconds now, std::size_t& budget,
                                      ByteChanges& changes) {
  // A checkpoint may have brought deadlines before the cursor.
  const std::uint64_t written = files_written_.load(std::memory_order_acquire);
  if (std::exchange(expiry_seen_files_, written) != written) {
    expiry_cursor_.clear();
    next_deadline_in_file_ = 0;
  }
  // A look costs a transaction, and most collections have nothing to find.
  if (now < next_deadline_in_file_) return false;
  std::vector<std::string> keys;
  const std::size_t keys_max = std::min<std::size_t>(budget, 256);
  const auto next = file()->next_expired(file_reader(), now, expiry_cursor_, [&](Bytes key) {
    keys.emplace_back(key);
    return keys.size() < keys_max;
  });
  // Work that may wait: what cannot be read today is tried again tomorrow.
  if (!next) return false;
  next_deadline_in_file_ = next->value_or(0);
  for (const std::string& bytes : keys) {
    --budget;
    const HashedKey key(bytes);
    std::unique_lock<std::mutex> lock;
    const auto held = lock_held(key, lock);
    if (!held || *held == nullptr) continue;
    Entry& entry = **held;
    if (entry.deleted() || entry.deadline() == 0 || entry.deadline() > now) continue;
    if (shared_.options.expired) shared_.options.expired(ref().name, key.bytes);
    bury(key, entry, changes);
    shared_.expired.fetch_add(1, std::memory_order_relaxed);
  }
  return keys.size() == keys_max;
}

bool EngineCollection::sweep(std::size_t& budget, ByteChanges& changes) {
  const Context swept = contexts_.swept();
  if (Context target = contexts_.flushed(); target != sweep_target_) {
    sweep_target_ = std::move(target);
    sweep_from_ = {};
  }
  std::string bytes;
  bool failed = false;
  const SeekDot seek = [&](const Dot& at) { return next_indexed(at, true, bytes, failed); };
  while (budget > 0) {
    const auto dot = first_between(sweep_target_, swept, sweep_from_, seek);
    if (failed) return false;
    if (!dot) {
      end_sweep();
      return contexts_.sweep_pending();
    }
    --budget;
    sweep_from_ = {dot->origin, dot->sequence + 1};
    const HashedKey key(bytes);
    std::unique_lock<std::mutex> lock;
    const auto held = lock_held(key, lock);
    if (!held || *held == nullptr) continue;
    Entry& entry = **held;
    if (entry.deleted() || *origins_.origin(entry.dot().origin) != dot->origin ||
        entry.dot().sequence != dot->sequence)
      continue;
    bury(key, entry, changes);
  }
  return true;
}

void EngineCollection::end_sweep() {
  const AllStripes lock(shared_.stripes);
  if (contexts_.sweep_with_stripes_locked(sweep_target_) && !dots_are_shared_.load())
    written_off_ = {};
  mark_stale();
}

// Goes through what is in memory and what is in the file, in the order of dots.
std::optional<Dot> EngineCollection::next_indexed(const Dot& from, bool in_memory, std::string& key,
                                                  bool& failed) {
  std::vector<Origin> origins;
  for (std::size_t i = 0; i < origins_.size(); ++i) {
    const Origin& origin = *origins_.origin(static_cast<OriginAlias>(i));
    if (origin >= from.origin) origins.push_back(origin);
  }
  std::ranges::sort(origins);
  for (const Origin& origin : origins) {
    const OriginAlias alias = *origins_.find(origin);
    const std::uint64_t first = origin == from.origin ? from.sequence : 0;
    std::uint64_t found = 0;
    // Memory first: what leaves it meanwhile is in the file.
    if (in_memory) {
      index_.seek(alias, first, [&](Entry& entry) {
        found = entry.dot().sequence;
        key = std::string(entry.key());
      });
    }
    if (CollectionFile* in_file = file()) {
      const Status status =
          in_file->walk(file_reader(), {alias, first}, [&](AliasDot dot, Bytes at, Bytes) {
            if (found == 0 || dot.sequence < found) {
              found = dot.sequence;
              key = std::string(at);
            }
            return false;
          });
      if (!status) {
        failed = true;
        return std::nullopt;
      }
    }
    if (found != 0) return Dot{origin, found};
  }
  return std::nullopt;
}

}  // namespace dhrt
