// What clients do at levels above one, and whether they get what they were promised.
#include <algorithm>
#include <utility>

#include "tests/simulator/simulation.h"

namespace dhrt::simulator {

// LIVE: in a whole cluster everybody votes who is not retired, and every level is reached.
void Simulation::check_live() {
  if (!options_.levels || history_.violation()) return;
  for (const auto& node : nodes_) {
    const std::size_t voters = node->voters();
    if (voters == nodes_.size()) continue;
    return history_.violated("LIVE", "all is well, and still a node knows of " +
                                         std::to_string(voters) + " voters, not of " +
                                         std::to_string(nodes_.size()));
  }
  const std::uint64_t timeouts = totals_.level_timeouts;
  for (const auto& node : nodes_) {
    node->write_at(WriteLevel::all, std::string(default_collection), "k0", false,
                   "v" + std::to_string(++values_));
    node->set_register("r0", "v" + std::to_string(++values_));
    node->get_register("r1");
  }
  run_until(schedule_.now() + 10s);
  if (totals_.level_timeouts != timeouts)
    return history_.violated("LIVE", "all is well, and still a level was not reached in time");
  await_convergence();
  if (!converged()) history_.violated("CONV", disagreement());
}

// DUR-Q, DUR-A: as many of the voters as the level says have the write durably, whichever of them
// run. Whoever others made a voter after the promise, while it was away, has it when it is back.
void Simulation::check_level(const LevelPromise& promise, const std::vector<NodeId>& voters) {
  if (history_.excuses(promise.collection.name)) return;
  std::string holders;
  std::size_t count = 0;
  std::size_t away = 0;
  for (const NodeId voter : voters) {
    const auto completed = layouts_.completed().find(voter);
    const bool is_later =
        completed != layouts_.completed().end() && completed->second > promise.layout_number;
    if (is_later && promise.level == WriteLevel::all) {
      ++away;
      continue;
    }
    if (!nodes_[voter - 1]->has_durably(promise.collection, promise.write.record.dot)) continue;
    holders += " " + std::to_string(voter);
    ++count;
  }
  const std::size_t need =
      promise.level == WriteLevel::all ? voters.size() - away : Layouts::majority_of(voters.size());
  if (count >= need) return;
  std::string all;
  for (const NodeId voter : voters)
    all += " " + std::to_string(voter);
  history_.violated(promise.level == WriteLevel::all ? "DUR-A" : "DUR-Q",
                    "key " + promise.write.key + " of " + promise.collection.name +
                        " was acknowledged at " + std::string(to_text(promise.level)) + " as " +
                        describe(promise.write.record) + "; at " +
                        std::to_string(schedule_.now().since_start.count()) + " ms of the voters" +
                        all + " it is only at" + holders);
}

// The voters in force have it; and those who are voters after the change that is under way, if the
// coordinator knows of that. Who lets somebody in, or retires somebody, without its knowledge first
// brings what is lacking to where it must be: every later layout in force is held against every
// promise.
void Simulation::promise_level(const LevelPromise& promise, const Layout& known) {
  const Layout& layout = layouts_.in_force();
  level_promises_.push_back(promise);
  level_promises_.back().layout_number = layout.number();
  check_level(promise, layout.voters);
  const Ballot& next = known.next;
  const bool is_under_way = next.retires != 0 ? layout.contains(next.retires)
                                              : !next.none() && !layout.contains(next.node);
  if (is_under_way && known.number() == layout.number())
    check_level(promise, layout.after(next).voters);
}

void Simulation::check_levels() {
  layout_checked_ = layouts_.in_force().number();
  for (const LevelPromise& promise : level_promises_)
    check_level(promise, layouts_.in_force().voters);
}

// Few: of the last voters each is a majority.
void Simulation::retire_someone() {
  std::vector<NodeId> voters = layouts_.in_force().voters;
  if (voters.size() < 2 || totals_.retirements + 2 > nodes_.size()) return;
  SimNode& node = *nodes_[random_.below(nodes_.size())];
  if (const auto new_one = node.being_let_in()) voters.push_back(*new_one);
  if (!node.retire(voters[random_.below(voters.size())])) return;
  ++totals_.retirements;
  history_.nodes_are_evicted();  // Deletes do not wait for it any more.
}

void Simulation::write_at_level() {
  SimNode& node = *nodes_[random_.below(nodes_.size())];
  const std::string key = "k" + std::to_string(random_.below(options_.keys));
  node.write_at(random_.chance(0.7) ? WriteLevel::quorum : WriteLevel::all,
                std::string(default_collection), key, random_.chance(0.2),
                "v" + std::to_string(++values_));
}

// Some operations on one register that overlap, on many nodes.
void Simulation::use_register() {
  constexpr std::uint64_t operations = 8;
  const std::uint64_t within = random_.chance(0.5) ? 50 : 500;
  const std::string key = "r" + std::to_string(random_.below(2));
  for (std::uint64_t i = 0; i < operations; ++i) {
    schedule_.in(random_.below(within), [this, key] {
      SimNode& node = *nodes_[random_.below(nodes_.size())];
      if (random_.chance(0.6)) return node.get_register(key);
      const std::string value = "v" + std::to_string(++values_);
      node.set_register(key, random_.chance(0.1) ? std::string() : value);
    });
  }
}

void Simulation::write_while_voters_come() {
  constexpr std::uint64_t writes = 30;
  for (std::uint64_t i = 0; i < writes; ++i)
    schedule_.in(random_.below(6000), [this] { write_at_level(); });
}

}  // namespace dhrt::simulator
