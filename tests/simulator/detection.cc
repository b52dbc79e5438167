#include "tests/simulator/detection.h"

#include <algorithm>
#include <string>
#include <utility>

namespace dhrt::simulator {

namespace {

constexpr Duration patience = 600s;
constexpr Duration tell_interval = 10s;
constexpr Duration look_interval = 10ms;
constexpr std::uint64_t start_within_milliseconds = 500;

SimulationOptions quiet(std::uint64_t seed, std::size_t nodes) {
  SimulationOptions options;
  options.seed = seed;
  options.nodes = nodes;
  options.operations = 0;
  options.levels = false;
  return options;
}

}  // namespace

Detection::Detection(std::uint64_t seed, std::size_t nodes)
    : options_(quiet(seed, nodes)),
      random_(seed ^ 0xdec),
      world_{options_, schedule_,
             random_,  totals_,
             history_, registers_,
             layouts_, [](WriteLevel, const Layout&, const CollectionRef&, const KeyedRecord&) {}} {
  network_ = std::make_unique<Network>(
      options_, schedule_, random_, totals_,
      [this](NodeIndex node, Input input) { nodes_[node]->input(std::move(input)); },
      [this](NodeIndex node) { return node < nodes_.size() && nodes_[node]->up(); });
  network_->set_faults(false);
  world_.network = network_.get();
  world_.faults = false;
  for (std::size_t i = 0; i < nodes; ++i)
    nodes_.push_back(std::make_unique<SimNode>(i, world_));
}

template <typename Condition>
bool Detection::wait(Duration interval, Condition condition) {
  const Time end = schedule_.now() + patience;
  Time told = schedule_.now();
  while (!condition()) {
    if (schedule_.now() >= end) return false;
    if (schedule_.now() - told >= tell_interval) {
      told = schedule_.now();
      tell_(phase_ + ", " + std::to_string(told.since_start.count() / 1000) + " s simulated");
    }
    bool reached = false;
    schedule_.at(schedule_.now() + interval, [&reached] { reached = true; });
    while (!reached && schedule_.run_next()) {
    }
  }
  return true;
}

// Who lacked something at the last look is asked first.
template <typename Condition>
bool Detection::holds_everywhere(Condition condition) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (!condition(*nodes_[asked_first_])) return false;
    asked_first_ = (asked_first_ + 1) % nodes_.size();
  }
  return true;
}

bool Detection::is_whole() {
  return holds_everywhere([this](const SimNode& node) {
    return node.healthy() && node.core().linked_count() + 1 == nodes_.size() &&
           std::ranges::all_of(node.core().members(), [](const auto& entry) {
             return state_of(entry.second) == MemberState::healthy;
           });
  });
}

std::optional<std::uint64_t> Detection::time_until_all_see(std::size_t node, MemberState state) {
  const Time began = schedule_.now();
  const auto sees = [&](const SimNode& other) {
    if (&other == nodes_[node].get()) return true;
    const auto found = other.core().members().find(nodes_[node]->id());
    return found != other.core().members().end() && state_of(found->second) == state;
  };
  if (!wait(look_interval, [&] { return holds_everywhere(sees); })) return std::nullopt;
  return static_cast<std::uint64_t>((schedule_.now() - began).count());
}

// At another moment of the others' probes.
bool Detection::bring_back(std::size_t node) {
  if (!wait(look_interval, [&] { return !nodes_[node]->up(); })) return false;
  nodes_[node]->start();
  return wait(Duration(static_cast<Duration::rep>(random_.between(100, 1000))),
              [this] { return is_whole(); });
}

std::optional<Detection::Times> Detection::run(std::uint64_t rounds, Tell tell) {
  tell_ = std::move(tell);
  phase_ = "start";
  Times times;
  for (const auto& node : nodes_)
    schedule_.in(random_.between(0, start_within_milliseconds), [&node] { node->start(); });
  if (!wait(look_interval, [this] { return is_whole(); })) return std::nullopt;
  times.whole_milliseconds = static_cast<std::uint64_t>(schedule_.now().since_start.count());
  for (std::uint64_t round = 0; round < rounds; ++round) {
    phase_ = "round " + std::to_string(round + 1) + " of " + std::to_string(rounds);
    tell_(phase_);
    const std::size_t node = 1 + random_.below(nodes_.size() - 1);
    nodes_[node]->crash();
    const auto death = time_until_all_see(node, MemberState::dead);
    if (!death || !bring_back(node)) return std::nullopt;
    times.death_milliseconds.push_back(*death);
    nodes_[node]->leave();
    const auto leave = time_until_all_see(node, MemberState::left);
    if (!leave || !bring_back(node)) return std::nullopt;
    times.leave_milliseconds.push_back(*leave);
  }
  return times;
}

}  // namespace dhrt::simulator
