#include "node/event_loop.h"

#include <utility>

#include "storage/base/check.h"

namespace dhrt {

namespace {

template <typename Owner, typename Handle>
Owner* owner_of(Handle* handle) {
  return static_cast<Owner*>(handle->data);
}

}  // namespace

EventLoop::EventLoop() {
  check(uv_loop_init(&loop_) == 0, "an event loop can be made");
}

EventLoop::~EventLoop() {
  uv_run(&loop_, UV_RUN_DEFAULT);  // Close callbacks.
  check(uv_loop_close(&loop_) == 0, "every handle of the loop was dropped");
}

Timer::Timer(EventLoop& loop, std::function<void()> fire)
    : fire_(std::move(fire)), handle_(make_uv_handle<uv_timer_t>(this, [&](uv_timer_t* timer) {
        uv_timer_init(loop.raw(), timer);
      })) {}

void Timer::every(Duration interval) {
  const auto period = static_cast<std::uint64_t>(interval.count());
  uv_timer_start(
      handle_.get(), [](uv_timer_t* timer) { owner_of<Timer>(timer)->fire_(); }, period, period);
}

void Timer::once(Duration delay) {
  uv_timer_start(
      handle_.get(), [](uv_timer_t* timer) { owner_of<Timer>(timer)->fire_(); },
      static_cast<std::uint64_t>(delay.count()), 0);
}

void Timer::cancel() {
  uv_timer_stop(handle_.get());
}

bool Timer::active() const {
  return uv_is_active(reinterpret_cast<const uv_handle_t*>(handle_.get())) != 0;
}

Wakeup::Wakeup(EventLoop& loop, std::function<void()> fire)
    : fire_(std::move(fire)), handle_(make_uv_handle<uv_async_t>(this, [&](uv_async_t* async) {
        uv_async_init(loop.raw(), async, [](uv_async_t* sent) { owner_of<Wakeup>(sent)->fire_(); });
      })) {}

void Wakeup::send() {
  uv_async_send(handle_.get());
}

Mailbox::Mailbox(EventLoop& loop) : wakeup_(loop, [this] { deliver(); }) {}

void Mailbox::post(std::function<void()> letter) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    first = letters_.empty();
    letters_.push_back(std::move(letter));
  }
  if (first) wakeup_.send();
}

void Mailbox::deliver() {
  std::vector<std::function<void()>> letters;
  {
    const std::lock_guard lock(mutex_);
    letters.swap(letters_);
  }
  for (const auto& letter : letters)
    letter();
}

TurnEnd::TurnEnd(EventLoop& loop, std::function<void()> fire)
    : fire_(std::move(fire)), handle_(make_uv_handle<uv_prepare_t>(this, [&](uv_prepare_t* hook) {
        uv_prepare_init(loop.raw(), hook);
        uv_prepare_start(hook, [](uv_prepare_t* ended) { owner_of<TurnEnd>(ended)->fire_(); });
      })) {}

Busy::Busy(EventLoop& loop, std::function<void()> fire)
    : fire_(std::move(fire)), handle_(make_uv_handle<uv_idle_t>(this, [&](uv_idle_t* idle) {
        uv_idle_init(loop.raw(), idle);
      })) {}

void Busy::turn_on() {
  uv_idle_start(handle_.get(), [](uv_idle_t* idle) { owner_of<Busy>(idle)->fire_(); });
}

void Busy::turn_off() {
  uv_idle_stop(handle_.get());
}

}  // namespace dhrt
