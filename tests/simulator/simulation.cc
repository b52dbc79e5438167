#include "tests/simulator/simulation.h"

#include <algorithm>
#include <utility>

namespace dhrt::simulator {

namespace {

// In a healed cluster everything is healthy and equal within this much simulated time.
constexpr Duration convergence_bound = 120s;
constexpr Duration forgotten_bound = 10s;
// Of a tombstone that was ahead of a node's clock it takes notice after so long.
constexpr Duration looks_again = 11s;
// Where they are remembered for a while that is looked at every ten seconds.
constexpr Duration remembered_bound = 40s;
constexpr Duration pause_max = 12s;
constexpr std::uint64_t watch_interval_milliseconds = 70;
constexpr std::size_t counted_keys = 4;
constexpr Duration read_everywhere_by = 20s;

}  // namespace

Simulation::Simulation(const SimulationOptions& options)
    : options_(options),
      random_(options.seed ^ 0x5eed),
      world_{options_,
             schedule_,
             random_,
             totals_,
             history_,
             registers_,
             layouts_,
             [this](WriteLevel level, const Layout& known, const CollectionRef& collection,
                    const KeyedRecord& write) {
               promise_level({level, collection, write}, known);
             }} {
  network_ = std::make_unique<Network>(
      options_, schedule_, random_, totals_,
      [this](NodeIndex node, Input input) { nodes_[node]->input(std::move(input)); },
      [this](NodeIndex node) { return node < nodes_.size() && nodes_[node]->up(); });
  world_.network = network_.get();
  for (std::size_t i = 0; i < options_.nodes; ++i)
    nodes_.push_back(std::make_unique<SimNode>(i, world_));
  for (const char* collection : {"default", "second"})
    watchers_.push_back(std::make_unique<SimWatcher>(collection, nodes_, totals_,
                                                     options.seed ^ watchers_.size() ^ 0x3a7c4));
  for (const char* name : {"a", "b"}) {
    if (options_.sessions)
      sessions_.push_back(std::make_unique<SimSession>(
          SimSession::World{options_, nodes_, schedule_, history_, totals_}, name,
          options.seed ^ sessions_.size() ^ 0x5e551));
  }
}

Outcome Simulation::run() {
  if (options_.evict) history_.nodes_are_evicted();
  for (std::size_t i = 0; i < nodes_.size() - options_.late_joiners; ++i)
    start_within(500, i);
  if (options_.late_joiners > 0)
    schedule_.in(options_.duration_milliseconds / 2, [this] { join_late(); });
  schedule_operations();
  if (options_.levels) {
    write_while_voters_come();
    for (std::size_t i = 0; i < options_.operations / 10; ++i)
      schedule_.in(random_.below(options_.duration_milliseconds), [this] { write_at_level(); });
    for (std::size_t i = 0; i < options_.operations / 15; ++i)
      schedule_.in(random_.below(options_.duration_milliseconds), [this] { use_register(); });
  }
  schedule_faults();
  schedule_clock_faults();
  watch();
  for (const auto& session : sessions_)
    session->begin();
  run_until({Duration(static_cast<Duration::rep>(options_.duration_milliseconds))});

  end_sessions();
  heal();
  const Time healed = schedule_.now();
  Outcome outcome;
  await_convergence();
  outcome.converged_milliseconds = static_cast<std::uint64_t>((schedule_.now() - healed).count());
  if (converged()) {
    check_said();
    if (!history_.violation()) check_fence();
    check_live();
    check_sessions();
  } else {
    history_.violated("CONV", disagreement());
  }
  check_watched();
  check_counted();
  check_forgotten();
  for (const auto& node : nodes_) {
    history_.check_final([&](const std::string& collection, const std::string& key) {
      return node->find(collection, key);
    });
    history_.check_counters([&](const std::string& collection, const std::string& key) {
      return node->find(collection, key);
    });
  }
  check_levels();
  if (const auto violation = registers_.violation()) history_.violated("LINQ", *violation);
  totals_.simulated_milliseconds = static_cast<std::uint64_t>(schedule_.now().since_start.count());
  totals_.completed = layouts_.completed().size();
  outcome.violation = history_.violation();
  outcome.totals = totals_;
  outcome.transcript = network_->transcript();
  return outcome;
}

// SAID: in a whole cluster everybody hears once what each other node's clients say, in its order.
void Simulation::check_said() {
  // A node that was paused when it healed may be found missing only now.
  run_until(schedule_.now() + pause_max);
  await_convergence();
  if (!converged()) return history_.violated("CONV", disagreement());
  constexpr int words = 3;
  for (int word = 0; word < words; ++word) {
    for (std::size_t i = 0; i < nodes_.size(); ++i)
      nodes_[i]->say(std::to_string(i) + "-" + std::to_string(word));
  }
  run_until(schedule_.now() + 2s);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    std::vector<std::string> heard = nodes_[i]->heard();
    std::vector<std::string> expected;
    for (std::size_t from = 0; from < nodes_.size(); ++from) {
      for (int word = 0; word < words && from != i; ++word)
        expected.push_back(std::to_string(from) + "-" + std::to_string(word));
    }
    // Each speaker's words keep their order; speakers may alternate.
    std::ranges::stable_sort(heard, {}, [](const std::string& said) { return said.front(); });
    if (heard == expected) continue;
    history_.violated("SAID", "node " + std::to_string(i) + " heard " +
                                  std::to_string(heard.size()) + " words, or not these");
  }
}

// Again and again, as long as the history lasts.
void Simulation::watch() {
  schedule_.in(watch_interval_milliseconds, [this] {
    for (const auto& watcher : watchers_)
      watcher->look();
    watch();
  });
}

void Simulation::check_watched() {
  if (history_.violation()) return;
  for (const auto& watcher : watchers_) {
    if (const auto wrong = watcher->disagreement()) history_.violated("WATCH", *wrong);
  }
}

// What they still wait for is not asked any more.
void Simulation::end_sessions() {
  for (const auto& session : sessions_)
    session->end();
  for (const auto& node : nodes_)
    node->drop_sessions();
}

// SESS: in a whole cluster every node has seen what sessions saw, or knows that it is lost.
void Simulation::check_sessions() {
  if (history_.violation()) return;
  for (const auto& session : sessions_)
    session->read_everywhere();
  const Time end = schedule_.now() + read_everywhere_by;
  const auto waits = [](const auto& session) { return session->waits(); };
  while (!history_.violation() && std::ranges::any_of(sessions_, waits) && schedule_.now() < end)
    run_until(schedule_.now() + 100ms);
}

std::uint64_t Simulation::joins() const {
  std::uint64_t sum = 0;
  for (const auto& node : nodes_)
    sum += node->joins();
  return sum;
}

// Whatever was set, deleted, flushed or expired before: what all nodes add at the same time counts,
// and they come to an end with it. Each node learns something new of each other once, and joins it;
// the other half of the bound is for records that come late and lack what was joined meanwhile.
void Simulation::check_counted() {
  if (!options_.counters || history_.violation()) return;
  const std::string collection = "counters";
  const auto number = [&](const std::string& key) -> std::int64_t {
    const auto held = nodes_.front()->find(collection, key);
    return held && !held->deleted ? std::stoll(held->value) : 0;
  };
  std::vector<std::int64_t> before(counted_keys - 1);  // All but the one with deadlines.
  for (std::size_t key = 0; key < before.size(); ++key)
    before[key] = number("n" + std::to_string(key));
  const std::uint64_t joined_before = joins();
  for (const auto& node : nodes_) {
    for (std::size_t key = 0; key < before.size(); ++key)
      node->add(collection, "n" + std::to_string(key), 1, 0);
  }
  await_convergence();
  if (!converged()) return history_.violated("CONV", disagreement());
  const std::size_t count = nodes_.size();
  for (std::size_t key = 0; key < before.size(); ++key) {
    const std::int64_t more = number("n" + std::to_string(key)) - before[key];
    if (more != static_cast<std::int64_t>(count))
      history_.violated("CTR", "each of " + std::to_string(count) + " nodes added 1 to n" +
                                   std::to_string(key) + ", which is " + std::to_string(more) +
                                   " more");
  }
  const std::uint64_t joined = joins() - joined_before;
  if (joined > 2 * before.size() * count * (count - 1))
    history_.violated("CTR",
                      std::to_string(joined) + " joins for " + std::to_string(count) + " nodes");
  totals_.joins = joins();
}

// GC: in a whole cluster that is quiet no tombstone is kept.
void Simulation::check_forgotten() {
  const auto kept = [this] {
    return std::ranges::any_of(nodes_, [](const auto& node) { return node->tombstones({}) != 0; });
  };
  const Time end = schedule_.now() + looks_again +
                   (options_.remembers_deletes() ? remembered_bound : forgotten_bound);
  while (!history_.violation() && kept() && schedule_.now() < end)
    run_until(schedule_.now() + 500ms);
  if (!kept()) return;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    const std::size_t count = nodes_[i]->tombstones(looks_again);
    if (count == 0) continue;
    return history_.violated("GC", "node " + std::to_string(i) + " keeps " + std::to_string(count) +
                                       " tombstones in a cluster that is whole and quiet");
  }
}

void Simulation::await_convergence() {
  const Time end = schedule_.now() + convergence_bound;
  while (!history_.violation() && !converged() && schedule_.now() < end)
    run_until(schedule_.now() + 500ms);
}

bool Simulation::run_until(Time end) {
  bool reached = false;
  schedule_.at(end, [&reached] { reached = true; });
  while (!reached && schedule_.run_next()) {
    if (layouts_.in_force().number() != layout_checked_) check_levels();
  }
  return reached;
}

void Simulation::schedule_operations() {
  for (std::size_t i = 0; i < options_.operations; ++i)
    schedule_.in(random_.below(options_.duration_milliseconds), [this] { operate(); });
}

// Few keys, so that many meet. The first is only counted; the others are also set and deleted, and
// the last has deadlines where clocks agree on them.
void Simulation::count(SimNode& node) {
  const std::string collection = "counters";
  const std::uint64_t which = random_.below(counted_keys);
  const std::string key = "n" + std::to_string(which);
  const bool expires =
      which + 1 == counted_keys && !options_.skew && !options_.clock_jump && !options_.clock_strobe;
  if (options_.flush && random_.chance(0.01)) return node.flush(collection);
  if (which > 0 && random_.chance(0.15)) {
    const bool deletes = random_.chance(0.5);
    return node.write(collection, key, deletes, deletes ? "" : std::to_string(++values_));
  }
  const auto more = static_cast<std::int64_t>(random_.between(1, 9));
  node.add(collection, key, random_.chance(0.2) ? -more : more,
           expires ? random_.between(500, 20'000) : 0);
}

void Simulation::operate() {
  ++totals_.operations;
  SimNode& node = *nodes_[random_.below(nodes_.size())];
  if (options_.counters && random_.chance(0.5)) return count(node);
  const std::string key = "k" + std::to_string(random_.below(options_.keys));
  std::string collection(default_collection);
  if (options_.second_collection && random_.chance(0.3)) collection = "second";
  const double dice = static_cast<double>(random_.below(1000)) / 1000.0;
  if (options_.flush && dice < 0.01)
    node.flush(collection);
  else if (options_.second_collection && dice < 0.02)
    node.drop("second");
  else if (dice < 0.10)
    node.read(key);
  else
    node.write(collection, key, random_.chance(0.35), "v" + std::to_string(++values_));
}

void Simulation::every(std::uint64_t from, std::uint64_t to, std::function<void()> what) {
  const std::uint64_t wait = random_.between(from, to) / (options_.brief ? brief_share : 1);
  const auto due = schedule_.now().since_start.count() + static_cast<std::int64_t>(wait);
  if (static_cast<std::uint64_t>(due) >= options_.duration_milliseconds) return;
  schedule_.in(wait, [this, from, to, what = std::move(what)]() mutable {
    if (!faulty_) return;
    what();
    every(from, to, std::move(what));
  });
}

void Simulation::schedule_faults() {
  if (options_.partition) every(3000, 15000, [this] { partition(); });
  if (options_.uneven) every(5000, 20000, [this] { cut_pairs(0.3); });
  if (options_.crash) every(2000, 12000, [this] { crash_someone(); });
  if (options_.evict) every(1000, 5000, [this] { evict_someone(); });
  if (options_.retire) every(1000, 8000, [this] { retire_someone(); });
  if (options_.leave) every(8000, 30000, [this] { leave_someone(); });
  if (options_.stall) every(4000, 16000, [this] { nodes_[0]->pause(2000); });
  if (options_.pause) {
    every(3000, 12000, [this] {
      nodes_[random_.below(nodes_.size())]->pause(random_.between(500, pause_max.count()));
    });
  }
}

// Any pair of nodes, so that what one of them knows may take a way around.
void Simulation::cut_pairs(double share) {
  ++totals_.uneven_cuts;
  const std::size_t count = nodes_.size();
  std::vector<bool> cut(count * count);
  for (std::size_t one = 0; one < count; ++one) {
    for (std::size_t other = 0; other < one; ++other)
      cut[one * count + other] = random_.chance(share);
  }
  part([&](std::size_t from, std::size_t to) {
    return cut[std::max(from, to) * count + std::min(from, to)];
  });
}

// One node, two sides, one way, or a ring in which each sees its neighbours only.
void Simulation::partition() {
  const std::size_t count = nodes_.size();
  const std::uint64_t shape = random_.below(4);
  std::vector<bool> side(count);
  for (std::size_t i = 0; i < count; ++i)
    side[i] = random_.chance(0.5);
  const std::size_t lonely = random_.below(count);
  part([&](std::size_t from, std::size_t to) {
    const std::size_t apart = (from + count - to) % count;
    const bool neighbours = apart == 1 || apart == count - 1;
    return (shape == 0 && (from == lonely || to == lonely)) ||
           (shape == 1 && side[from] != side[to]) || (shape == 2 && side[from] && !side[to]) ||
           (shape == 3 && !neighbours);
  });
}

void Simulation::part(const std::function<bool(std::size_t, std::size_t)>& blocked) {
  ++totals_.partitions;
  for (std::size_t from = 0; from < nodes_.size(); ++from) {
    for (std::size_t to = 0; to < nodes_.size(); ++to) {
      if (from != to && blocked(from, to)) network_->block(from, to);
    }
  }
  schedule_.in(random_.between(1000, 12000), [this] { network_->heal(); });
}

void Simulation::start_within(std::uint64_t milliseconds, std::size_t node) {
  schedule_.in(random_.between(0, milliseconds), [this, node] {
    if (!nodes_[node]->up()) nodes_[node]->start();
  });
}

// Where there are faults those who come see but a few of those who are there.
void Simulation::join_late() {
  const std::size_t old = nodes_.size() - options_.late_joiners;
  if (faulty_ && options_.uneven && random_.chance(0.5)) {
    cut_pairs(0.4);
  } else if (faulty_ && options_.partition) {
    const std::size_t apart = random_.below(old);
    part([&](std::size_t from, std::size_t to) { return (from < apart) != (to < apart); });
  }
  for (std::size_t i = old; i < nodes_.size(); ++i) {
    if (!nodes_[i]->up()) ++totals_.late_joins;
    start_within(500, i);
  }
  if (!options_.levels) return;
  write_while_voters_come();
  constexpr std::uint64_t bursts = 8;
  for (std::uint64_t i = 0; i < bursts; ++i)
    schedule_.in(random_.below(6000), [this] { use_register(); });
}

void Simulation::crash_someone() {
  const std::size_t node = random_.below(nodes_.size());
  if (!nodes_[node]->up()) return;
  nodes_[node]->crash();
  check_levels();
  restart_later(node);
}

// Long before anybody would: most of them come back with what the others have forgotten.
void Simulation::evict_someone() {
  const auto& node = nodes_[random_.below(nodes_.size())];
  if (node->serves()) totals_.evictions += node->evict_the_gone();
}

void Simulation::leave_someone() {
  const std::size_t node = random_.below(nodes_.size());
  nodes_[node]->leave();
  // It may take up to leave_timeout to be gone; whoever is still there then goes on leaving.
  schedule_.in(random_.between(3000, 15000), [this, node] {
    if (!nodes_[node]->up()) restart_later(node);
  });
}

void Simulation::restart_later(std::size_t node) {
  schedule_.in(random_.between(100, 10000) / (options_.brief ? brief_share : 1), [this, node] {
    if (nodes_[node]->up()) return;
    nodes_[node]->start();
    history_.check_durable(node, [&](const std::string& collection, const std::string& key) {
      return nodes_[node]->find(collection, key);
    });
  });
}

void Simulation::heal() {
  faulty_ = false;
  world_.faults = false;
  network_->set_faults(false);
  network_->heal();
  for (const auto& node : nodes_) {
    // Whoever is on the way out gets there first, and comes back like the others.
    if (node->up() && !node->serves()) node->crash();
    if (!node->up()) node->start();
  }
}

bool Simulation::converged() {
  const std::string first = nodes_.front()->fingerprint();
  return std::ranges::all_of(nodes_, [&](const auto& node) {
    return node->healthy() && !node->retires_somebody() &&
           node->core().root() == nodes_.front()->core().root() &&
           node->core().linked_count() + 1 == nodes_.size() && node->fingerprint() == first;
  });
}

std::string Simulation::disagreement() {
  std::string text = "the nodes do not agree";
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    text += "\nnode " + std::to_string(i) + " " + std::string(to_text(nodes_[i]->core().state())) +
            ", linked to " + std::to_string(nodes_[i]->core().linked_count()) +
            (nodes_[i]->retires_somebody() ? ", retires somebody" : "") + ", voters " +
            describe(nodes_[i]->core().layout()) + ", root " +
            std::to_string(nodes_[i]->core().root()) + "\n" + nodes_[i]->fingerprint();
  }
  return text;
}

}  // namespace dhrt::simulator
