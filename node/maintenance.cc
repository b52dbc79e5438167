#include "node/maintenance.h"

#include <utility>

namespace dhrt {

namespace {

using Microseconds = std::chrono::microseconds;

// When there was nothing to do.
constexpr Duration look_interval{100};
// What clients wait longer in a turn with a slice: not much beside a sync of the disk.
constexpr Microseconds slice_time{1000};
// A slice that took longer did so by its smallest step.
constexpr Microseconds slice_time_max{3000};

}  // namespace

Maintenance::Maintenance(EventLoop& loop, Hooks hooks)
    : hooks_(std::move(hooks)),
      timer_(loop, [this] { busy_.turn_on(); }),
      busy_(loop, [this] { slice(); }) {}

void Maintenance::start() {
  stopped_ = false;
  timer_.once(look_interval);
}

void Maintenance::stop() {
  stopped_ = true;
  timer_.cancel();
  busy_.turn_off();
}

void Maintenance::slice() {
  if (stopped_) return;
  const Microseconds begin = hooks_.now();
  Microseconds taken{};
  bool more = true;
  while (more && taken < slice_time) {
    more = hooks_.step();
    taken = hooks_.now() - begin;
  }
  if (more && taken <= slice_time_max) return;  // It is on.
  busy_.turn_off();
  timer_.once(more ? std::chrono::ceil<Duration>(taken) : look_interval);
}

}  // namespace dhrt
