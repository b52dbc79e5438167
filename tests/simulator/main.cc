// dhrt-simulator: runs histories from seeds, stops at the first that breaks an invariant.
#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "tests/simulator/detection.h"
#include "tests/simulator/simulation.h"

namespace {

using namespace dhrt::simulator;  // A program, not a header.

constexpr std::string_view usage =
    "usage: dhrt-simulator [--seed N | --seeds A..B]\n"
    "                      [--brief | --membership HOURS | --detection NODES]\n"
    "                      [--mutant NAME [--expect-failure]]\n"
    "\n"
    "  --seed N          run one history, print all about it; run it twice and compare\n"
    "  --seeds A..B      run all histories from A to B (default 1..500)\n"
    "  --brief           histories of at most 200 operations on three keys, of 3 or 4 nodes\n"
    "  --membership HOURS  five nodes that store nothing for so long, one of which keeps\n"
    "                    standing still: nobody is to be called dead\n"
    "  --detection NODES  10 deaths and 10 leaves in a cluster of so many that store\n"
    "                    nothing (2 to 1000): how soon everybody knows\n"
    "  --mutant NAME     make a mistake on purpose: ack-early, no-tombstone,\n"
    "                    reuse-sequence, merge-early, report-early,\n"
    "                    counter-last-writer, counter-any-base, counter-in-place,\n"
    "                    counter-join-replaced, counter-join-uncompared, no-bump, no-clamp,\n"
    "                    no-fence, pull-uncompared, forget-early, forget-absent,\n"
    "                    count-unacknowledged,\n"
    "                    majority-of-reachable, joining-votes, no-write-back,\n"
    "                    all-let-through, no-pull-to-vote, no-layout-stamp,\n"
    "                    answer-unnoted, nothing-known, no-pull-to-retire,\n"
    "                    no-pull-to-complete, next-not-counted, session-unwaited,\n"
    "                    session-reads-forgotten, hasty (membership)\n"
    "  --expect-failure  succeed only if an invariant is broken\n"
    "\n"
    "exit codes: 0 all invariants held (or broke, if expected), 1 not so, 2 usage\n";

// A full mesh: a thousand nodes are a million connections, and some gigabytes.
constexpr std::uint64_t detection_nodes_max = 1000;
// Larger clusters take minutes: how far it is goes to standard error.
constexpr std::uint64_t told_from_nodes = 100;

struct Arguments {
  std::uint64_t first = 1;
  std::uint64_t last = 500;
  bool single = false;
  bool expect_failure = false;
  bool brief = false;
  std::uint64_t membership_hours = 0;  // 0: histories with data.
  std::uint64_t detection_nodes = 0;   // 0: as well.
  Mutant mutant = Mutant::none;
  std::string mutant_name;
};

bool parse_number(std::string_view text, std::uint64_t& number) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse(int argc, char** argv, Arguments& arguments) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--expect-failure") {
      arguments.expect_failure = true;
      continue;
    }
    if (flag == "--brief") {
      arguments.brief = true;
      continue;
    }
    if (i + 1 >= argc) return false;
    const std::string_view value = argv[++i];
    if (flag == "--seed") {
      arguments.single = true;
      if (!parse_number(value, arguments.first)) return false;
      arguments.last = arguments.first;
    } else if (flag == "--seeds") {
      const auto dots = value.find("..");
      if (dots == std::string_view::npos || !parse_number(value.substr(0, dots), arguments.first) ||
          !parse_number(value.substr(dots + 2), arguments.last))
        return false;
    } else if (flag == "--membership") {
      if (!parse_number(value, arguments.membership_hours) || arguments.membership_hours == 0)
        return false;
    } else if (flag == "--detection") {
      if (!parse_number(value, arguments.detection_nodes) || arguments.detection_nodes < 2 ||
          arguments.detection_nodes > detection_nodes_max)
        return false;
    } else if (flag == "--mutant") {
      const auto mutant = parse_mutant(value);
      if (!mutant) return false;
      arguments.mutant = *mutant;
      arguments.mutant_name = value;
    } else {
      return false;
    }
  }
  return true;
}

struct Fault {
  const char* name;
  std::uint64_t Totals::*counter;
};
constexpr std::array faults{
    Fault{"messages lost", &Totals::lost},
    Fault{"duplicated", &Totals::duplicated},
    Fault{"reordered", &Totals::reordered},
    Fault{"long delays", &Totals::delayed},
    Fault{"partitions", &Totals::partitions},
    Fault{"crashes", &Totals::crashes},
    Fault{"pauses", &Totals::pauses},
    Fault{"skewed clocks", &Totals::skewed},
    Fault{"slow syncs", &Totals::slow_syncs},
    Fault{"uneven cuts", &Totals::uneven_cuts},
    Fault{"lost layouts", &Totals::news_lost},
    Fault{"failed notes", &Totals::notes_failed},
    Fault{"leaves", &Totals::leaves},
    Fault{"evictions", &Totals::evictions},
    Fault{"retirements", &Totals::retirements},
    Fault{"late joins", &Totals::late_joins},
    Fault{"flushes", &Totals::flushes},
    Fault{"collection drops", &Totals::drops},
    Fault{"parts of messages", &Totals::parts},
    Fault{"clock jumps", &Totals::clock_jumps},
    Fault{"clock strobes", &Totals::clock_strobes},
    Fault{"clock drifts", &Totals::clock_drifts},
    Fault{"fenced writes", &Totals::fenced_writes},
    Fault{"conflicts", &Totals::conflicts},
    Fault{"increments", &Totals::additions},
    Fault{"joins", &Totals::joins},
    Fault{"session waits", &Totals::session_waits},
};

SimulationOptions options_of(const Arguments& arguments, std::uint64_t seed) {
  SimulationOptions options = arguments.membership_hours > 0
                                  ? SimulationOptions::membership(seed, arguments.membership_hours)
                              : arguments.brief ? SimulationOptions::briefly(seed)
                                                : SimulationOptions::from_seed(seed);
  options.mutant = arguments.mutant;
  return options;
}

void print_failure(const Arguments& arguments, std::uint64_t seed, const Outcome& outcome) {
  std::string text = options_of(arguments, seed).describe() + "\n" + *outcome.violation +
                     "\nreplay: dhrt-simulator --seed " + std::to_string(seed);
  if (arguments.membership_hours > 0)
    text += " --membership " + std::to_string(arguments.membership_hours);
  if (arguments.brief) text += " --brief";
  if (arguments.mutant != Mutant::none) text += " --mutant " + arguments.mutant_name;
  text += "\n";
  // Values are binary: the text may hold zero bytes.
  std::fwrite(text.data(), 1, text.size(), stdout);
}

struct Sums {
  Totals totals;
  std::array<std::uint64_t, faults.size()> seeds_with{};
  std::uint64_t slowest_convergence = 0;
};

// False if a fault is too rare to prove anything.
bool print_totals(const Sums& sums, std::uint64_t seeds, bool all_faults) {
  std::printf(
      "%llu seeds, %.1f simulated hours: %llu operations, %llu acknowledged, "
      "%llu messages, slowest convergence %.1f s\n",
      static_cast<unsigned long long>(seeds),
      static_cast<double>(sums.totals.simulated_milliseconds) / 3.6e6,
      static_cast<unsigned long long>(sums.totals.operations),
      static_cast<unsigned long long>(sums.totals.acknowledged),
      static_cast<unsigned long long>(sums.totals.messages),
      static_cast<double>(sums.slowest_convergence) / 1000.0);
  std::printf(
      "levels: %llu writes, %llu sets and %llu gets of registers, %llu not in time, %llu "
      "let in and away\n",
      static_cast<unsigned long long>(sums.totals.level_writes),
      static_cast<unsigned long long>(sums.totals.register_sets),
      static_cast<unsigned long long>(sums.totals.register_gets),
      static_cast<unsigned long long>(sums.totals.level_timeouts),
      static_cast<unsigned long long>(sums.totals.completed));
  std::printf("sessions: %llu reads, %llu writes, %llu waited, %llu not in time, %llu lost\n",
              static_cast<unsigned long long>(sums.totals.session_reads),
              static_cast<unsigned long long>(sums.totals.session_writes),
              static_cast<unsigned long long>(sums.totals.session_waits),
              static_cast<unsigned long long>(sums.totals.session_timeouts),
              static_cast<unsigned long long>(sums.totals.sessions_lost));
  std::printf("unsynced batches lost in crashes: %llu\n",
              static_cast<unsigned long long>(sums.totals.batches_lost));
  bool covered = true;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    const double share =
        100.0 * static_cast<double>(sums.seeds_with[i]) / static_cast<double>(seeds);
    std::printf("  %-18s %9llu in %5.1f %% of the seeds\n", faults[i].name,
                static_cast<unsigned long long>(sums.totals.*faults[i].counter), share);
    if (all_faults && seeds >= 100 && share < 20.0) covered = false;
  }
  if (!covered) std::printf("a fault occurs in fewer than 20 %% of the seeds\n");
  return covered;
}

Outcome run(const Arguments& arguments, std::uint64_t seed) {
  return Simulation(options_of(arguments, seed)).run();
}

int run_all(const Arguments& arguments) {
  Sums sums;
  for (std::uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    const Outcome outcome = run(arguments, seed);
    sums.totals.add(outcome.totals);
    sums.slowest_convergence = std::max(sums.slowest_convergence, outcome.converged_milliseconds);
    for (std::size_t i = 0; i < faults.size(); ++i)
      sums.seeds_with[i] += outcome.totals.*faults[i].counter > 0 ? 1 : 0;
    if (outcome.violation) {
      print_failure(arguments, seed, outcome);
      return arguments.expect_failure ? 0 : 1;
    }
    if (arguments.single) {
      const bool same = run(arguments, seed).transcript == outcome.transcript;
      std::printf("%s\ntranscript %016llx, %s when run again\n",
                  options_of(arguments, seed).describe().c_str(),
                  static_cast<unsigned long long>(outcome.transcript),
                  same ? "the same" : "ANOTHER");
      if (!same) return 1;
    }
  }
  const bool covered = print_totals(sums, arguments.last - arguments.first + 1,
                                    arguments.membership_hours == 0 && !arguments.brief);
  if (!arguments.expect_failure) return covered ? 0 : 1;
  std::printf("the mistake was not noticed\n");
  return 1;
}

std::string in_words(std::vector<std::uint64_t> milliseconds) {
  std::ranges::sort(milliseconds);
  const auto at = [&](std::size_t percent) {
    const std::size_t place = milliseconds.size() * percent / 100;
    return std::to_string(milliseconds[std::min(place, milliseconds.size() - 1)]);
  };
  return at(50) + " p50, " + at(99) + " p99, " + std::to_string(milliseconds.back()) + " max (" +
         std::to_string(milliseconds.size()) + " times)";
}

int detect(const Arguments& arguments) {
  constexpr std::uint64_t rounds = 10;
  std::vector<std::uint64_t> wholes;
  std::vector<std::uint64_t> deaths;
  std::vector<std::uint64_t> leaves;
  for (std::uint64_t seed = arguments.first; seed <= arguments.last; ++seed) {
    const auto tell = [&](const std::string& how_far) {
      if (arguments.detection_nodes > told_from_nodes)
        std::fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed),
                     how_far.c_str());
    };
    const auto times = Detection(seed, arguments.detection_nodes).run(rounds, tell);
    if (!times) {
      std::printf(
          "MEMB: not everybody knew in time\nreplay: dhrt-simulator --seed %llu "
          "--detection %llu\n",
          static_cast<unsigned long long>(seed),
          static_cast<unsigned long long>(arguments.detection_nodes));
      return 1;
    }
    wholes.push_back(times->whole_milliseconds);
    deaths.insert(deaths.end(), times->death_milliseconds.begin(), times->death_milliseconds.end());
    leaves.insert(leaves.end(), times->leave_milliseconds.begin(), times->leave_milliseconds.end());
  }
  std::printf("%llu nodes, milliseconds of simulated time until all know\n",
              static_cast<unsigned long long>(arguments.detection_nodes));
  std::printf("  each other, from the start  %s\n", in_words(wholes).c_str());
  std::printf("  of a death                  %s\n", in_words(deaths).c_str());
  std::printf("  of a leave                  %s\n", in_words(leaves).c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr, "%s", usage.data());
    return 2;
  }
  return arguments.detection_nodes > 0 ? detect(arguments) : run_all(arguments);
}
