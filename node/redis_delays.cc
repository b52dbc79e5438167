#include "node/redis_delays.h"

#include <algorithm>

#include "storage/base/system_clock.h"

namespace dhrt {

void RedisDelays::add(SessionId session, Delay delay) {
  cancel(session);
  if (delay.due) due_.emplace(*delay.due, session);
  delays_[session] = std::move(delay);
  set_timer();
}

std::optional<RedisDelays::Delay> RedisDelays::take(SessionId session) {
  const auto found = delays_.find(session);
  if (found == delays_.end()) return std::nullopt;
  Delay delay = std::move(found->second);
  delays_.erase(found);
  if (delay.due) due_.erase({*delay.due, session});
  return delay;
}

bool RedisDelays::cancel(SessionId session) {
  return take(session).has_value();
}

void RedisDelays::session_ended(SessionId session) {
  const auto delay = take(session);
  if (delay && delay->ended) delay->ended();
}

void RedisDelays::fire() {
  while (!due_.empty() && due_.begin()->first <= monotonic_now()) {
    const auto delay = take(due_.begin()->second);
    if (delay && delay->then) delay->then();
  }
  set_timer();
}

void RedisDelays::set_timer() {
  if (due_.empty()) return timer_.cancel();
  timer_.once(std::max(due_.begin()->first - monotonic_now(), Duration{1}));
}

}  // namespace dhrt
