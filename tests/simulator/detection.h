// How soon a cluster of any size knows that a node has died, or has left.
//
// Nodes that store nothing, on a network that loses nothing. One dies or leaves at a time, at a
// random moment of the others' probes; it is back, and the cluster whole, before the next.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulator/sim_node.h"

namespace dhrt::simulator {

class Detection {
 public:
  Detection(std::uint64_t seed, std::size_t nodes);

  struct Times {
    std::uint64_t whole_milliseconds = 0;  // From the first start until all know all.
    // From the event until every other node knows of it.
    std::vector<std::uint64_t> death_milliseconds;
    std::vector<std::uint64_t> leave_milliseconds;
  };
  // Absent: somebody did not know after ten minutes. `tell` hears how far it is, now and then.
  using Tell = std::function<void(const std::string&)>;
  std::optional<Times> run(std::uint64_t rounds, Tell tell);

 private:
  // False if it is not so after ten minutes; looked at each `interval`.
  template <typename Condition>
  bool wait(Duration interval, Condition condition);
  template <typename Condition>
  bool holds_everywhere(Condition condition);
  bool is_whole();
  std::optional<std::uint64_t> time_until_all_see(std::size_t node, MemberState state);
  bool bring_back(std::size_t node);

  SimulationOptions options_;
  Schedule schedule_;
  Random random_;
  Totals totals_;
  History history_;
  Registers registers_;
  Layouts layouts_{history_};
  SimNode::World world_;
  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  Tell tell_;
  std::string phase_;
  std::size_t asked_first_ = 0;  // Index into nodes_.
};

}  // namespace dhrt::simulator
