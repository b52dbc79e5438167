// What happens in one simulated history, all of it drawn from the seed (swarm testing: Groce et
// al. 2012): each fault is on in about half of the histories, so that they also meet alone.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cluster/options.h"
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
  counter_join_replaced,
  counter_join_uncompared,
  no_bump,
  no_clamp,
  no_fence,
  pull_uncompared,
  forget_early,
  forget_absent,
  count_unacknowledged,
  majority_of_reachable,
  joining_votes,
  no_write_back,
  all_let_through,
  no_pull_to_vote,
  no_layout_stamp,
  answer_unnoted,
  nothing_known,
  no_pull_to_retire,
  no_pull_to_complete,
  next_not_counted,
  session_unwaited,
  session_reads_forgotten
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
  if (name == "counter-join-replaced") return Mutant::counter_join_replaced;
  if (name == "counter-join-uncompared") return Mutant::counter_join_uncompared;
  if (name == "no-bump") return Mutant::no_bump;
  if (name == "no-clamp") return Mutant::no_clamp;
  if (name == "no-fence") return Mutant::no_fence;
  if (name == "pull-uncompared") return Mutant::pull_uncompared;
  if (name == "forget-early") return Mutant::forget_early;
  if (name == "forget-absent") return Mutant::forget_absent;
  if (name == "count-unacknowledged") return Mutant::count_unacknowledged;
  if (name == "majority-of-reachable") return Mutant::majority_of_reachable;
  if (name == "joining-votes") return Mutant::joining_votes;
  if (name == "no-write-back") return Mutant::no_write_back;
  if (name == "all-let-through") return Mutant::all_let_through;
  if (name == "no-pull-to-vote") return Mutant::no_pull_to_vote;
  if (name == "no-layout-stamp") return Mutant::no_layout_stamp;
  if (name == "answer-unnoted") return Mutant::answer_unnoted;
  if (name == "nothing-known") return Mutant::nothing_known;
  if (name == "no-pull-to-retire") return Mutant::no_pull_to_retire;
  if (name == "no-pull-to-complete") return Mutant::no_pull_to_complete;
  if (name == "next-not-counted") return Mutant::next_not_counted;
  if (name == "session-unwaited") return Mutant::session_unwaited;
  if (name == "session-reads-forgotten") return Mutant::session_reads_forgotten;
  return std::nullopt;
}

// What of it is the core's own.
inline LevelMutant level_mutant(Mutant mutant) {
  switch (mutant) {
    case Mutant::count_unacknowledged:
      return LevelMutant::count_unacknowledged;
    case Mutant::majority_of_reachable:
      return LevelMutant::majority_of_reachable;
    case Mutant::joining_votes:
      return LevelMutant::joining_votes;
    case Mutant::no_write_back:
      return LevelMutant::no_write_back;
    case Mutant::all_let_through:
      return LevelMutant::all_let_through;
    case Mutant::no_pull_to_vote:
      return LevelMutant::no_pull_to_vote;
    case Mutant::no_layout_stamp:
      return LevelMutant::no_layout_stamp;
    case Mutant::answer_unnoted:
      return LevelMutant::answer_unnoted;
    case Mutant::nothing_known:
      return LevelMutant::nothing_known;
    case Mutant::no_pull_to_retire:
      return LevelMutant::no_pull_to_retire;
    case Mutant::no_pull_to_complete:
      return LevelMutant::no_pull_to_complete;
    case Mutant::next_not_counted:
      return LevelMutant::next_not_counted;
    default:
      return LevelMutant::none;
  }
}

// Of the time that a history takes, for a brief one.
inline constexpr std::uint64_t brief_share = 6;

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
  bool skew = false;             // Wall clocks differ by up to an hour.
  bool slow_disk = false;        // A sync takes up to two seconds.
  bool leave = false;            // Clean leave and return.
  std::size_t late_joiners = 0;  // The last nodes join in the middle.
  bool flush = false;
  bool second_collection = false;  // With creates and drops.
  bool clock_jump = false;         // Wall clocks are set, by up to an hour.
  bool clock_strobe = false;       // One goes there and back, many times within seconds.
  bool clock_drift = false;        // They run too fast or too slow by up to 1 %.
  bool keep_conflicts = false;     // The second collection keeps what concurrent writes lose.
  // Beyond it a node takes no writes; hours: they write whatever their clocks show.
  std::int64_t max_clock_offset_milliseconds = 500;
  // Deletes are kept for two seconds after everybody has them.
  bool remembers_deletes() const { return seed % 3 == 0; }
  bool retire = false;     // Voters are retired, whether they are there or not.
  bool evict = false;      // Who is dead or has left is given up at once, and comes back.
  bool uneven = false;     // Partitions that cut some pairs of nodes and not others.
  bool lose_news = false;  // Half of what is told of a new layout is lost.
  bool levels = true;      // Writes at quorum and all, registers at linear.
  bool brief = false;      // Few events on few keys, with faults that follow each other quickly.
  // One node stands still for two seconds, again and again, and is never to be called dead.
  bool stall = false;
  bool counters = false;  // Increments, in a collection of their own.
  bool sessions = false;  // Clients that carry what they saw from node to node.
  Mutant mutant = Mutant::none;

  static SimulationOptions from_seed(std::uint64_t seed);
  // The same faults in a history of at most 200 operations on at most three keys, of 3 or 4 nodes.
  static SimulationOptions briefly(std::uint64_t seed);
  // Five nodes that store nothing, for so long: who is alive is all that is asked.
  static SimulationOptions membership(std::uint64_t seed, std::uint64_t hours);
  std::string describe() const;
};

// How often something happened; summed over the seeds of a run.
struct Totals {
  std::uint64_t operations = 0;
  std::uint64_t acknowledged = 0;
  std::uint64_t reads = 0;
  std::uint64_t level_writes = 0;    // Acknowledged at quorum or all.
  std::uint64_t level_timeouts = 0;  // Not in time.
  std::uint64_t register_sets = 0;   // Done at linear.
  std::uint64_t register_gets = 0;
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
  std::uint64_t uneven_cuts = 0;   // Partitions of that kind.
  std::uint64_t news_lost = 0;     // Messages that tell of a layout.
  std::uint64_t notes_failed = 0;  // Of layouts, on the disk.
  std::uint64_t leaves = 0;
  std::uint64_t evictions = 0;
  std::uint64_t retirements = 0;  // That were asked for.
  std::uint64_t completed = 0;    // Nodes that others made voters, having let them in.
  std::uint64_t late_joins = 0;
  std::uint64_t flushes = 0;
  std::uint64_t drops = 0;
  std::uint64_t watched = 0;         // Events that were told to who watches.
  std::uint64_t watchers_moved = 0;  // To another node, with a token.
  std::uint64_t additions = 0;
  std::uint64_t joins = 0;             // Of records of a counter, in the last start of each node.
  std::uint64_t session_reads = 0;     // Answered.
  std::uint64_t session_writes = 0;    // Acknowledged.
  std::uint64_t session_waits = 0;     // What the session saw was not there yet.
  std::uint64_t session_timeouts = 0;  // Nor in time.
  std::uint64_t sessions_lost = 0;     // And will never be.
  std::uint64_t simulated_milliseconds = 0;

  void add(const Totals& other);
};

}  // namespace dhrt::simulator
