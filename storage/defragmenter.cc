#include "storage/defragmenter.h"

#include <algorithm>
#include <mutex>

#include "storage/engine_collection.h"

namespace dhrt {

namespace {

// In one step, when there is nothing to do: some microseconds of work.
constexpr std::size_t stripes_looked_at = 8;
// Under one hold of a stripe's lock: some ten microseconds.
constexpr std::size_t budget_at_once = 32;

}  // namespace

bool Defragmenter::begin_pass() {
  for (std::size_t i = 0; i < stripes_looked_at; ++i) {
    Stripe& stripe = stripes_[stripe_];
    const std::lock_guard lock(stripe.lock);
    in_pass_ = stripe.slab.begin_evacuation();
    if (in_pass_) break;
    stripe_ = (stripe_ + 1) % stripe_count;
  }
  has_moved_ = false;
  collection_ = 0;
  slot_ = 0;
  return in_pass_;
}

void Defragmenter::end_pass() {
  Stripe& stripe = stripes_[stripe_];
  const std::lock_guard lock(stripe.lock);
  stripe.slab.end_evacuation();
  stripe_ = (stripe_ + 1) % stripe_count;
  in_pass_ = false;
}

bool Defragmenter::step(const std::vector<EngineCollection*>& collections, std::size_t budget) {
  if (!in_pass_ && !begin_pass()) return false;
  while (budget > 0 && collection_ < collections.size()) {
    std::size_t here = std::min(budget, budget_at_once);
    budget -= here;
    const auto done = collections[collection_]->relocate(stripe_, slot_, here);
    budget += here;
    has_moved_ = has_moved_ || done.entries > 0;
    slot_ = done.next;
    if (slot_ > 0) continue;
    ++collection_;
    if (budget > 0) --budget;  // Of an empty one, too: there may be ten thousand.
  }
  if (collection_ < collections.size()) return true;
  end_pass();
  // What belongs to none of them, as records of a collection that was just dropped, is not moved:
  // to look again at once would find the same.
  return has_moved_;
}

}  // namespace dhrt
