// The contexts of one collection, shared by all event loops: what was seen, what survives a power
// cut, what was flushed.
//
// Intuition: every loop numbers its own writes without gaps, so its part of a context is one
// number, which it counts up alone; everything else (what peers wrote, earlier starts, flushes)
// is rare and stands behind a lock.
//
// Threads: any, unless said otherwise.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "storage/context.h"
#include "storage/entry.h"

namespace dhrt {

class EngineContexts {
 public:
  // `own`: an origin of which every loop has a variant; its `loop` does not matter.
  // `stripe`: one of the locks that guard the flushed context, see below.
  EngineContexts(const Origin& own, unsigned loops, std::mutex& stripe);
  // What a start found. Before anybody else knows of the collection.
  void restore(Context seen, Context flushed, Context swept);

  // Whether a loop of this process gives out the numbers of this origin.
  bool is_own(const Origin& origin) const {
    return origin.node == own_.node && origin.epoch == own_.epoch && origin.loop < loops_;
  }
  std::uint64_t last_own(unsigned loop) const {
    return numbers_[loop].last.load(std::memory_order_acquire);
  }
  std::uint64_t durable_own(unsigned loop) const {
    return numbers_[loop].durable.load(std::memory_order_acquire);
  }
  // Any thread may be told of a number of any loop (a peer sends back what was ours); numbers
  // only rise.
  void raise_own(unsigned loop, std::uint64_t sequence);

  Context seen() const;
  Context durable() const;
  Context flushed() const;
  Context durable_flushed() const;
  Context swept() const;
  std::uint64_t last_sequence(const Origin& origin) const;
  bool has_seen(const Dot& dot) const;
  // False if all of it was known, and durable.
  bool is_news(const Context& seen, const Context& flushed) const;

  void add_seen(const Dot& dot);
  void merge_seen(const Context& seen);
  // What a synced part of a log said. True if the durable or the flushed context changed.
  bool publish(unsigned loop, std::uint64_t own_last, const Context& seen, const Context& flushed);

  // The flushed context itself is read on every write, so it and what is swept of it are guarded
  // by the stripes: changed with all of them locked, read with any. False if it was known.
  bool flush_with_stripes_locked(const Context& flushed);
  bool is_flushed_in_stripe(const Dot& dot) const {
    return any_flushed_.load(std::memory_order_relaxed) && flushed_.contains(dot);
  }
  const Context& flushed_in_stripe() const { return flushed_; }
  // True while there may be live records whose dot is flushed.
  bool sweep_pending() const { return sweep_pending_.load(std::memory_order_acquire); }
  // True if the sweep may begin: a power cut would not undo the flush.
  bool sweep_due() const;
  // Every record of these dots is a tombstone now. True if nothing is left to sweep.
  bool sweep_with_stripes_locked(const Context& swept);

 private:
  struct alignas(64) OfLoop {
    std::atomic<std::uint64_t> last{0};     // Given out.
    std::atomic<std::uint64_t> durable{0};  // Of what is synced.
  };
  void merge_foreign(Context& into, const Context& from, bool durable);

  const Origin own_;
  const unsigned loops_;
  const std::unique_ptr<OfLoop[]> numbers_;

  mutable std::mutex mutex_;  // Guards what follows; taken after stripe locks.
  Context seen_;              // Without the loops' own numbers, as `durable_`.
  Context durable_;
  Context durable_flushed_;

  std::mutex& stripe_;  // See above.
  Context flushed_;
  Context swept_;
  std::atomic<bool> any_flushed_{false};
  std::atomic<bool> sweep_pending_{false};
};

}  // namespace dhrt
