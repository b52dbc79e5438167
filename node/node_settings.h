// What may be changed while the node runs; where it begins is in NodeOptions.
//
// Threads: any.
#pragma once

#include <atomic>
#include <cstdint>

#include "node/options.h"

namespace dhrt {

struct NodeSettings {
  explicit NodeSettings(const NodeOptions& options)
      : max_clients(options.max_clients), timeout_milliseconds(options.timeout.count()) {}

  std::atomic<std::uint64_t> max_clients;          // Never above what the node made room for.
  std::atomic<std::int64_t> timeout_milliseconds;  // Of an idle client; 0: never.
};

}  // namespace dhrt
