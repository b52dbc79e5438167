// The engine whole: table, durable writes, checkpoint, scans, files and starts.
#include <algorithm>
#include <array>
#include <malloc.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/storage/session.h"

namespace dhrt::bench {

namespace {

constexpr double memory_bytes_target = 165;
constexpr double file_bytes_target = 265;
constexpr double clean_start_target = 1;  // Seconds for up to a million records.
constexpr double crash_start_target = 3;

double per(double amount, std::uint64_t count) {
  return amount / static_cast<double>(count);
}

Figure figure(std::string name, double value, std::string unit,
              std::optional<double> target = std::nullopt) {
  return {std::move(name), value, std::move(unit), target, ""};
}

// --- Memory mode.

Status measure_table(const StorageBenchOptions& options, std::uint64_t records, Figures& figures) {
  const std::string of = ", " + std::to_string(records) + " records";
  ::malloc_trim(0);  // What an earlier engine left behind would be counted as free.
  const std::uint64_t before = resident_bytes();
  auto session = Session::open(quiet_options(""), true, options.value_bytes);
  if (!session) return tl::unexpected(session.error());
  const Stopwatch filling;
  if (auto put = (*session)->put(0, records, batch_keys, false); !put) return put;
  figures.push_back(figure("insert" + of, per(filling.cpu_seconds() * 1e9, records), "ns CPU"));
  const auto resident = static_cast<double>(resident_bytes() - before);
  figures.push_back(
      figure("memory a record" + of, per(resident, records), "bytes", memory_bytes_target));
  const auto counted = static_cast<double>((*session)->engine().figures().memory_bytes);
  figures.push_back(figure("the same by the engine's own count", per(counted, records), "bytes"));

  const std::uint64_t operations = options.quick ? 100'000 : 5'000'000;
  const Stopwatch getting;
  if (auto got = (*session)->get(operations, records, 1); !got) return got;
  figures.push_back(figure("get" + of, per(getting.cpu_seconds() * 1e9, operations), "ns CPU"));
  const Stopwatch setting;
  if (auto set = (*session)->overwrite(operations, records, 2); !set) return set;
  figures.push_back(figure("set" + of, per(setting.cpu_seconds() * 1e9, operations), "ns CPU"));

  const Stopwatch ordering;  // The first scan builds the order.
  if (auto first = (*session)->scan(); !first) return tl::unexpected(first.error());
  figures.push_back(
      figure("first ordered scan" + of, per(ordering.seconds() * 1e9, records), "ns"));
  const Stopwatch scanning;
  const auto scanned = (*session)->scan();
  if (!scanned) return tl::unexpected(scanned.error());
  if (*scanned != records)
    return fail(ErrorCode::corrupt, "a scan saw " + std::to_string(*scanned) + " records");
  figures.push_back(figure("ordered scan" + of, per(scanning.seconds() * 1e9, records), "ns"));
  return {};
}

Result<Figures> table_group(const StorageBenchOptions& options) {
  Figures figures;
  if (auto one = measure_table(options, options.records_or(1'000'000), figures); !one)
    return tl::unexpected(one.error());
  if (options.quick || options.records != 0) return figures;
  if (auto ten = measure_table(options, 10'000'000, figures); !ten)
    return tl::unexpected(ten.error());
  return figures;
}

// --- Durable writes.

Status measure_set(const StorageBenchOptions& options, Durability durability,
                   const std::string& name, Figures& figures) {
  for (const std::size_t group : {std::size_t{1}, std::size_t{16}, batch_keys}) {
    EngineOptions engine = quiet_options(options.directory + "/" + name + std::to_string(group));
    engine.durability = durability;
    auto session = Session::open(engine, false, options.value_bytes);
    if (!session) return tl::unexpected(session.error());
    const bool waits = durability == Durability::sync;
    const std::uint64_t turns = options.quick ? 200 : waits ? 3000 : 500'000 / group;
    const std::uint64_t records = turns * group;
    // Some before, so that the log's segments are there.
    constexpr std::uint64_t before = 32 * batch_keys;
    if (auto put = (*session)->put(0, before, batch_keys, waits); !put) return put;
    const Stopwatch watch;
    if (auto put = (*session)->put(before, records, group, waits); !put) return put;
    figures.push_back(figure("set " + name + ", " + std::to_string(group) + " a turn",
                             per(watch.seconds() * 1e6, records), "us"));
    figures.back().note = "CPU " + std::to_string(per(watch.cpu_seconds() * 1e6, records)) + " us";
  }
  return {};
}

Result<Figures> set_group(const StorageBenchOptions& options) {
  Figures figures;
  for (const auto& [durability, name] :
       {std::pair{Durability::none, "none"}, std::pair{Durability::interval, "interval"},
        std::pair{Durability::sync, "sync"}})
    if (auto measured = measure_set(options, durability, name, figures); !measured)
      return tl::unexpected(measured.error());
  return figures;
}

// --- Files.

Result<Figures> file_group(const StorageBenchOptions& options) {
  const std::uint64_t records = options.records_or(10'000'000);
  // Checkpoints by size, as in use: what is written in order by chance is no measure.
  EngineOptions engine = quiet_options(options.directory + "/data");
  engine.checkpoint_bytes = std::size_t{256} << 20;
  engine.unflushed_max = std::size_t{1} << 30;
  auto session = Session::open(engine, false, options.value_bytes);
  if (!session) return tl::unexpected(session.error());
  const Stopwatch filling;
  // On a slow disk the inserts wait for a checkpoint, as clients would.
  constexpr std::uint64_t slice = 100'000;
  for (std::uint64_t done = 0; done < records; done += slice) {
    const std::uint64_t now = std::min(slice, records - done);
    if (auto put = (*session)->put(done, now, batch_keys, false); !put)
      return tl::unexpected(put.error());
    if ((*session)->engine().figures().unflushed_bytes < engine.unflushed_max / 2) continue;
    if (auto caught_up = (*session)->engine().checkpoint(); !caught_up)
      return tl::unexpected(caught_up.error());
  }
  const Stopwatch rest;
  if (auto done = (*session)->engine().checkpoint(); !done) return tl::unexpected(done.error());
  Figures figures;
  figures.push_back(figure("insert with checkpoints, until all is in the file",
                           per(filling.seconds() * 1e6, records), "us"));
  figures.back().note = "CPU " + std::to_string(per(filling.cpu_seconds() * 1e6, records)) + " us";
  figures.push_back(figure("the last checkpoint", rest.seconds(), "s"));
  const EngineFigures found = (*session)->engine().figures();
  figures.push_back(figure("file a record, " + std::to_string(records) + " random inserts",
                           per(static_cast<double>(found.file_bytes), records), "bytes",
                           file_bytes_target));
  const Stopwatch scanning;
  const auto scanned = (*session)->scan();
  if (!scanned) return tl::unexpected(scanned.error());
  figures.push_back(
      figure("ordered scan of the file", per(scanning.seconds() * 1e9, records), "ns"));
  return figures;
}

Result<Figures> checkpoint_group(const StorageBenchOptions& options) {
  const std::uint64_t records = options.records_or(1'000'000);
  auto session =
      Session::open(quiet_options(options.directory + "/data"), false, options.value_bytes);
  if (!session) return tl::unexpected(session.error());
  Figures figures;
  for (const char* name : {"checkpoint of new records", "checkpoint of overwritten records"}) {
    if (auto put = (*session)->put(0, records, batch_keys, false); !put)
      return tl::unexpected(put.error());
    const Stopwatch watch;
    if (auto done = (*session)->engine().checkpoint(); !done) return tl::unexpected(done.error());
    figures.push_back(figure(name, per(watch.seconds() * 1e6, records), "us"));
    figures.back().note =
        "CPU " + std::to_string(per(watch.cpu_seconds() * 1e6, records)) + " us a record";
  }
  return figures;
}

// --- Starts.

// In a process of its own, which ends as a killed one does: nothing is said to the engine.
Status fill_and_die(const EngineOptions& engine, std::uint64_t records, std::size_t value_bytes) {
  const pid_t child = ::fork();
  if (child < 0) return fail(ErrorCode::io, "fork failed");
  if (child == 0) {
    auto session = Session::open(engine, false, value_bytes);
    const bool filled =
        session && (*session)->put(0, records, batch_keys, false) && (*session)->store().drain();
    ::_exit(filled ? 0 : 1);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail(ErrorCode::io, "the process that fills the engine failed");
  return {};
}

// Opens what is there, checks that all of it is, and says how long the opening took.
Result<double> start_seconds(const EngineOptions& engine, std::uint64_t records,
                             std::size_t value_bytes, bool stops) {
  const Stopwatch watch;
  auto session = Session::open(engine, false, value_bytes);
  if (!session) return tl::unexpected(session.error());
  const double seconds = watch.seconds();
  if (auto all = (*session)->get(64 * 100, records, 1); !all) return tl::unexpected(all.error());
  const std::uint64_t live = (*session)->collection().counts().live;
  if (live != records)
    return fail(ErrorCode::corrupt, "a start found " + std::to_string(live) + " records");
  if (stops)
    if (auto stopped = (*session)->engine().stop(); !stopped)
      return tl::unexpected(stopped.error());
  return seconds;
}

Status measure_starts(const StorageBenchOptions& options, std::uint64_t records, Figures& figures) {
  EngineOptions engine = quiet_options(options.directory + "/" + std::to_string(records));
  if (auto filled = fill_and_die(engine, records, options.value_bytes); !filled) return filled;
  const std::string of = std::to_string(records) + " records";
  const double scale = std::max(1.0, static_cast<double>(records) / 1e6);
  for (const bool crashed : {true, false}) {
    ++engine.run;
    const auto seconds = start_seconds(engine, records, options.value_bytes, crashed);
    if (!seconds) return tl::unexpected(seconds.error());
    figures.push_back(
        figure((crashed ? "start after a crash, all in the log, " : "clean start, ") + of, *seconds,
               "s", scale * (crashed ? crash_start_target : clean_start_target)));
  }
  return {};
}

Result<Figures> start_group(const StorageBenchOptions& options) {
  Figures figures;
  if (auto one = measure_starts(options, options.records_or(1'000'000), figures); !one)
    return tl::unexpected(one.error());
  if (options.quick || options.records != 0) return figures;
  if (auto ten = measure_starts(options, 10'000'000, figures); !ten)
    return tl::unexpected(ten.error());
  return figures;
}

}  // namespace

std::vector<Group> engine_groups() {
  return {{"table", "collections in memory, batches of 64 with prefetch", table_group},
          {"set", "durable writes by durability and group", set_group},
          {"checkpoint", "all records at once, by checkpoint", checkpoint_group},
          {"file", "random inserts with checkpoints behind them", file_group},
          {"start", "recovery", start_group}};
}

}  // namespace dhrt::bench
