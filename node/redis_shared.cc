#include "node/redis_shared.h"

namespace dhrt {

void RedisShared::reset_figures(const NodeReport::Figures& now) {
  figures.reset();
  const std::lock_guard lock(mutex_);
  before_ = now;
}

NodeReport::Figures RedisShared::since_reset(NodeReport::Figures now) const {
  const std::lock_guard lock(mutex_);
  for (const auto counter :
       {&NodeReport::Figures::connections_total, &NodeReport::Figures::connections_refused,
        &NodeReport::Figures::commands_total, &NodeReport::Figures::errors_total,
        &NodeReport::Figures::expired, &NodeReport::Figures::evictions,
        &NodeReport::Figures::slow_clients, &NodeReport::Figures::cache_hits,
        &NodeReport::Figures::cache_misses, &NodeReport::Figures::bytes_to_peers,
        &NodeReport::Figures::bytes_from_peers})
    now.*counter -= before_.*counter;
  return now;
}

}  // namespace dhrt
