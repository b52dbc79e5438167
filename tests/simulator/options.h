// What happens in one simulated history, all of it drawn from the seed (swarm testing: Groce et
// al. 2012): each fault is on in about half of the histories, so that they also meet alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "storage/base/random.h"

namespace dhrt::simulator {

// A mistake made on purpose, to prove that the checkers notice it.
enum class Mutant {
  none,
  ack_early,
  no_tombstone,
  reuse_sequence,
  merge_early,
  report_early,
  hasty,
  counter_last_writer,
  counter_any_base,
  counter_in_place,
  no_bump,
  no_clamp,
  no_fence,
  pull_uncompared,
  forget_early,
  forget_absent
};

inline std::optional<Mutant> parse_mutant(std::string_view name) {
  if (name == "none") return Mutant::none;
  if (name == "ack-early") return Mutant::ack_early;
  if (name == "no-tombstone") return Mutant::no_tombstone;
  if (name == "reuse-sequence") return Mutant::reuse_sequence;
  if (name == "merge-early") return Mutant::merge_early;
  if (name == "report-early") return Mutant::report_early;
  if (name == "hasty") return Mutant::hasty;
  if (name == "counter-last-writer") return Mutant::counter_last_writer;
  if (name == "counter-any-base") return Mutant::counter_any_base;
  if (name == "counter-in-place") return Mutant::counter_in_place;
  if (name == "no-bump") return Mutant::no_bump;
  if (name == "no-clamp") return Mutant::no_clamp;
  if (name == "no-fence") return Mutant::no_fence;
  if (name == "pull-uncompared") return Mutant::pull_uncompared;
  if (name == "forget-early") return Mutant::forget_early;
  if (name == "forget-absent") return Mutant::forget_absent;
  return std::nullopt;
}

struct SimulationOptions {
  std::uint64_t seed = 1;
  std::size_t nodes = 3;
  std::size_t operations = 300;
  std::size_t keys = 8;
  std::uint64_t duration_milliseconds = 60000;  // Of the phase with faults.
  // Faults.
  double loss = 0;       // Of each message.
  double duplicate = 0;  // Of each message.
  bool reorder = false;
  bool long_delay = false;
  bool partition = false;
  bool crash = false;
  bool pause = false;
  bool skew = false;       // Wall clocks differ by up to an hour.
  bool slow_disk = false;  // A sync takes up to two seconds.
  bool leave = false;      // Clean leave and return.
  bool late_join = false;  // The last node joins in the middle.
  bool flush = false;
  bool second_collection = false;  // With creates and drops.
  bool clock_jump = false;         // Wall clocks are set, by up to an hour.
  bool clock_strobe = false;       // One goes there and back, many times within seconds.
  bool clock_drift = false;        // They run too fast or too slow by up to 1 %.
  bool keep_conflicts = false;     // The second collection keeps what concurrent writes lose.
  // Beyond it a node takes no writes; hours: they write whatever their clocks show.
  std::int64_t max_clock_offset_milliseconds = 500;
  bool evict = false;  // Who is dead or has left is given up at once, and comes back.
  // One node stands still for two seconds, again and again, and is never to be called dead.
  bool stall = false;
  bool counters = false;  // Increments, in a collection of their own.
  Mutant mutant = Mutant::none;

  static SimulationOptions from_seed(std::uint64_t seed);
  // Five nodes that store nothing, for so long: who is alive is all that is asked.
  static SimulationOptions membership(std::uint64_t seed, std::uint64_t hours);
  std::string describe() const;
};

// How often something happened; summed over the seeds of a run.
struct Totals {
  std::uint64_t operations = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t reads = 0;
  std::uint64_t messages = 0;
  std::uint64_t lost = 0;
  std::uint64_t duplicated = 0;
  std::uint64_t reordered = 0;
  std::uint64_t delayed = 0;
  std::uint64_t parts = 0;  // Of large messages under way.
  std::uint64_t partitions = 0;
  std::uint64_t crashes = 0;
  std::uint64_t batches_lost = 0;  // Unsynced batches that a crash took.
  std::uint64_t pauses = 0;
  std::uint64_t skewed = 0;
  std::uint64_t clock_jumps = 0;
  std::uint64_t clock_strobes = 0;
  std::uint64_t clock_drifts = 0;
  std::uint64_t fenced_writes = 0;  // That were refused.
  std::uint64_t fenced_nodes = 0;   // At the end.
  std::uint64_t conflicts = 0;      // That nodes noticed.
  std::uint64_t slow_syncs = 0;
  std::uint64_t leaves = 0;
  std::uint64_t evictions = 0;
  std::uint64_t late_joins = 0;
  std::uint64_t flushes = 0;
  std::uint64_t drops = 0;
  std::uint64_t watched = 0;         // Events that were told to who watches.
  std::uint64_t watchers_moved = 0;  // To another node, with a token.
  std::uint64_t additions = 0;
  std::uint64_t joins = 0;  // Of records of a counter, in the last start of each node.
  std::uint64_t simulated_milliseconds = 0;

  void add(const Totals& other);
};

}  // namespace dhrt::simulator
