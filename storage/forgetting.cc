#include "storage/forgetting.h"

#include <algorithm>
#include <map>
#include <utility>

namespace dhrt {

namespace {

bool covers(const std::vector<Position>& cut, const std::vector<Position>& appended) {
  for (std::size_t loop = 0; loop < appended.size(); ++loop) {
    if (loop >= cut.size() || cut[loop] < appended[loop]) return false;
  }
  return true;
}

}  // namespace

bool Forgetting::allow(const Store::Forgettable& what, const Context& durable,
                       std::vector<Position> appended) {
  const Context& everywhere = what.everywhere;
  // What is due may have waited for the clock.
  const bool is_later = hlc_max_.exchange(what.hlc_max) < what.hlc_max;
  Context dots = durable;
  dots.intersect(everywhere);
  const std::lock_guard lock(mutex_);
  due_.intersect(everywhere);
  const Context* known = &due_;
  for (auto* const allowed : {&waiting_, &latest_}) {
    if (!*allowed) continue;
    (*allowed)->dots.intersect(everywhere);
    known = &(*allowed)->dots;
  }
  if (known->contains(dots)) return is_later;
  (waiting_ ? latest_ : waiting_) = Allowed{std::move(dots), std::move(appended)};
  promote({});
  return true;
}

void Forgetting::promote(const std::vector<Position>& cut) {
  while (waiting_ && covers(cut, waiting_->appended)) {
    due_ = std::move(waiting_->dots);
    waiting_ = std::exchange(latest_, std::nullopt);
  }
}

Context Forgetting::due(const std::vector<Position>& cut) {
  const std::lock_guard lock(mutex_);
  promote(cut);
  return due_;
}

Context Forgetting::due() const {
  const std::lock_guard lock(mutex_);
  return due_;
}

bool Forgetting::waits() const {
  const std::lock_guard lock(mutex_);
  return waiting_.has_value();
}

void Forgetting::note(const std::vector<Dot>& dots) {
  std::map<Origin, std::uint64_t> last;
  for (const Dot& dot : dots)
    last[dot.origin] = std::max(last[dot.origin], dot.sequence);
  const std::lock_guard lock(mutex_);
  for (const auto& [origin, sequence] : last) {
    IntervalSet below;
    below.add(Interval{1, sequence});
    const IntervalSet* const set = due_.find(origin);
    below.intersect(set == nullptr ? IntervalSet() : *set);
    for (const Interval& interval : below.intervals())
      forgotten_.add(origin, interval);
  }
  // One that the cluster took back meanwhile, too.
  for (const Dot& dot : dots)
    forgotten_.add(dot);
}

Context Forgetting::forgotten() const {
  const std::lock_guard lock(mutex_);
  return forgotten_;
}

void Forgetting::note_forgotten(const Context& dots, std::uint64_t hlc) {
  note_hlc(hlc);
  const std::lock_guard lock(mutex_);
  forgotten_.merge(dots);
}

void Forgetting::note_hlc(std::uint64_t hlc) {
  std::uint64_t known = forgotten_hlc_.load();
  while (known < hlc && !forgotten_hlc_.compare_exchange_weak(known, hlc)) {
  }
}

}  // namespace dhrt
