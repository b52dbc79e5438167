#include "node/redis_cursors.h"

#include <utility>

namespace dhrt {

std::uint64_t RedisCursors::give(Place place) {
  const std::lock_guard lock(mutex_);
  places_.emplace_hint(places_.end(), ++last_, std::move(place));
  if (places_.size() > cursors_max) places_.erase(places_.begin());
  return last_;
}

std::optional<RedisCursors::Place> RedisCursors::find(std::uint64_t cursor) const {
  const std::lock_guard lock(mutex_);
  const auto found = places_.find(cursor);
  if (found == places_.end()) return std::nullopt;
  return found->second;
}

}  // namespace dhrt
