// The part of a collection's contexts that survives a power cut, and what is on its way there.
//
// Intuition: append() notes what a batch adds to the contexts under the batch's position; when
// the store learns that a position is durable, everything noted up to it joins.
//
// Threads: the one that owns the store.
#pragma once

#include <cstddef>
#include <deque>
#include <utility>

#include "storage/context.h"
#include "storage/store.h"

namespace dhrt {

class DurableContext {
 public:
  DurableContext() = default;
  DurableContext(Context seen, Context flushed)
      : seen_(std::move(seen)), flushed_(std::move(flushed)) {}

  void expect(Position position, Context seen, Context flushed);
  // True if this changed the durable or the flushed context.
  bool advance(Position durable);
  // What is on its way is lost.
  void forget_expected() { expected_.clear(); }

  const Context& seen() const { return seen_; }
  bool waiting() const { return !expected_.empty(); }

 private:
  struct Expected {
    Position position = 0;
    Context seen;
    Context flushed;
  };

  Context seen_;
  Context flushed_;
  std::deque<Expected> expected_;
};

}  // namespace dhrt
