// The two-byte names of origins in one collection, as several event loops use them.
//
// Intuition: names are given in order and never change, so whoever has a name reads its origin
// without a lock; only giving a new name takes one. The names in a collection's file are these.
//
// Bounds: 65535 names. Threads: any.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "storage/base/result.h"
#include "storage/entry.h"
#include "storage/record_codec.h"

namespace dhrt {

class EngineOrigins {
 public:
  explicit EngineOrigins(OriginTable names = {});
  EngineOrigins(const EngineOrigins&) = delete;
  EngineOrigins& operator=(const EngineOrigins&) = delete;
  ~EngineOrigins();

  // Null if the name was never given.
  const Origin* origin(OriginAlias alias) const {
    if (alias >= size_.load(std::memory_order_acquire)) return nullptr;
    return &slot(alias);
  }
  std::size_t size() const { return size_.load(std::memory_order_acquire); }
  // Gives the origin a name if it has none. Full when there are no more.
  Result<OriginAlias> alias(const Origin& origin);
  std::optional<OriginAlias> find(const Origin& origin) const;
  OriginTable names() const;

 private:
  // Block i has 8 * 2^i places, so that none ever moves.
  static constexpr std::size_t first_block = 8;
  static constexpr std::size_t blocks_max = 14;
  Origin& slot(std::size_t index) const;
  void publish(const Origin& origin);

  mutable std::mutex mutex_;  // Guards names_ and the making of blocks.
  OriginTable names_;
  std::atomic<std::size_t> size_{0};
  std::array<std::atomic<Origin*>, blocks_max> blocks_{};
};

}  // namespace dhrt
