// How members go: this one says goodbye, others are given up or vote no more.
#include <algorithm>

#include "cluster/core.h"

namespace dhrt {

void Core::on(const LeaveRequested&, const Step& step) {
  if (leaving_until_) return;
  leaving_until_ = step.now + options_.leave_timeout;
  links_.stop();
  continue_leaving(step);
}

void Core::on(const EvictRequested& evict, const Step&) {
  membership_.evict(evict.node);
}

void Core::on(const RetireRequested& retire, const Step&) {
  voters_.retire(retire);
}

// Every node counts by itself, and the first tells the others. Who gave up its vote and left is not
// waited for; it may come back.
void Core::evict_the_long_gone(const Step& step) {
  const bool counts = options_.evict_after != Duration::zero();
  std::vector<NodeId> due;
  for (const auto& [node, member] : membership_.members()) {
    if (member.liveness != Liveness::dead && member.liveness != Liveness::left) {
      gone_since_.erase(node);
      continue;
    }
    const auto [since, is_new] = gone_since_.try_emplace(node, step.now);
    const bool is_for_good =
        member.liveness == Liveness::left && voters_.layout().has_retired(node);
    if (is_for_good || (counts && step.now - since->second >= options_.evict_after))
      due.push_back(node);
  }
  if (state() != MemberState::healthy) return;
  for (const NodeId node : due)
    membership_.evict(node);
}

bool Core::someone_has_our_writes() const {
  return std::ranges::any_of(links_.linked(), [this](NodeId peer) {
    if (membership_.state(peer) != MemberState::healthy) return false;
    const auto heard = heard_.find(peer);
    for (const auto& [collection, origins] : own_tips_) {
      for (const auto& [origin, sequence] : origins) {
        if (heard == heard_.end()) return false;
        const auto tip = heard->second.find({collection, origin});
        if (tip == heard->second.end() || tip->second < sequence) return false;
      }
    }
    return true;
  });
}

void Core::continue_leaving(const Step& step) {
  if (!leaving_until_ || left_) return;
  const bool alone = std::ranges::none_of(links_.linked(), [this](NodeId peer) {
    return membership_.state(peer) == MemberState::healthy;
  });
  if (!alone && step.now < *leaving_until_ && !someone_has_our_writes()) return;
  broadcast(Leave{membership_.self_id(), self().incarnation}, step);
  membership_.leave();
  left_ = true;
  step.actions.emplace_back(Left{});
}

}  // namespace dhrt
