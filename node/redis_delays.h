// What is done for clients of an event loop after a while: replies that come late on purpose, and
// the end of a wait. A client waits for one thing at a time.
//
// Threads: loop thread only. `then` and `ended` may add and cancel.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "node/event_loop.h"
#include "node/session.h"

namespace dhrt {

class RedisDelays {
 public:
  explicit RedisDelays(EventLoop& loop) : timer_(loop, [this] { fire(); }) {}

  struct Delay {
    std::optional<Time> due;        // Absent: it waits for something else, for ever.
    std::function<void()> then{};   // It is due.
    std::function<void()> ended{};  // The session ended before that.
  };
  void add(SessionId session, Delay delay);
  // It is over; nothing is called. False: there was none.
  bool cancel(SessionId session);
  void session_ended(SessionId session);

 private:
  std::optional<Delay> take(SessionId session);
  void fire();
  void set_timer();

  std::map<SessionId, Delay> delays_;
  std::set<std::pair<Time, SessionId>> due_;
  Timer timer_;
};

}  // namespace dhrt
