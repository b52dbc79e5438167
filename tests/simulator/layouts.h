// Who voted when, told from what nodes note on their disks: what the core counts by is not asked.
//
// Intuition: a layout is in force from when anybody knows it, for whoever knows it counts by it,
// and may be asked by others. So the one in force is that of most changes that was ever known, and
// all that nodes know was in force once. It may only change by what is on the disks of enough
// voters as what was let through, by one and the same ballot (VOTERS).
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/layout.h"
#include "tests/simulator/history.h"

namespace dhrt::simulator {

// "1 2 -3, next 4 of 1 -2": who votes, who is retired, and what may be next.
std::string describe(const Layout& layout);

class Layouts {
 public:
  explicit Layouts(History& history) : history_(history) {}

  // A node goes by this from now on, whether or not its disk has it.
  void known(NodeId node, const Layout& layout);
  // A power cut does not take this from the node any more.
  void kept(NodeId node, const LayoutNotes& notes);

  // Without voters: nobody founded yet. What may be next is not told.
  const Layout& in_force() const { return in_force_; }
  // Nodes that were let in and away, and that others made voters; by which layout.
  const std::map<NodeId, std::uint32_t>& completed() const { return completed_; }

  static std::size_t majority_of(std::size_t voters) { return voters / 2 + 1; }

 private:
  bool was_let_through(const Layout& later) const;

  History& history_;
  Layout in_force_;
  std::map<NodeId, std::uint32_t> completed_;
  std::map<std::uint32_t, Layout> were_in_force_;  // By number.
  // For the number of a layout and a ballot: who has noted that it let it through.
  std::map<std::pair<std::uint32_t, Ballot>, std::set<NodeId>> let_through_;
};

}  // namespace dhrt::simulator
