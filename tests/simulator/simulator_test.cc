#include <doctest/doctest.h>

#include "tests/simulator/simulation.h"

using dhrt::simulator::Simulation;
using dhrt::simulator::SimulationOptions;

TEST_CASE("simulator: one seed is one history, bit for bit") {
  for (std::uint64_t seed = 1001; seed <= 1005; ++seed) {
    CAPTURE(seed);
    const auto options = SimulationOptions::from_seed(seed);
    const auto first = Simulation(options).run();
    const auto second = Simulation(options).run();
    CHECK(first.transcript == second.transcript);
    CHECK(first.totals.messages == second.totals.messages);
    CHECK(first.converged_milliseconds == second.converged_milliseconds);
  }
}

TEST_CASE("simulator: without faults everything written is everywhere within seconds") {
  SimulationOptions options;
  options.seed = 7;
  options.duration_milliseconds = 20000;
  const auto outcome = Simulation(options).run();
  CHECK_FALSE(outcome.violation.has_value());
  CHECK(outcome.totals.acknowledged > 200);
  CHECK(outcome.totals.watched > 50);
  CHECK(outcome.totals.watchers_moved > 5);
  CHECK(outcome.converged_milliseconds <= 5000);
}
