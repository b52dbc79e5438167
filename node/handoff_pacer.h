// Lets peers that join have one slice after the other, with the pauses that HandoffPace says.
//
// A request that waits here is to the core as one that is still under way. It waits for held_max
// pauses at most, 640 ms; who asked bears ten seconds of silence (pull_timeout).
// Bounds: held_max requests. Threads: loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>

#include "cluster/actions.h"
#include "node/event_loop.h"
#include "node/figures.h"
#include "node/handoff_pace.h"

namespace dhrt {

class HandoffPacer {
 public:
  // More than our own nodes ask for at once; those beyond are passed on, and the core refuses them.
  static constexpr std::size_t held_max = 64;
  // After so long without a request nobody joins, and the loop is not woken for it.
  static constexpr Duration idle_after{1000};

  struct Hooks {
    std::function<void(MessageIn)> pass;
    // Requests of clients that the node has served since it started.
    std::function<std::uint64_t()> requests;
  };
  HandoffPacer(EventLoop& loop, NodeFigures& figures, Duration delay_max, Hooks hooks);

  // Passes the request for a slice on, now or when its time has come.
  void take(MessageIn request);
  // Its connection is no more.
  void drop(ConnectionId connection);

 private:
  void look();
  void pass_due();
  void pass(MessageIn request, Time now);

  NodeFigures& figures_;
  Hooks hooks_;
  HandoffPace pace_;
  struct Held {
    MessageIn request;
    Time since;
  };
  std::deque<Held> held_;
  Time next_{};  // The earliest that a slice may be read.
  std::optional<Time> looked_;
  Time asked_{};  // When a request came last.
  Timer look_;
  Timer due_;
};

}  // namespace dhrt
