#include "tests/simulator/layouts.h"

#include <algorithm>
#include <string>

namespace dhrt::simulator {

namespace {

std::string describe(const std::vector<NodeId>& voters) {
  std::string text;
  for (const NodeId node : voters)
    text += (text.empty() ? "" : " ") + std::to_string(node);
  return text;
}

}  // namespace

bool Layouts::was_let_through(NodeId node) const {
  return std::ranges::any_of(let_through_, [&](const auto& entry) {
    const auto& [place, ballot] = entry.first;
    if (place != in_force_.size() || ballot.node != node) return false;
    const auto voters = std::ranges::count_if(
        in_force_, [&](NodeId voter) { return entry.second.contains(voter); });
    return static_cast<std::size_t>(voters) >= majority_of(in_force_.size());
  });
}

void Layouts::known(NodeId node, const Layout& layout) {
  const std::vector<NodeId>& voters = layout.voters;
  const auto shared = static_cast<std::ptrdiff_t>(std::min(voters.size(), in_force_.size()));
  if (!std::equal(voters.begin(), voters.begin() + shared, in_force_.begin()))
    history_.violated("VOTERS", "node " + std::to_string(node) + " goes by the voters " +
                                    describe(voters) + ", others by " + describe(in_force_));
  if (voters.size() <= in_force_.size()) return;
  const bool is_founding = in_force_.empty() && voters.size() == 1;
  if (!is_founding && (voters.size() != in_force_.size() + 1 || !was_let_through(voters.back())))
    history_.violated("VOTERS", "node " + std::to_string(node) + " goes by the voters " +
                                    describe(voters) + "; a majority of " + describe(in_force_) +
                                    " has not noted that it let the last one in");
  in_force_ = voters;
}

void Layouts::kept(NodeId node, const LayoutNotes& notes) {
  if (!notes.accepted.none())
    let_through_[{notes.layout.voters.size(), notes.accepted}].insert(node);
}

}  // namespace dhrt::simulator
