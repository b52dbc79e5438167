#include "storage/durable_context.h"

#include <utility>

namespace dhrt {

void DurableContext::expect(Position position, Context seen, Context flushed) {
  expected_.push_back({position, std::move(seen), std::move(flushed)});
}

bool DurableContext::advance(Position durable) {
  bool changed = false;
  while (!expected_.empty() && expected_.front().position <= durable) {
    const Expected& front = expected_.front();
    changed = changed || !seen_.contains(front.seen) || !flushed_.contains(front.flushed);
    seen_.merge(front.seen);
    flushed_.merge(front.flushed);
    expected_.pop_front();
  }
  return changed;
}

}  // namespace dhrt
