// Nodes that go for good: one that is gone is given up (`evict`), this one leaves (`leave`), or it
// takes the place of another (`--replace`).
//
// Intuition: each loses its vote first, which a majority of the voters decides (cluster/voters.h),
// so it takes time, and may be impossible for now; whoever asked is answered when it is done, or
// told why not. What was begun goes on after that answer, as long as this node runs.
//
// Threads: the main loop's.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cluster/core.h"
#include "storage/base/result.h"

namespace dhrt {

class Retirements {
 public:
  // Shorter than clients wait for an answer.
  static constexpr Duration patience{8000};
  // A node that cannot be replaced yet is looked at again after this long.
  static constexpr Duration replace_again_after{5000};
  using Done = std::function<void(Status)>;

  // All outlive it.
  struct Parts {
    const Core& core;
    std::function<void(Input)> input;
    std::function<void()> leave;  // The node's own goodbye.
  };
  // `replaces`: whose place this node takes as soon as it votes; empty: nobody's.
  Retirements(Parts parts, std::string replaces)
      : parts_(std::move(parts)), replaces_(std::move(replaces)) {}

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
  Result<NodeId> named(const std::string& node) const;
  void retire(NodeId node, Done done, Time now);
  void replace(Time now);

  Parts parts_;
  std::string replaces_;
  std::string last_obstacle_;
  Time replace_at_;
  bool replacing_ = false;
  std::vector<Waiting> waiting_;
};

}  // namespace dhrt
