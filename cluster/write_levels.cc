#include "cluster/write_levels.h"

#include <algorithm>
#include <utility>

namespace dhrt {

Tally WriteLevels::tally(const Wait& wait) const {
  return wait.level == WriteLevel::all ? quorums_.all(wait.have) : quorums_.held(wait.have);
}

WriteLevels::Waits::iterator WriteLevels::settle(Waits::iterator wait, const Step& step) {
  const Tally reached = tally(wait->second);
  if (!reached.reached && step.now < wait->second.until) return std::next(wait);
  step.actions.emplace_back(LevelReached{wait->first, reached});
  const auto next = std::next(wait);
  forget(wait);
  return next;
}

void WriteLevels::forget(Waits::iterator wait) {
  for (const auto& [last, sequence] : wait->second.written) {
    const auto of_last = by_last_.find(last);
    if (of_last == by_last_.end()) continue;
    const auto requests = of_last->second.find(sequence);
    if (requests == of_last->second.end()) continue;
    requests->second.erase(wait->first);
    if (requests->second.empty()) of_last->second.erase(requests);
    if (of_last->second.empty()) by_last_.erase(of_last);
  }
  waits_.erase(wait);
}

void WriteLevels::begin(const WaitForLevel& wait, const PeerWaits::Heard& heard, const Step& step) {
  Wait begun{.level = wait.level, .until = step.now + options_.write_timeout};
  for (const WaitForLevel::Last& last : wait.written) {
    auto& sequence = begun.written[{last.collection, last.dot.origin}];
    sequence = std::max(sequence, last.dot.sequence);
  }
  begun.have.insert(membership_.self_id());
  for (const auto& [peer, tips] : heard) {
    if (covers(tips, begun.written)) begun.have.insert(peer);
  }
  if (options_.level_mutant == LevelMutant::count_unacknowledged) {
    for (const NodeId peer : links_.linked())
      begun.have.insert(peer);
  }
  if (const auto old = waits_.find(wait.request); old != waits_.end()) forget(old);
  for (const auto& [last, sequence] : begun.written)
    by_last_[last][sequence].insert(wait.request);
  settle(waits_.emplace(wait.request, std::move(begun)).first, step);
}

void WriteLevels::heard(NodeId peer, const std::vector<Tips::key_type>& news, const Tips& tips,
                        const Step& step) {
  std::vector<std::uint64_t> reached;
  for (const Tips::key_type& last : news) {
    const auto of_last = by_last_.find(last);
    if (of_last == by_last_.end()) continue;
    auto requests = of_last->second.upper_bound(tips.at(last));
    // From the newest on, to the first that the peer is known to have.
    for (bool is_news = true; is_news && requests != of_last->second.begin();) {
      --requests;
      is_news = false;
      for (const std::uint64_t request : requests->second) {
        Wait& wait = waits_.at(request);
        if (wait.have.contains(peer)) continue;
        is_news = true;
        if (!covers(tips, wait.written)) continue;
        wait.have.insert(peer);
        reached.push_back(request);
      }
    }
  }
  for (const std::uint64_t request : reached) {
    const auto wait = waits_.find(request);
    if (wait != waits_.end()) settle(wait, step);
  }
}

// Nobody has writes of it any more, nor is to have them: the next tick finds the rest.
void WriteLevels::collection_gone(const CollectionRef& collection) {
  std::erase_if(by_last_, [&](const auto& entry) { return entry.first.first == collection; });
  for (auto& [request, wait] : waits_) {
    std::erase_if(wait.written, [&](const auto& tip) { return tip.first.first == collection; });
    if (!wait.written.empty()) continue;
    for (const NodeId node : quorums_.nodes())
      wait.have.insert(node);
  }
}

void WriteLevels::settle_all(const Step& step) {
  for (auto wait = waits_.begin(); wait != waits_.end();)
    wait = settle(wait, step);
}

}  // namespace dhrt
