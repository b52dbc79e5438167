#include "cluster/peer_waits.h"

#include <algorithm>

namespace dhrt {

bool covers(const Tips& told, const Tips& written) {
  return std::ranges::all_of(written, [&](const auto& last) {
    const auto tip = told.find(last.first);
    return tip != told.end() && tip->second >= last.second;
  });
}

std::uint64_t PeerWaits::count(const Wait& wait, const std::vector<NodeId>& linked,
                               const Heard& heard) {
  static const Tips nothing;
  return static_cast<std::uint64_t>(std::ranges::count_if(linked, [&](NodeId peer) {
    const auto found = heard.find(peer);
    const Tips& told = found == heard.end() ? nothing : found->second;
    return covers(told, wait.written);
  }));
}

void PeerWaits::look(const std::vector<NodeId>& linked, const Heard& heard, const Step& step) {
  for (auto wait = waits_.begin(); wait != waits_.end();) {
    const std::uint64_t peers = count(wait->second, linked, heard);
    if (peers < wait->second.peers) {
      ++wait;
      continue;
    }
    step.actions.emplace_back(Waited{wait->first, peers});
    wait = waits_.erase(wait);
  }
}

void PeerWaits::end(std::uint64_t request, const std::vector<NodeId>& linked, const Heard& heard,
                    const Step& step) {
  const auto found = waits_.find(request);
  if (found == waits_.end()) return;
  step.actions.emplace_back(Waited{request, count(found->second, linked, heard)});
  waits_.erase(found);
}

// Nobody has writes of it any more, nor is to have them.
void PeerWaits::collection_gone(const CollectionRef& collection) {
  for (auto& [request, wait] : waits_)
    std::erase_if(wait.written, [&](const auto& tip) { return tip.first.first == collection; });
}

}  // namespace dhrt
