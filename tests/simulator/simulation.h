// One history of a cluster, from one seed: a phase with faults, then a phase without, in which
// everything must come together.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulator/history.h"
#include "tests/simulator/layouts.h"
#include "tests/simulator/network.h"
#include "tests/simulator/options.h"
#include "tests/simulator/sim_node.h"
#include "tests/simulator/sim_session.h"
#include "tests/simulator/sim_watcher.h"

namespace dhrt::simulator {

struct Outcome {
  std::optional<std::string> violation;  // "INVARIANT: what was found"; absent: all held.
  Totals totals;
  std::uint64_t transcript = 0;              // Equal for equal seeds.
  std::uint64_t converged_milliseconds = 0;  // From healing to agreement.
};

// What a client was told of a write.
struct LevelPromise {
  WriteLevel level = WriteLevel::quorum;
  CollectionRef collection;
  KeyedRecord write;
  std::uint32_t layout_number = 0;  // In force then.
};

class Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  Outcome run();

 private:
  void schedule_operations();
  void schedule_faults();
  void schedule_clock_faults();
  std::int64_t some_jump();
  void strobe(SimNode& node, std::int64_t milliseconds, std::uint64_t times);
  std::optional<bool> should_be_fenced(const SimNode& node) const;
  bool fences_are_right() const;
  void check_fence();
  void every(std::uint64_t from, std::uint64_t to, std::function<void()> what);
  void operate();
  void count(SimNode& node);
  void check_counted();
  std::uint64_t joins() const;
  void partition();
  void cut_pairs(double share);
  void write_while_voters_come();
  void crash_someone();
  void leave_someone();
  void evict_someone();
  void retire_someone();
  void restart_later(std::size_t node);
  void heal();
  void await_convergence();
  void check_said();
  void check_live();
  void part(const std::function<bool(std::size_t from, std::size_t to)>& blocked);
  void start_within(std::uint64_t milliseconds, std::size_t node);
  void join_late();
  void watch();
  void check_watched();
  void end_sessions();
  void check_sessions();
  void check_forgotten();
  void check_level(const LevelPromise& promise, const std::vector<NodeId>& voters);
  void promise_level(const LevelPromise& promise, const Layout& known);
  void check_levels();
  void write_at_level();
  void use_register();
  bool run_until(Time end);
  bool converged();
  std::string disagreement();

  SimulationOptions options_;
  Random random_;
  Schedule schedule_;
  Totals totals_;
  History history_;
  Registers registers_;
  Layouts layouts_{history_};
  std::uint32_t layout_checked_ = 0;
  std::vector<LevelPromise> level_promises_;
  SimNode::World world_;
  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<SimNode>> nodes_;
  std::vector<std::unique_ptr<SimWatcher>> watchers_;
  std::vector<std::unique_ptr<SimSession>> sessions_;
  std::uint64_t values_ = 0;
  bool faulty_ = true;
};

}  // namespace dhrt::simulator
