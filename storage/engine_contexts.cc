#include "storage/engine_contexts.h"

#include <utility>

namespace dhrt {

namespace {

void raise(std::atomic<std::uint64_t>& number, std::uint64_t to) {
  std::uint64_t held = number.load(std::memory_order_relaxed);
  while (held < to && !number.compare_exchange_weak(held, to, std::memory_order_release)) {
  }
}

}  // namespace

EngineContexts::EngineContexts(const Origin& own, unsigned loops, std::mutex& stripe)
    : own_(own), loops_(loops), numbers_(std::make_unique<OfLoop[]>(loops)), stripe_(stripe) {}

void EngineContexts::restore(Context seen, Context flushed, Context swept) {
  const std::lock_guard lock(mutex_);
  merge_foreign(seen_, seen, false);
  merge_foreign(durable_, seen, true);
  flushed_ = std::move(flushed);
  durable_flushed_ = flushed_;
  swept_ = std::move(swept);
  any_flushed_ = !flushed_.empty();
  sweep_pending_ = swept_ != flushed_;
}

void EngineContexts::raise_own(unsigned loop, std::uint64_t sequence) {
  raise(numbers_[loop].last, sequence);
}

void EngineContexts::merge_foreign(Context& into, const Context& from, bool durable) {
  for (const auto& [origin, set] : from.origins()) {
    if (is_own(origin)) {
      OfLoop& numbers = numbers_[origin.loop];
      raise(durable ? numbers.durable : numbers.last, set.last());
      continue;
    }
    for (const Interval& interval : set.intervals())
      into.add(origin, interval);
  }
}

Context EngineContexts::seen() const {
  std::unique_lock lock(mutex_);
  Context context = seen_;
  lock.unlock();
  for (unsigned loop = 0; loop < loops_; ++loop) {
    const Origin origin{own_.node, own_.epoch, static_cast<std::uint16_t>(loop)};
    if (const std::uint64_t last = last_own(loop); last > 0) context.add(origin, {1, last});
  }
  return context;
}

Context EngineContexts::durable() const {
  std::unique_lock lock(mutex_);
  Context context = durable_;
  lock.unlock();
  for (unsigned loop = 0; loop < loops_; ++loop) {
    const Origin origin{own_.node, own_.epoch, static_cast<std::uint16_t>(loop)};
    if (const std::uint64_t last = durable_own(loop); last > 0) context.add(origin, {1, last});
  }
  return context;
}

Context EngineContexts::flushed() const {
  const std::lock_guard lock(stripe_);
  return flushed_;
}

Context EngineContexts::durable_flushed() const {
  const std::lock_guard lock(mutex_);
  return durable_flushed_;
}

Context EngineContexts::swept() const {
  const std::lock_guard lock(stripe_);
  return swept_;
}

std::uint64_t EngineContexts::last_sequence(const Origin& origin) const {
  if (is_own(origin)) return last_own(origin.loop);
  const std::lock_guard lock(mutex_);
  const IntervalSet* set = seen_.find(origin);
  return set == nullptr ? 0 : set->last();
}

bool EngineContexts::has_seen(const Dot& dot) const {
  if (is_own(dot.origin)) return dot.sequence <= last_own(dot.origin.loop);
  const std::lock_guard lock(mutex_);
  return seen_.contains(dot);
}

bool EngineContexts::is_news(const Context& seen, const Context& flushed) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [origin, set] : seen.origins()) {
    if (is_own(origin)) {
      if (set.last() > durable_own(origin.loop)) return true;
      continue;
    }
    const IntervalSet* known = durable_.find(origin);
    if (known == nullptr || !known->contains(set)) return true;
  }
  return !durable_flushed_.contains(flushed);
}

void EngineContexts::add_seen(const Dot& dot) {
  if (is_own(dot.origin)) {
    raise_own(dot.origin.loop, dot.sequence);
    return;
  }
  const std::lock_guard lock(mutex_);
  seen_.add(dot);
}

void EngineContexts::merge_seen(const Context& seen) {
  const std::lock_guard lock(mutex_);
  merge_foreign(seen_, seen, false);
}

bool EngineContexts::publish(unsigned loop, std::uint64_t own_last, const Context& seen,
                             const Context& flushed) {
  bool changed = durable_own(loop) < own_last;
  raise(numbers_[loop].durable, own_last);
  if (seen.empty() && flushed.empty()) return changed;
  const bool news = is_news(seen, flushed);
  const std::lock_guard lock(mutex_);
  merge_foreign(durable_, seen, true);
  durable_flushed_.merge(flushed);
  return changed || news;
}

bool EngineContexts::flush_with_stripes_locked(const Context& flushed) {
  if (flushed_.contains(flushed)) return false;
  flushed_.merge(flushed);
  any_flushed_.store(true, std::memory_order_relaxed);
  sweep_pending_.store(true, std::memory_order_release);
  return true;
}

bool EngineContexts::sweep_due() const {
  if (!sweep_pending()) return false;
  const Context all = flushed();
  const std::lock_guard lock(mutex_);
  return durable_flushed_.contains(all);
}

bool EngineContexts::sweep_with_stripes_locked(const Context& swept) {
  swept_ = swept;
  if (swept_ != flushed_) return false;
  sweep_pending_.store(false, std::memory_order_release);
  return true;
}

}  // namespace dhrt
