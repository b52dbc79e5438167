// Who votes: the members whose copies count in majorities, in the order in which they came to.
//
// Intuition: the list only grows, by one member at a time, and each step is decided by a majority
// of those who vote already (voters.h). So there is one list, of which every node knows a
// beginning, and two nodes that know different beginnings can tell whose is older.
//
// Errors: none. Threads: any.
#pragma once

#include <algorithm>
#include <compare>
#include <cstdint>
#include <vector>

#include "storage/record.h"

namespace dhrt {

struct ClusterId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  auto operator<=>(const ClusterId&) const = default;
  bool none() const { return high == 0 && low == 0; }
};

// One attempt of a member to become the next voter. Only that member makes it.
struct Ballot {
  std::uint64_t round = 0;  // 0: there is none.
  NodeId node = 0;

  auto operator<=>(const Ballot&) const = default;
  bool none() const { return round == 0; }
};

// Of two layouts of a cluster the one with the greater stamp is the later one.
struct LayoutStamp {
  std::uint32_t voters = 0;  // 0: nothing is known.
  Ballot adding;

  auto operator<=>(const LayoutStamp&) const = default;
};

struct Layout {
  std::vector<NodeId> voters;
  Ballot adding;  // Who may be the next one, by the highest ballot that was heard of.

  bool operator==(const Layout&) const = default;
  LayoutStamp stamp() const { return {static_cast<std::uint32_t>(voters.size()), adding}; }
  bool contains(NodeId node) const { return std::ranges::find(voters, node) != voters.end(); }
};

// What a node must not forget about it.
struct LayoutNotes {
  ClusterId cluster;
  Layout layout;
  // As one of the voters, about who comes next: no attempt below `promised` is let through any
  // more, and the one that was let through last.
  Ballot promised;
  Ballot accepted;

  bool operator==(const LayoutNotes&) const = default;
};

}  // namespace dhrt
