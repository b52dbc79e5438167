#include "storage/hot_keys.h"

#include <algorithm>
#include <utility>

#include "storage/base/random.h"

namespace dhrt {

void HotKeys::count(Bytes key) {
  if (key.size() > key_bytes_max) return;
  const std::scoped_lock lock(mutex_);
  const auto [counter, is_new] = counts_.try_emplace(std::string(key));
  ++counter->second;
  if (!is_new || counts_.size() <= counters_max) return;
  for (auto& [each, count] : counts_)
    count /= 2;
  std::erase_if(counts_, [](const auto& entry) { return entry.second == 0; });
}

std::uint32_t HotKeys::next_gap() const {
  static thread_local Random random(1);
  return static_cast<std::uint32_t>(random.below(2 * std::uint64_t{reads_per_sample_} - 1));
}

std::vector<std::string> HotKeys::hottest(std::size_t keys_max) const {
  if (keys_max == 0) return {};  // As for most slices that a peer asks for.
  std::vector<std::pair<std::uint32_t, std::string>> counted;
  {
    const std::scoped_lock lock(mutex_);
    for (const auto& [key, count] : counts_)
      if (count > 1) counted.emplace_back(count, key);
  }
  std::ranges::sort(counted, [](const auto& left, const auto& right) {
    return left.first != right.first ? left.first > right.first : left.second < right.second;
  });
  std::vector<std::string> keys;
  for (auto& [count, key] : counted) {
    if (keys.size() == keys_max) break;
    keys.push_back(std::move(key));
  }
  return keys;
}

}  // namespace dhrt
