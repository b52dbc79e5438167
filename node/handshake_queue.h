// Who shakes hands next: a step of a TLS handshake costs a signature, and those of many clients
// that come at once would hold up everybody else of the event loop. So many are done per turn;
// further ones wait, in the order in which they came, those that are under way first.
//
// Bounds: one entry, and what was read at once (64 KiB), for each connection. Threads: the loop's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>

#include "node/event_loop.h"

namespace dhrt {

class HandshakeQueue {
 public:
  static constexpr std::size_t steps_per_turn_max = 8;
  using Ticket = std::uint64_t;  // Above 0.

  explicit HandshakeQueue(EventLoop& loop) : busy_(loop, [this] { turn(); }) {}

  // Whether a step may be done now, which is counted then. Otherwise wait().
  bool admits();
  // Calls `step`, once, in a later turn. It may be forgotten until then. Who has had a step already
  // goes before newcomers: what was spent on it is lost if it comes too late.
  enum class Who { newcomer, under_way };
  Ticket wait(Who who, std::function<void()> step);
  void forget(Ticket ticket) { waiting_.erase(ticket); }

 private:
  void turn();

  std::map<Ticket, std::function<void()>> waiting_;
  Ticket last_ = 0;
  std::size_t done_ = 0;  // In this turn.
  Busy busy_;             // Since the first step of a turn, until nobody waits.
};

}  // namespace dhrt
