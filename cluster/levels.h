// How many voters must have a write, or be asked by a read, before a client is answered.
//
// Intuition: any two majorities of the same voters share a node, so what a majority has durably is
// met by whoever asks a majority. Voters are never fewer because they are away: dead and left
// ones stay in the denominator, or two sides of a split would each be a majority of themselves.
// While the voters change (voters.h) what is written must be with a majority of them, and with one
// of those who vote next. As long as a later layout is known to exist, and not which one, nothing
// is reached.
//
// Errors: none. Threads: loop thread only.
#pragma once

#include <set>

#include "cluster/level_words.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"
#include "cluster/voters.h"

namespace dhrt {

class Quorums {
 public:
  Quorums(const ClusterOptions& options, const Membership& membership, const Links& links,
          const Voters& voters)
      : options_(options), membership_(membership), links_(links), voters_(voters) {}

  // A majority of the voters has answered.
  Tally asked(const std::set<NodeId>& voted) const;
  // A majority has it, now and when the change that is under way is made.
  Tally held(const std::set<NodeId>& have) const;
  // Every voter has, of now and then.
  Tally all(const std::set<NodeId>& have) const;
  // Voters of now and then.
  std::vector<NodeId> nodes() const;

 private:
  std::vector<NodeId> counted(std::vector<NodeId> voters) const;
  Tally tally(const std::vector<NodeId>& nodes, const std::set<NodeId>& present,
              bool wants_all) const;

  const ClusterOptions& options_;
  const Membership& membership_;
  const Links& links_;
  const Voters& voters_;
};

}  // namespace dhrt
