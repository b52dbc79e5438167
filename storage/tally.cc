#include "storage/tally.h"

#include <algorithm>

namespace dhrt {

namespace {

// Counters are for display; one that is off must not wrap around to 2^64.
void subtract(std::uint64_t& from, std::uint64_t number) {
  from -= std::min(from, number);
}

}  // namespace

void Tally::replace(const std::optional<Item>& old, const Item& item, const Context& seen) {
  if (old) remove(*old);
  add(item, seen);
}

void Tally::add(const Item& item, const Context& seen) {
  if (item.deleted) {
    ++counts_.tombstones;
    return;
  }
  ++counts_.live;
  counts_.bytes += item.bytes;
  OfOrigin& origin = origins_[item.dot.origin];
  const std::uint64_t sequence = item.dot.sequence;
  origin.first = origin.live == 0 ? sequence : std::min(origin.first, sequence);
  origin.last = origin.live == 0 ? sequence : std::max(origin.last, sequence);
  ++origin.live;
  origin.bytes += item.bytes;
  origin.unseen = origin.unseen || !seen.contains(item.dot);
}

void Tally::remove(const Item& item) {
  if (item.deleted || written_off_.contains(item.dot)) {
    subtract(counts_.tombstones, 1);
    return;
  }
  subtract(counts_.live, 1);
  subtract(counts_.bytes, item.bytes);
  const auto origin = origins_.find(item.dot.origin);
  if (origin == origins_.end()) return;
  subtract(origin->second.live, 1);
  subtract(origin->second.bytes, item.bytes);
  if (origin->second.live == 0) origins_.erase(origin);
}

void Tally::flush(const Context& flushed, const Context& seen) {
  for (auto it = origins_.begin(); it != origins_.end();) {
    const auto& [origin, live] = *it;
    const IntervalSet* dead = flushed.find(origin);
    const IntervalSet* known = seen.find(origin);
    const bool covered =
        dead != nullptr && (dead->next_absent(live.first) > live.last ||
                            (!live.unseen && known != nullptr && dead->contains(*known)));
    if (!covered) {
      ++it;
      continue;
    }
    subtract(counts_.live, live.live);
    subtract(counts_.bytes, live.bytes);
    counts_.tombstones += live.live;
    for (const Interval& interval : dead->intervals())
      written_off_.add(origin, interval);
    it = origins_.erase(it);
  }
}

}  // namespace dhrt
