#include "storage/damaged_keys.h"

#include <utility>

namespace dhrt {

bool DamagedKeys::note(Bytes key) {
  const std::lock_guard lock(mutex_);
  if (keys_.size() >= keys_max || keys_.contains(key)) return false;
  keys_.emplace(std::string(key), false);
  size_.store(keys_.size(), std::memory_order_relaxed);
  return true;
}

bool DamagedKeys::resolve(Bytes key) {
  const std::lock_guard lock(mutex_);
  const auto found = keys_.find(key);
  if (found == keys_.end()) return false;
  keys_.erase(found);
  size_.store(keys_.size(), std::memory_order_relaxed);
  return true;
}

std::vector<std::string> DamagedKeys::take() {
  std::vector<std::string> taken;
  const std::lock_guard lock(mutex_);
  for (auto& [key, was_taken] : keys_) {
    if (!std::exchange(was_taken, true)) taken.push_back(key);
  }
  return taken;
}

}  // namespace dhrt
