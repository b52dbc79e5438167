// The write-ahead log alone: what a frame costs, by how many records share it.
#include <filesystem>

#include "storage/log_writer.h"
#include "tests/bench/storage/figures.h"
#include "tests/bench/storage/waiter.h"

namespace dhrt::bench {

namespace {

constexpr Origin own{1, 1, 0};

RecordView record_of(std::uint64_t sequence, Bytes value) {
  RecordView record;
  record.version = {sequence << hlc_counter_bits, own.node};
  record.dot = {own, sequence};
  record.value = value;
  return record;
}

struct Load {
  std::uint64_t records;
  std::uint64_t group;  // Records of a frame.
  std::size_t value_bytes;
  bool waits;          // For each frame to be synced, as a client of it would.
  Position first = 1;  // Of the frames.
};

Status append(LogWriter& log, Waiter& waiter, const Load& load) {
  const CollectionRef collection{"default", 1};
  const std::string value(load.value_bytes, 'x');
  std::string key;
  Position position = load.first - 1;
  for (std::uint64_t sequence = 0; sequence < load.records;) {
    if (auto room = log.reserve(load.group * (load.value_bytes + 100), false); !room) return room;
    for (std::uint64_t i = 0; i < load.group; ++i) {
      write_random_key(++sequence, key);
      log.frame().add_record(collection, key, record_of(sequence, value), true);
    }
    log.commit(++position);
    if (load.waits) waiter.wait_until([&] { return log.synced() >= position || !log.health(); });
    log.release(log.synced());
  }
  return log.health();
}

Result<Figure> measure(const StorageBenchOptions& options, Durability durability,
                       const std::string& name, std::uint64_t group) {
  LogOptions log_options;
  log_options.directory = options.directory + "/" + name + std::to_string(group);
  std::filesystem::create_directory(log_options.directory);
  log_options.node = own.node;
  log_options.id = {own.epoch, own.loop};
  log_options.durability = durability;
  log_options.segment_bytes = std::size_t{1} << 20;
  Waiter waiter;  // Outlives the log, whose thread calls it.
  log_options.wake = [&waiter] { waiter.wake(); };
  auto log = LogWriter::open(log_options);
  if (!log) return tl::unexpected(log.error());
  // A sync per group: fewer of them take long enough.
  const std::uint64_t groups = durability == Durability::sync ? 2000 : 200'000 / group + 5000;
  const std::uint64_t records = group * (options.quick ? groups / 20 : groups);
  // Enough before that segments are used again, as they are after the first minutes of a node.
  constexpr std::uint64_t frames_before = 330;
  Load load{frames_before * 64, 64, options.value_bytes, false};
  if (auto begun = append(**log, waiter, load); !begun) return tl::unexpected(begun.error());
  load.waits = durability == Durability::sync;
  load.group = group;
  load.records = records;
  load.first = frames_before + 1;
  const Stopwatch watch;
  if (auto done = append(**log, waiter, load); !done) return tl::unexpected(done.error());
  if (auto synced = (*log)->sync_now(); !synced) return tl::unexpected(synced.error());
  const double per_record = 1e6 / static_cast<double>(records);
  return Figure{name + ", " + std::to_string(group) + " records a frame",
                watch.seconds() * per_record, "us", std::nullopt,
                "CPU " + std::to_string(watch.cpu_seconds() * per_record) + " us"};
}

Result<Figures> log_append(const StorageBenchOptions& options) {
  Figures figures;
  for (const std::uint64_t group : {1U, 16U, 64U}) {
    auto none = measure(options, Durability::none, "append", group);
    if (!none) return tl::unexpected(none.error());
    figures.push_back(*none);
  }
  for (const std::uint64_t group : {1U, 16U, 64U}) {
    auto sync = measure(options, Durability::sync, "append and sync", group);
    if (!sync) return tl::unexpected(sync.error());
    figures.push_back(*sync);
  }
  return figures;
}

}  // namespace

std::vector<Group> log_groups() {
  return {{"log-append", "write-ahead log, per record", log_append}};
}

}  // namespace dhrt::bench
