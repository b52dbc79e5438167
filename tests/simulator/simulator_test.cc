#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/simulator/registers.h"
#include "tests/simulator/simulation.h"

using dhrt::simulator::Registers;
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

namespace {

// "s1 2": client 1 begins to set 2; "s1 -1": to delete; "g1": to get; "e1": it is done; "e1 2": it
// got 2; "e1 -1": what that delete left; "e1 " of a get: nothing.
bool linearizable(const std::vector<std::string>& events) {
  Registers registers;
  std::map<char, std::pair<Registers::Operation, bool>> under_way;
  for (const std::string& event : events) {
    const std::string value = event.size() > 3 ? event.substr(3) : std::string();
    if (event[0] == 's') {
      under_way[event[1]] = {registers.begin_set("k"), true};
      registers.set_made(under_way[event[1]].first, value, value.starts_with('-'));
    } else if (event[0] == 'g') {
      under_way[event[1]] = {registers.begin_get("k"), false};
    } else {
      const auto [operation, sets] = under_way.at(event[1]);
      if (sets)
        registers.set_done(operation);
      else
        registers.get_done(operation, value, value.starts_with('-'));
    }
  }
  return !registers.violation();
}

}  // namespace

TEST_CASE("registers: a history is linearizable if one copy could have answered so") {
  struct Case {
    const char* why;
    std::vector<std::string> events;
    bool linearizable;
  };
  for (const auto& c : {
           Case{"one after the other", {"s1 1", "e1", "g2", "e2 1"}, true},
           Case{"an older value", {"s1 1", "e1", "s1 2", "e1", "g2", "e2 1"}, false},
           Case{"nothing, after a set", {"s1 1", "e1", "g2", "e2"}, false},
           Case{"nothing, during a set", {"s1 1", "g2", "e2", "e1"}, true},
           Case{"nothing, after a delete", {"s1 1", "e1", "s1 -1", "e1", "g2", "e2 -1"}, true},
           Case{"what was there, after a delete",
                {"s1 1", "e1", "s1 -1", "e1", "g2", "e2 1"},
                false},
           Case{
               "nothing any more, after a delete", {"s1 1", "e1", "s1 -1", "e1", "g2", "e2"}, true},
           Case{"nothing, after a delete and a set",
                {"s1 1", "e1", "s1 -1", "e1", "s1 2", "e1", "g2", "e2"},
                false},
           Case{"nothing, before a delete and after a set",
                {"s1 1", "e1", "g2", "e2", "s1 -1", "e1"},
                false},
           Case{"nothing, while it is deleted", {"s1 1", "e1", "s1 -1", "g2", "e2", "e1"}, true},
           Case{"a value before it was set", {"g2", "e2 1", "s1 1", "e1"}, false},
           Case{"sets that overlap, seen in one order",
                {"s1 1", "s2 2", "e1", "e2", "g3", "e3 2", "g3", "e3 2"},
                true},
           Case{"in both", {"s1 1", "s2 2", "e1", "e2", "g3", "e3 2", "g3", "e3 1"}, false},
           Case{"a set between two gets of another value",
                {"s1 1", "e1", "g2", "e2 1", "s3 3", "e3", "g2", "e2 1"},
                false},
           Case{"one that nobody saw, and nobody knows of",
                {"s1 1", "e1", "g2", "e2 1", "s3 3", "g2", "e2 1"},
                true},
           Case{"a value that nobody set", {"g1", "e1 7"}, false},
           Case{"new, then old, during a set",
                {"s1 1", "e1", "s1 2", "g2", "e2 2", "g3", "e3 1", "e1"},
                false},
           Case{"old and new, overlapping", {"s1 1", "g2", "g3", "e2 1", "e3", "e1"}, true},
           Case{"a set of unknown outcome is seen late", {"s1 1", "g2", "e2", "g2", "e2 1"}, true},
           Case{"but not undone", {"s1 1", "g2", "e2 1", "g2", "e2"}, false},
           Case{"a delete, after a later one that is forgotten here",
                {"s1 1", "e1", "s1 -1", "e1", "g2", "e2 -1", "s1 2", "e1", "s1 -2", "e1", "g2",
                 "e2 -1"},
                true},
           Case{"a delete, after a set that was not deleted",
                {"s1 1", "e1", "s1 -1", "e1", "g2", "e2 -1", "s1 2", "e1", "g2", "e2 -1"},
                false},
           Case{"a get without an answer says nothing", {"s1 1", "e1", "g2"}, true},
       }) {
    CAPTURE(c.why);
    CHECK(linearizable(c.events) == c.linearizable);
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
  // Within the first seconds the nodes still join.
  CHECK(outcome.totals.level_writes > 10);
  CHECK(outcome.totals.register_sets > 10);
  CHECK(outcome.totals.register_gets > 20);
  CHECK(outcome.totals.level_timeouts < outcome.totals.register_gets / 4);
}

// Of the seeds that have them, and without faults.
TEST_CASE("simulator: sessions read and write, and wait for what is under way") {
  dhrt::simulator::Totals totals;
  std::uint64_t seeds = 0;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    CAPTURE(seed);
    const auto options = SimulationOptions::briefly(seed);
    if (!options.sessions) continue;
    ++seeds;
    const auto outcome = Simulation(options).run();
    CHECK_FALSE(outcome.violation.has_value());
    totals.add(outcome.totals);
  }
  CHECK(seeds > 40);
  CHECK(totals.session_reads > 20 * seeds);
  CHECK(totals.session_writes > 3 * seeds);
  CHECK(totals.session_waits > seeds);
  CHECK(totals.session_timeouts > 10);
  CHECK(totals.sessions_lost > 0);
}

TEST_CASE("simulator: without faults sessions are served, and lose nothing") {
  SimulationOptions options;
  options.seed = 7;
  options.duration_milliseconds = 20000;
  options.sessions = true;
  const auto outcome = Simulation(options).run();
  CHECK_FALSE(outcome.violation.has_value());
  CHECK(outcome.totals.session_reads > 50);
  CHECK(outcome.totals.session_writes > 20);
  CHECK(outcome.totals.session_waits > 0);
  CHECK(outcome.totals.session_timeouts == 0);
  CHECK(outcome.totals.sessions_lost == 0);
}
