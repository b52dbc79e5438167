#include "tests/simulator/options.h"

#include <utility>

namespace dhrt::simulator {

SimulationOptions SimulationOptions::from_seed(std::uint64_t seed) {
  Random random(seed);
  SimulationOptions options;
  options.seed = seed;
  options.nodes = random.between(3, 7);
  options.operations = random.between(300, 400);
  options.keys = random.between(1, 12);
  options.duration_milliseconds = random.between(40'000, 60'000);
  const auto on = [&random] { return random.chance(0.5); };
  if (on()) options.loss = 0.01 * static_cast<double>(random.between(1, 10));
  if (on()) options.duplicate = 0.01 * static_cast<double>(random.between(1, 30));
  options.reorder = on();
  options.long_delay = on();
  options.partition = on();
  options.crash = on();
  options.pause = on();
  options.skew = on();
  options.slow_disk = on();
  options.leave = on();
  // Two or more are a majority of few.
  if (on()) options.late_joiners = on() ? 1 : random.between(2, options.nodes - 1);
  options.flush = on();
  options.second_collection = on();
  options.counters = on();
  options.clock_jump = on();
  options.clock_strobe = on();
  options.clock_drift = on();
  options.keep_conflicts = on();
  constexpr std::int64_t hours = 4 * 3'600'000;
  if (on()) options.max_clock_offset_milliseconds = hours;
  options.evict = on();
  options.uneven = on();
  options.lose_news = on();
  options.retire = on();
  // A chance of its own: without sessions each seed has the history that it would have without
  // this, among them those few that some mutants die by (CMakeLists.txt).
  options.sessions = Random(seed ^ 0x5e557).chance(0.5);
  return options;
}

SimulationOptions SimulationOptions::briefly(std::uint64_t seed) {
  SimulationOptions options = from_seed(seed);
  options.brief = true;
  options.nodes = 3 + seed % 2;
  options.keys = 1 + seed % 3;
  options.operations = 40 + options.operations % 161;
  options.duration_milliseconds /= brief_share;
  if (options.late_joiners > 1) options.late_joiners = options.nodes - 1;
  return options;
}

SimulationOptions SimulationOptions::membership(std::uint64_t seed, std::uint64_t hours) {
  SimulationOptions options;
  options.seed = seed;
  options.nodes = 5;
  options.operations = 0;
  options.duration_milliseconds = hours * 3'600'000;
  options.loss = 0.05;
  options.stall = true;
  options.levels = false;
  return options;
}

std::string SimulationOptions::describe() const {
  std::string text = "seed " + std::to_string(seed) + ": " + std::to_string(nodes) + " nodes, " +
                     std::to_string(operations) + " operations on " + std::to_string(keys) +
                     " keys in " + std::to_string(duration_milliseconds) + " ms; faults:";
  if (loss > 0) text += " loss " + std::to_string(loss);
  if (duplicate > 0) text += " duplicate " + std::to_string(duplicate);
  for (const auto& [is_on, name] : {std::pair{reorder, " reorder"},
                                    {long_delay, " delay"},
                                    {partition, " partition"},
                                    {crash, " crash"},
                                    {pause, " pause"},
                                    {skew, " skew"},
                                    {slow_disk, " slow-disk"},
                                    {leave, " leave"},
                                    {late_joiners > 0, " late-join"},
                                    {flush, " flush"},
                                    {second_collection, " collections"},
                                    {clock_jump, " clock-jump"},
                                    {clock_strobe, " clock-strobe"},
                                    {clock_drift, " clock-drift"},
                                    {keep_conflicts, " keep-conflicts"},
                                    {evict, " evict"},
                                    {retire, " retire"},
                                    {stall, " stall"},
                                    {uneven, " uneven"},
                                    {lose_news, " lose-news"},
                                    {counters, " counters"},
                                    {sessions, " sessions"}}) {
    if (is_on) text += name;
  }
  return text + ", clocks up to " + std::to_string(max_clock_offset_milliseconds) + " ms";
}

void Totals::add(const Totals& other) {
  operations += other.operations;
  acknowledged += other.acknowledged;
  reads += other.reads;
  level_writes += other.level_writes;
  level_timeouts += other.level_timeouts;
  register_sets += other.register_sets;
  register_gets += other.register_gets;
  messages += other.messages;
  lost += other.lost;
  duplicated += other.duplicated;
  reordered += other.reordered;
  delayed += other.delayed;
  parts += other.parts;
  partitions += other.partitions;
  crashes += other.crashes;
  batches_lost += other.batches_lost;
  pauses += other.pauses;
  skewed += other.skewed;
  clock_jumps += other.clock_jumps;
  clock_strobes += other.clock_strobes;
  clock_drifts += other.clock_drifts;
  fenced_writes += other.fenced_writes;
  fenced_nodes += other.fenced_nodes;
  conflicts += other.conflicts;
  slow_syncs += other.slow_syncs;
  uneven_cuts += other.uneven_cuts;
  news_lost += other.news_lost;
  notes_failed += other.notes_failed;
  leaves += other.leaves;
  evictions += other.evictions;
  retirements += other.retirements;
  completed += other.completed;
  late_joins += other.late_joins;
  flushes += other.flushes;
  drops += other.drops;
  watched += other.watched;
  watchers_moved += other.watchers_moved;
  additions += other.additions;
  joins += other.joins;
  session_reads += other.session_reads;
  session_writes += other.session_writes;
  session_waits += other.session_waits;
  session_timeouts += other.session_timeouts;
  sessions_lost += other.sessions_lost;
  simulated_milliseconds += other.simulated_milliseconds;
}

}  // namespace dhrt::simulator
