#include "node/redis_channels.h"

#include "protocol/glob.h"

namespace dhrt {

void RedisChannels::add(Kind kind, Bytes name, Listener listener) {
  const std::lock_guard lock(mutex_);
  if (names(kind)[std::string(name)].insert(listener).second) ++entries_;
}

void RedisChannels::remove(Kind kind, Bytes name, Listener listener) {
  const std::lock_guard lock(mutex_);
  const auto found = names(kind).find(name);
  if (found == names(kind).end() || found->second.erase(listener) == 0) return;
  --entries_;
  if (found->second.empty()) names(kind).erase(found);
}

RedisChannels::ByLoop RedisChannels::listeners(Bytes channel) const {
  ByLoop by_loop;
  if (entries_.load() == 0) return by_loop;
  const std::lock_guard lock(mutex_);
  if (const auto found = channels_.find(channel); found != channels_.end()) {
    for (const Listener& listener : found->second)
      by_loop[listener.loop].push_back({.session = listener.session, .kind = Kind::channel});
  }
  for (const auto& [pattern, listeners] : patterns_) {
    if (!glob_matches(pattern, channel)) continue;
    for (const Listener& listener : listeners)
      by_loop[listener.loop].push_back(
          {.session = listener.session, .kind = Kind::pattern, .pattern = pattern});
  }
  return by_loop;
}

std::vector<std::string> RedisChannels::channels(Bytes pattern) const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> matching;
  for (const auto& [channel, listeners] : channels_) {
    if (glob_matches(pattern, channel)) matching.push_back(channel);
  }
  return matching;
}

std::size_t RedisChannels::listeners_by_name(Bytes channel) const {
  const std::lock_guard lock(mutex_);
  const auto found = channels_.find(channel);
  return found == channels_.end() ? 0 : found->second.size();
}

std::size_t RedisChannels::patterns() const {
  const std::lock_guard lock(mutex_);
  return patterns_.size();
}

}  // namespace dhrt
