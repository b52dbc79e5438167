// One libuv loop, and the handful of ways in which it calls us back.
//
// Units: milliseconds.   Errors: a loop that cannot be made is our end (no descriptors left at
// start): check. Threads: everything on the thread that runs the loop; Wakeup::send and
// Mailbox::post on any.
#pragma once

#include <array>
#include <functional>
#include <mutex>
#include <vector>

#include "node/uv_handle.h"
#include "storage/base/time.h"

namespace dhrt {

class EventLoop {
 public:
  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  // Every handle must have been dropped; waits until libuv has let go of them.
  ~EventLoop();

  uv_loop_t* raw() { return &loop_; }
  // Turns until stop().
  void run() { uv_run(&loop_, UV_RUN_DEFAULT); }
  void stop() { uv_stop(&loop_); }
  // Where every connection reads to; what is in it is taken before the next read.
  std::array<char, std::size_t{64} << 10>& read_buffer() { return read_buffer_; }

 private:
  uv_loop_t loop_{};
  std::array<char, std::size_t{64} << 10> read_buffer_{};
};

class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> fire);
  void every(Duration interval);
  void once(Duration delay);
  void cancel();
  bool active() const;

 private:
  std::function<void()> fire_;
  UvHandle<uv_timer_t> handle_;
};

// Runs a function on the loop after send() was called on any thread; many sends, one run.
class Wakeup {
 public:
  Wakeup(EventLoop& loop, std::function<void()> fire);
  void send();

 private:
  std::function<void()> fire_;
  UvHandle<uv_async_t> handle_;
};

// Runs functions on the loop, in the order in which they were posted on any thread. What is
// posted when the loop turns no more is forgotten with the mailbox.
class Mailbox {
 public:
  explicit Mailbox(EventLoop& loop);
  void post(std::function<void()> letter);

 private:
  void deliver();

  std::mutex mutex_;
  std::vector<std::function<void()>> letters_;
  Wakeup wakeup_;
};

// Called once per turn, just before the loop waits for what comes next.
class TurnEnd {
 public:
  TurnEnd(EventLoop& loop, std::function<void()> fire);

 private:
  std::function<void()> fire_;
  UvHandle<uv_prepare_t> handle_;
};

// While on: called once per turn, and the loop does not wait.
class Busy {
 public:
  Busy(EventLoop& loop, std::function<void()> fire);
  void turn_on();
  void turn_off();

 private:
  std::function<void()> fire_;
  UvHandle<uv_idle_t> handle_;
};

}  // namespace dhrt
