#include "node/handoff_pacer.h"

#include <algorithm>
#include <utility>

#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

// Timers, and what they are measured with, know milliseconds: so much later may be no delay.
constexpr Duration granularity{1};

}  // namespace

HandoffPacer::HandoffPacer(EventLoop& loop, NodeFigures& figures, Duration delay_max, Hooks hooks)
    : figures_(figures),
      hooks_(std::move(hooks)),
      pace_(delay_max),
      look_(loop, [this] { look(); }),
      due_(loop, [this] { pass_due(); }) {}

void HandoffPacer::take(MessageIn request) {
  const Time now = monotonic_now();
  asked_ = now;
  if (!look_.active()) {
    pace_.begin(hooks_.requests());
    looked_ = now;
    look_.every(HandoffPace::look_interval);
  }
  const bool waits = !held_.empty() || now < next_;
  if (!waits || held_.size() >= held_max) return pass(std::move(request), now);
  held_.push_back({std::move(request), now});
  if (!due_.active()) due_.once(next_ - now);
}

void HandoffPacer::pass(MessageIn request, Time now) {
  // Slices are read where they are asked for: when this returns, it is.
  hooks_.pass(std::move(request));
  next_ = std::max(monotonic_now(), now) + pace_.pause();
}

void HandoffPacer::pass_due() {
  const Time now = monotonic_now();
  if (!held_.empty() && now >= next_) {
    Held first = std::move(held_.front());
    held_.pop_front();
    figures_.handoff_paused_milliseconds_total +=
        static_cast<std::uint64_t>((now - first.since).count());
    pass(std::move(first.request), now);
  }
  if (!held_.empty()) due_.once(std::max(next_ - monotonic_now(), Duration{0}));
}

void HandoffPacer::drop(ConnectionId connection) {
  std::erase_if(held_,
                [connection](const Held& held) { return held.request.connection == connection; });
}

void HandoffPacer::look() {
  const Time now = monotonic_now();
  const Time last = std::exchange(looked_, now).value_or(now);
  const Duration late = now - last - HandoffPace::look_interval - granularity;
  pace_.looked(std::max(late, Duration{0}), hooks_.requests());
  if (now - asked_ > idle_after) look_.cancel();
}

}  // namespace dhrt
