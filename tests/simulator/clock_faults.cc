// What goes wrong with wall clocks, and what nodes must make of it.
#include <algorithm>
#include <string>
#include <vector>

#include "cluster/clock_skew.h"
#include "tests/simulator/simulation.h"

namespace dhrt::simulator {

namespace {

constexpr std::uint64_t hour = 3'600'000;
// What is measured is known to this, in a network without faults.
constexpr Duration uncertain = 100ms;
// Every member is probed by then, also by a node that takes itself for slow.
constexpr Duration probed_by = 60s;
constexpr Duration written_by = 10s;

Duration magnitude(Duration duration) {
  return duration < Duration{0} ? -duration : duration;
}

}  // namespace

std::int64_t Simulation::some_jump() {
  const auto jump = static_cast<std::int64_t>(random_.between(1, hour));
  return random_.chance(0.5) ? jump : -jump;
}

void Simulation::schedule_clock_faults() {
  if (options_.clock_drift) {
    for (const auto& node : nodes_)
      node->clock().drift(schedule_.now(), static_cast<std::int64_t>(random_.below(21)) - 10);
    ++totals_.clock_drifts;
  }
  const auto someone = [this]() -> SimNode& { return *nodes_[random_.below(nodes_.size())]; };
  if (options_.clock_jump) {
    every(2000, 15000, [this, someone] {
      ++totals_.clock_jumps;
      SimNode& node = someone();
      if (random_.chance(0.3))
        node.clock().set_right(schedule_.now());
      else
        node.clock().jump(some_jump());
    });
  }
  if (options_.clock_strobe) {
    every(5000, 20000, [this, someone] {
      ++totals_.clock_strobes;
      strobe(someone(), some_jump(), 2 * random_.between(5, 20));
    });
  }
}

// There and back again; an even number of times leaves it as it was.
void Simulation::strobe(SimNode& node, std::int64_t milliseconds, std::uint64_t times) {
  if (times == 0) return;
  node.clock().jump(milliseconds);
  schedule_.in(random_.between(10, 300),
               [this, &node, milliseconds, times] { strobe(node, -milliseconds, times - 1); });
}

// By the true state of all clocks: absent where what is measured may be on either side.
std::optional<bool> Simulation::should_be_fenced(const SimNode& node) const {
  std::vector<Duration> ahead;
  for (const auto& other : nodes_) {
    if (other.get() != &node)
      ahead.emplace_back(other->clock().ahead(schedule_.now()) -
                         node.clock().ahead(schedule_.now()));
  }
  const Duration limit(options_.max_clock_offset_milliseconds);
  const Duration off = magnitude(middle_clock(ahead));
  if (off > limit + uncertain) return true;
  if (off < limit * 3 / 4 - uncertain) return false;
  return std::nullopt;
}

bool Simulation::fences_are_right() const {
  return std::ranges::all_of(nodes_, [this](const auto& node) {
    const auto fenced = should_be_fenced(*node);
    return !fenced || node->fenced() == *fenced;
  });
}

// FENCE: in a whole cluster exactly those take no writes whose clocks a majority contradicts, and
// when the clocks are right everybody does. What was written then is everywhere.
void Simulation::check_fence() {
  for (const auto& node : nodes_)
    node->clock().drift(schedule_.now(), 0);
  const auto must_be_right = [this](const std::string& when) {
    const Time end = schedule_.now() + probed_by;
    while (!fences_are_right() && schedule_.now() < end)
      run_until(schedule_.now() + 500ms);
    std::string text;
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      text += "\nnode " + std::to_string(i) + " is " +
              std::to_string(nodes_[i]->clock().ahead(schedule_.now())) + " ms ahead" +
              (nodes_[i]->fenced() ? ", fenced" : "");
    if (!fences_are_right()) history_.violated("FENCE", when + text);
  };
  must_be_right("as the clocks are");
  const std::uint64_t refused = totals_.fenced_writes;
  for (const auto& node : nodes_) {
    totals_.fenced_nodes += node->fenced() ? 1 : 0;
    if (node->fenced()) node->write(std::string(default_collection), "fenced", false, "v");
  }
  if (totals_.fenced_writes != refused + static_cast<std::uint64_t>(std::ranges::count_if(
                                             nodes_, [](const auto& n) { return n->fenced(); })))
    history_.violated("FENCE", "a fenced node takes a write");
  for (const auto& node : nodes_)
    node->clock().set_right(schedule_.now());
  must_be_right("when all clocks are right");
  const std::uint64_t before = totals_.acknowledged;
  for (std::size_t i = 0; i < nodes_.size(); ++i)
    nodes_[i]->write(std::string(default_collection), "right" + std::to_string(i), false, "v");
  run_until(schedule_.now() + written_by);
  if (totals_.acknowledged != before + nodes_.size())
    history_.violated("FENCE", "a node whose clock is right does not take a write");
  await_convergence();
  if (!converged()) history_.violated("CONV", disagreement());
}

}  // namespace dhrt::simulator
