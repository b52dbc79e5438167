// Somebody who watches a collection of the simulated cluster, now at one node and then at another,
// with nothing but a token and what was told so far.
//
// WATCH: when the cluster has come together, who watched holds what the nodes hold.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/change_feed.h"
#include "tests/simulator/options.h"
#include "tests/simulator/sim_node.h"

namespace dhrt::simulator {

class SimWatcher {
 public:
  using Nodes = std::vector<std::unique_ptr<SimNode>>;
  // All outlive the watcher. It has chances of its own, so that watching changes no history.
  SimWatcher(std::string collection, const Nodes& nodes, Totals& totals, std::uint64_t seed)
      : collection_(std::move(collection)), nodes_(nodes), totals_(totals), random_(seed) {}

  // Looks once, perhaps at another node than before.
  void look();
  // Everything is told by now; what is wrong then.
  std::optional<std::string> disagreement();

 private:
  void move();
  bool step();

  const std::string collection_;
  const Nodes& nodes_;
  Totals& totals_;
  Random random_;
  std::size_t at_ = 0;
  std::unique_ptr<ChangeFeed> feed_;
  std::map<std::string, std::string> held_;
};

}  // namespace dhrt::simulator
