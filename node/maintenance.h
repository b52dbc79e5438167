// Work of the store that may wait, done a little at a time between the turns that serve clients:
// records past their deadline, values of flushed records.
//
// Intuition: every 100 ms somebody looks whether there is something to do. If there is, a slice of
// about a millisecond is done, and as long as there is more, one in each turn of the loop, whose
// clients are served between two of them. A store that takes much longer for its smallest step
// than a slice has is left alone for as long as that took: at most half of the loop's time is
// spent here, also then.
//
// Threads: loop thread only.
#pragma once

#include <chrono>
#include <functional>

#include "node/event_loop.h"

namespace dhrt {

class Maintenance {
 public:
  struct Hooks {
    // Does a small step; true: there is more to do at once.
    std::function<bool()> step;
    std::function<std::chrono::microseconds()> now;
  };
  Maintenance(EventLoop& loop, Hooks hooks);

  void start();
  // No step is done any more.
  void stop();

 private:
  void slice();

  Hooks hooks_;
  bool stopped_ = true;
  Timer timer_;
  Busy busy_;
};

}  // namespace dhrt
