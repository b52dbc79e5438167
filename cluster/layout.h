// Who votes: the members whose copies count in majorities, in the order in which they came to.
//
// Intuition: the list changes by one member at a time, who is added or retired for good, and each
// change is decided by a majority of those who vote until then (voters.h). So there is one history
// of changes, of which every node knows a beginning, and two nodes that know different beginnings
// can tell whose is older.
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

// One attempt of a member to make the next change: to vote itself, or that somebody votes no more.
struct Ballot {
  std::uint64_t round = 0;  // 0: there is none.
  NodeId node = 0;          // Who makes it; others may for one that was let in and is away.
  NodeId retires = 0;       // 0: `node` is to vote.

  auto operator<=>(const Ballot&) const = default;
  bool none() const { return round == 0; }
  bool proposes_the_same(const Ballot& other) const {
    return retires == other.retires && (retires != 0 || node == other.node);
  }
  // That, and more: who was let in by `other` is retired.
  bool proposes_all_of(const Ballot& other) const {
    return proposes_the_same(other) || (other.retires == 0 && retires == other.node);
  }
};

// Of two layouts of a cluster the one with the greater stamp is the later one.
struct LayoutStamp {
  std::uint32_t number = 0;  // See Layout.
  Ballot next;

  auto operator<=>(const LayoutStamp&) const = default;
};

struct Layout {
  std::vector<NodeId> voters;
  Ballot next;                  // The change that may come, by the highest ballot heard of.
  std::vector<NodeId> retired;  // They never vote again.

  bool operator==(const Layout&) const = default;
  // Of changes that led here; 0: nothing is known. Who is retired was added before.
  std::uint32_t number() const {
    return static_cast<std::uint32_t>(voters.size() + 2 * retired.size());
  }
  LayoutStamp stamp() const { return {number(), next}; }
  bool contains(NodeId node) const { return std::ranges::find(voters, node) != voters.end(); }
  bool has_retired(NodeId node) const { return std::ranges::find(retired, node) != retired.end(); }
  // Whether those of them of which this holds can decide on the next change: a majority, or half of
  // them with the first one. So any two that can, and any that can and a majority, share a voter.
  template <typename Predicate>
  bool can_decide(Predicate&& holds) const {
    const auto twice = 2 * static_cast<std::size_t>(std::ranges::count_if(voters, holds));
    return twice > voters.size() || (twice == voters.size() && twice != 0 && holds(voters.front()));
  }
  // When this change is made; as it is now, if it is none. Who is retired may not vote yet.
  Layout after(const Ballot& change) const {
    Layout layout{.voters = voters, .next = {}, .retired = retired};
    if (change.retires != 0) {
      std::erase(layout.voters, change.retires);
      layout.retired.push_back(change.retires);
    } else if (!change.none()) {
      layout.voters.push_back(change.node);
    }
    return layout;
  }
  // Who counts, besides the voters, until the change that may come is decided. Of whom is let in
  // and retired in one step only the second half is new: it may know that it votes.
  std::vector<NodeId> next_voters() const {
    std::vector<NodeId> nodes = after(next).voters;
    if (next.retires != 0 && !contains(next.retires)) nodes.push_back(next.retires);
    return nodes;
  }
  // Somebody else than the voters votes when the change that may come is made.
  bool may_add(NodeId node) const {
    return !next.none() && next.retires == 0 && next.node == node && !contains(node);
  }
  bool may_count(NodeId node) const { return contains(node) || may_add(node); }
};

// What a node must not forget about it.
struct LayoutNotes {
  ClusterId cluster;
  Layout layout;
  // As one of the voters, about the next change: no attempt below `promised` is let through any
  // more, and the one that was let through last.
  Ballot promised;
  Ballot accepted;

  bool operator==(const LayoutNotes&) const = default;
};

}  // namespace dhrt
