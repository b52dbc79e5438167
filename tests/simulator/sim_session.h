// A client of the simulated cluster that carries a session from node to node: each request goes to
// another one, with nothing but the token that the last answer brought.
//
// SESS: what it is shown and what becomes of its writes is in keeping with what it has seen
// (session_floors.h), and what is said to be lost is nowhere.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulator/options.h"
#include "tests/simulator/session_floors.h"
#include "tests/simulator/sim_node.h"

namespace dhrt::simulator {

class SimSession {
 public:
  using Nodes = std::vector<std::unique_ptr<SimNode>>;
  // All outlive the session.
  struct World {
    const SimulationOptions& options;
    const Nodes& nodes;
    Schedule& schedule;
    History& history;
    Totals& totals;
  };
  // It has chances of its own. `name`: of no other.
  SimSession(World world, std::string name, std::uint64_t seed)
      : world_(world), name_(std::move(name)), random_(seed), floors_(world.history) {}

  // Asks from now on, until it is ended.
  void begin();
  void end();
  // All is well: it may read on every node all that it knows, at once.
  void read_everywhere();
  bool waits() const { return asking_; }

 private:
  void next();
  SessionRequest some_request();
  void ask(std::size_t node, SessionRequest request);
  void take(std::size_t node, const SessionRequest& request, const SessionAnswer& answer);
  void check_lost(const SessionRequest& request, const SessionAnswer& answer);
  void check_closed(const SessionRequest& request, const SessionAnswer& answer);
  void is_nowhere(const CollectionRef& collection, const Dot& dot, const SessionAnswer& answer);
  void begin_anew();
  void violated(const std::string& what);
  std::uint64_t sooner(std::uint64_t milliseconds) const {
    return milliseconds / (world_.options.brief ? brief_share : 1);
  }

  World world_;
  const std::string name_;
  Random random_;
  SessionFloors floors_;
  std::string token_;
  std::uint64_t asked_ = 0;
  std::uint64_t values_ = 0;
  std::uint64_t in_a_row_ = 0;  // Requests that follow at once.
  std::uint64_t timeouts_ = 0;  // One after the other.
  bool asking_ = false;
  bool ended_ = false;
  struct Question {
    std::size_t node = 0;
    SessionRequest request;
  };
  std::vector<Question> questions_;  // At the end.
};

}  // namespace dhrt::simulator
