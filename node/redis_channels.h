// Who listens to which channels, on all event loops of a node.
//
// Intuition: what is said on a channel is told at once to whoever listens to it by its name, then
// by a pattern, and to every other node; nobody keeps it. Names and listeners are in one place for
// all loops; what a listener is sent is written by its own loop.
//
// Threads: any.
#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "node/session.h"
#include "storage/base/bytes.h"

namespace dhrt {

class RedisChannels {
 public:
  enum class Kind : std::uint8_t { channel, pattern };
  struct Listener {
    unsigned loop = 0;
    SessionId session = 0;

    auto operator<=>(const Listener&) const = default;
  };
  void add(Kind kind, Bytes name, Listener listener);
  void remove(Kind kind, Bytes name, Listener listener);

  // Somebody who is to be told: of the channel itself, or because of a pattern.
  struct Delivery {
    SessionId session = 0;
    Kind kind = Kind::channel;
    std::string pattern{};
  };
  using ByLoop = std::map<unsigned, std::vector<Delivery>>;
  ByLoop listeners(Bytes channel) const;

  // Channels that somebody listens to by their name, and that match.
  std::vector<std::string> channels(Bytes pattern) const;
  std::size_t listeners_by_name(Bytes channel) const;
  std::size_t patterns() const;  // Different ones.

 private:
  using Names = std::map<std::string, std::set<Listener>, std::less<>>;
  Names& names(Kind kind) { return kind == Kind::channel ? channels_ : patterns_; }

  std::atomic<std::size_t> entries_{0};  // So that nobody is waited for when nobody listens.
  mutable std::mutex mutex_;
  Names channels_;
  Names patterns_;
};

}  // namespace dhrt
