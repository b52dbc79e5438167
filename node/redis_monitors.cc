#include "node/redis_monitors.h"

#include <map>
#include <vector>

namespace dhrt {

void RedisMonitors::tell(const EveryLoop& loops, std::string line) const {
  std::map<unsigned, std::vector<SessionId>> by_loop;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [loop, session] : monitors_)
      by_loop[loop].push_back(session);
  }
  const auto shared = std::make_shared<const std::string>(std::move(line));
  for (auto& [loop, sessions] : by_loop) {
    loops.post(loop, [shared, sessions = std::move(sessions)](ClientRoll& roll) {
      for (const SessionId id : sessions) {
        if (Session* monitor = roll.find_client(id)) monitor->push(*shared);
      }
    });
  }
}

}  // namespace dhrt
