// Who voted when, told from what nodes note on their disks: what the core counts by is not asked.
//
// Intuition: a list of voters is in force from when anybody knows it, for whoever knows it counts
// by it, and may be asked by others. So the list in force is the longest that was ever known, and
// all others are beginnings of it. It may only grow by one who is on the disks of a majority as
// the one who was let through, by one and the same ballot (VOTERS).
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "cluster/layout.h"
#include "tests/simulator/history.h"

namespace dhrt::simulator {

class Layouts {
 public:
  explicit Layouts(History& history) : history_(history) {}

  // A node goes by this from now on, whether or not its disk has it.
  void known(NodeId node, const Layout& layout);
  // A power cut does not take this from the node any more.
  void kept(NodeId node, const LayoutNotes& notes);

  // Empty: nobody founded yet.
  const std::vector<NodeId>& in_force() const { return in_force_; }

  static std::size_t majority_of(std::size_t voters) { return voters / 2 + 1; }

 private:
  bool was_let_through(NodeId node) const;

  History& history_;
  std::vector<NodeId> in_force_;
  // For a place in the list and a ballot: who has noted that it let it through.
  std::map<std::pair<std::size_t, Ballot>, std::set<NodeId>> let_through_;
};

}  // namespace dhrt::simulator
