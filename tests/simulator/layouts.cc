#include "tests/simulator/layouts.h"

#include <algorithm>
#include <string>

namespace dhrt::simulator {

std::string describe(const Layout& layout) {
  std::string text;
  for (const NodeId node : layout.voters)
    text += (text.empty() ? "" : " ") + std::to_string(node);
  for (const NodeId node : layout.retired)
    text += " -" + std::to_string(node);
  const Ballot& next = layout.next;
  if (!next.none())
    text += ", next " + std::to_string(next.round) + " of " + std::to_string(next.node) +
            (next.retires == 0 ? "" : " -" + std::to_string(next.retires));
  return text;
}

bool Layouts::was_let_through(const Layout& later) const {
  return std::ranges::any_of(let_through_, [&](const auto& entry) {
    const auto& [number, ballot] = entry.first;
    const auto before = were_in_force_.find(number);
    if (before == were_in_force_.end() || before->second.after(ballot) != later) return false;
    // Whoever comes and goes at once may know that it votes, and do nothing by that.
    const bool is_both = later.number() == number + 2 && before->second.voters.size() == 1;
    return (later.number() == in_force_.number() + 1 || is_both) &&
           before->second.can_decide([&](NodeId voter) { return entry.second.contains(voter); });
  });
}

void Layouts::known(NodeId node, const Layout& layout) {
  if (layout.number() == 0) return;
  const Layout told{.voters = layout.voters, .next = {}, .retired = layout.retired};
  const std::string goes_by =
      "node " + std::to_string(node) + " goes by the voters " + describe(told);
  const auto was = were_in_force_.find(told.number());
  if (was != were_in_force_.end()) {
    if (was->second != told)
      history_.violated("VOTERS", goes_by + ", others by " + describe(was->second));
    return;
  }
  const bool is_founding = in_force_.number() == 0 && told.number() == 1;
  if (!is_founding && !was_let_through(told))
    history_.violated("VOTERS", goes_by + "; not enough of " + describe(in_force_) +
                                    " have noted that they let that through");
  const bool is_added = told.voters.size() > in_force_.voters.size();
  if (is_added && !is_founding && told.voters.back() != node)
    completed_[told.voters.back()] = told.number();
  in_force_ = told;
  were_in_force_[told.number()] = told;
}

void Layouts::kept(NodeId node, const LayoutNotes& notes) {
  if (!notes.accepted.none()) let_through_[{notes.layout.number(), notes.accepted}].insert(node);
}

}  // namespace dhrt::simulator
