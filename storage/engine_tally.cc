#include "storage/engine_tally.h"

#include <algorithm>

namespace dhrt {

void EngineTally::OfOrigin::merge(const OfOrigin& other) {
  live += other.live;
  bytes += other.bytes;
  if (other.last == 0) return;
  first = last == 0 ? other.first : std::min(first, other.first);
  last = std::max(last, other.last);
}

EngineTally::OfOrigin& EngineTally::of(OriginAlias origin) {
  if (origin >= origins_.size()) origins_.resize(std::size_t{origin} + 1);
  return origins_[origin];
}

void EngineTally::add(const Item& item) {
  if (item.deleted) {
    ++counts_.tombstones;
    return;
  }
  ++counts_.live;
  counts_.bytes += static_cast<std::int64_t>(item.bytes);
  of(item.dot.origin)
      .merge({.live = 1,
              .bytes = static_cast<std::int64_t>(item.bytes),
              .first = item.dot.sequence,
              .last = item.dot.sequence});
}

void EngineTally::remove(const Item& item) {
  if (item.deleted) {
    --counts_.tombstones;
    return;
  }
  --counts_.live;
  counts_.bytes -= static_cast<std::int64_t>(item.bytes);
  OfOrigin& origin = of(item.dot.origin);
  --origin.live;
  origin.bytes -= static_cast<std::int64_t>(item.bytes);
}

void EngineTally::write_off(OriginAlias origin) {
  if (origin >= origins_.size()) return;
  OfOrigin& dead = origins_[origin];
  counts_.live -= dead.live;
  counts_.bytes -= dead.bytes;
  counts_.tombstones += dead.live;
  dead = {};
}

}  // namespace dhrt
