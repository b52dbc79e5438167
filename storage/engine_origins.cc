#include "storage/engine_origins.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace dhrt {

namespace {

// Few origins write to a collection; looking at so many is quicker than a lock.
constexpr std::size_t looked_at = 8;

}  // namespace

EngineOrigins::EngineOrigins(OriginTable names) : names_(std::move(names)) {
  for (std::size_t i = 0; i < names_.size(); ++i)
    publish(*names_.origin(static_cast<OriginAlias>(i)));
}

EngineOrigins::~EngineOrigins() {
  for (const auto& block : blocks_)
    delete[] block.load();
}

Origin& EngineOrigins::slot(std::size_t index) const {
  const auto block = static_cast<std::size_t>(std::bit_width(index / first_block + 1) - 1);
  const std::size_t begin = first_block * ((std::size_t{1} << block) - 1);
  return blocks_[block].load(std::memory_order_acquire)[index - begin];
}

void EngineOrigins::publish(const Origin& origin) {
  const std::size_t index = size_.load(std::memory_order_relaxed);
  const auto block = static_cast<std::size_t>(std::bit_width(index / first_block + 1) - 1);
  if (blocks_[block].load(std::memory_order_relaxed) == nullptr)
    blocks_[block].store(new Origin[first_block << block], std::memory_order_release);
  slot(index) = origin;
  size_.store(index + 1, std::memory_order_release);
}

std::optional<OriginAlias> EngineOrigins::find(const Origin& origin) const {
  const std::size_t known = size();
  for (std::size_t i = 0; i < std::min(known, looked_at); ++i) {
    if (slot(i) == origin) return static_cast<OriginAlias>(i);
  }
  if (known <= looked_at) return std::nullopt;
  const std::lock_guard lock(mutex_);
  return names_.find(origin);
}

Result<OriginAlias> EngineOrigins::alias(const Origin& origin) {
  if (const auto known = find(origin)) return *known;
  const std::lock_guard lock(mutex_);
  const std::size_t before = names_.size();
  const auto alias = names_.alias(origin);
  if (alias && names_.size() > before) publish(origin);
  return alias;
}

OriginTable EngineOrigins::names() const {
  const std::lock_guard lock(mutex_);
  return names_;
}

}  // namespace dhrt
