// Nodes that go for good: one that is gone is given up (`evict`), this one leaves (`leave`), or it
// takes the place of another (`--replace`).
//
// Intuition: each loses its vote, which a majority of the voters decides (cluster/voters.h), so it
// takes time, and may be impossible for now; whoever asked is answered when it is done, or told why
// not. What was begun goes on after that answer, as long as this node runs, and as long as who was
// given up does not come back.
//
// Names and addresses are given again to other nodes, so what --replace names is found once: its id
// and that it is done are kept with the identity of this node.
//
// Threads: the main loop's.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cluster/core.h"
#include "node/identity_file.h"
#include "storage/base/result.h"

namespace dhrt {

class Retirements {
 public:
  // Shorter than clients wait for an answer.
  static constexpr Duration patience{8000};
  // A node that cannot be replaced yet is looked at again after this long.
  static constexpr Duration replace_again_after{2000};
  // Who is killed is not known to be dead at once; who lives so long is not to be replaced.
  static constexpr Duration replace_alive_max{60'000};
  using Done = std::function<void(Status)>;

  // All outlive it.
  struct Parts {
    const Core& core;
    std::function<void(Input)> input;
    std::function<void()> leave;  // The node's own goodbye.
    std::function<void(const Replacement&)> keep;
  };
  // `replaces`: whose place this node takes as soon as it votes; empty: nobody's. `kept`: what it
  // kept of that, or of another one.
  Retirements(Parts parts, std::string replaces, Replacement kept);

  // By its name, id or address. One that is there is refused: it would say so, and be taken back.
  void evict(const std::string& node, Done done, Time now);
  void leave(Done done, Time now);
  // Call often.
  void look(Time now);

 private:
  struct Waiting {
    NodeId node = 0;
    Time until;
    Done done;
  };
  Result<NodeId> named(const std::string& node, bool may_be_self) const;
  bool votes(NodeId node) const { return parts_.core.layout().contains(node); }
  bool may_count(NodeId node) const { return parts_.core.layout().may_count(node); }
  void give_up(NodeId node, Done done, Time now);
  void retire(const RetireRequested& request, Done done, Time now);
  void replace(Time now);
  void replaced(Status status, Time now);

  Parts parts_;
  Replacement replacement_;  // Of nobody, or done: nothing is to do.
  std::string last_obstacle_;
  std::optional<Time> replace_since_;
  Time replace_at_;
  bool replacing_ = false;
  std::vector<Waiting> waiting_;
};

}  // namespace dhrt
