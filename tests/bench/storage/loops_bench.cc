// Several event loops over one engine, on processors of their own: what sharing records costs when
// nothing else wants the machine.
#include <algorithm>
#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "storage/base/random.h"
#include "storage/base/system_clock.h"
#include "storage/engine.h"
#include "storage/writer.h"
#include "tests/bench/storage/session.h"

namespace dhrt::bench {

namespace {

constexpr std::size_t records_ahead = 6;  // As in node/fast_commands.cc.
constexpr std::size_t rounds = 5;
constexpr double cost_target = 1.15;

// What one loop does to the store all the time: batches of 64 requests for random keys, as they
// come from a client that sends 64 at once.
class Loop {
 public:
  Loop(Store& store, Collection& collection, unsigned number, std::size_t value_bytes)
      : store_(store),
        collection_(collection),
        writer_(store, clock_, {1, 1, static_cast<std::uint16_t>(number)}),
        random_(number + 1),
        value_(value_bytes, 'x') {}

  Status run(std::uint64_t operations, std::uint64_t keyspace, bool writes) {
    for (std::uint64_t done = 0; done < operations; done += batch_keys) {
      for (std::size_t i = 0; i < batch_keys; ++i) {
        write_random_key(random_.below(keyspace), keys_[i]);
        const HashedKey key(keys_[i]);
        hashes_[i] = key.hash;
        collection_.prefetch(key);
      }
      if (auto status = turn(writes); !status) return status;
    }
    return {};
  }
  Status fill(std::uint64_t keyspace) {
    for (std::uint64_t i = 0; i < keyspace; ++i) {
      write_random_key(i, keys_[0]);
      hashes_[0] = HashedKey(keys_[0]).hash;
      if (auto status = write(0); !status) return status;
    }
    return end_turn();
  }

 private:
  Status turn(bool writes) {
    for (std::size_t i = 0; i < records_ahead; ++i)
      announce(i);
    for (std::size_t i = 0; i < batch_keys; ++i) {
      if (i + records_ahead < batch_keys) announce(i + records_ahead);
      if (auto status = writes ? write(i) : read(i); !status) return status;
    }
    return end_turn();
  }
  void announce(std::size_t i) { collection_.prefetch_record({keys_[i], hashes_[i]}); }
  Status write(std::size_t i) {
    const auto written = writer_.write(
        collection_, {.key = keys_[i], .hash = hashes_[i], .value = value_}, wall_now());
    return written ? Status() : tl::unexpected(written.error());
  }
  Status read(std::size_t i) {
    std::size_t bytes = 0;
    auto status = collection_.read({keys_[i], hashes_[i]}, [&](const RecordView* record) {
      if (record != nullptr) bytes = record->value.size();
    });
    if (status && bytes != value_.size())
      return fail(ErrorCode::corrupt, "a key that was written is not there");
    return status;
  }
  Status end_turn() {
    store_.commit();
    static_cast<void>(store_.collect());
    return store_.health();
  }

  Store& store_;
  Collection& collection_;
  HybridClock clock_;
  RecordWriter writer_;
  Random random_;
  std::string value_;
  std::array<std::string, batch_keys> keys_;
  std::array<std::uint64_t, batch_keys> hashes_{};
};

struct Bench {
  std::unique_ptr<Engine> engine;
  std::vector<std::unique_ptr<Loop>> loops;

  static Result<Bench> open(unsigned loops, const StorageBenchOptions& options,
                            std::uint64_t keyspace) {
    EngineOptions engine_options = quiet_options("");
    engine_options.loops = loops;
    auto engine = Engine::open(engine_options);
    if (!engine) return tl::unexpected(engine.error());
    Bench bench{.engine = std::move(*engine), .loops = {}};
    auto collection =
        bench.engine->store(0).open({CollectionRef{std::string(default_collection), 1}, true});
    if (!collection) return tl::unexpected(collection.error());
    for (unsigned i = 0; i < loops; ++i)
      bench.loops.push_back(
          std::make_unique<Loop>(bench.engine->store(i), **collection, i, options.value_bytes));
    if (auto filled = bench.loops[0]->fill(keyspace); !filled)
      return tl::unexpected(filled.error());
    return bench;
  }

  // CPU nanoseconds and wall nanoseconds per operation, of all loops at once.
  Result<std::array<double, 2>> measure(std::uint64_t operations, std::uint64_t keyspace,
                                        bool writes) {
    const std::uint64_t each = operations / loops.size();
    std::atomic<bool> failed{false};
    const Stopwatch watch;
    std::vector<std::thread> threads;
    for (const auto& loop : loops)
      threads.emplace_back([&] {
        if (!loop->run(each, keyspace, writes)) failed = true;
      });
    for (std::thread& thread : threads)
      thread.join();
    if (failed) return fail(ErrorCode::corrupt, "a loop failed");
    const auto all = static_cast<double>(each * loops.size());
    return std::array{watch.cpu_seconds() * 1e9 / all, watch.seconds() * 1e9 / all};
  }
};

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Result<Figures> loops_group(const StorageBenchOptions& options) {
  const std::uint64_t keyspace = options.records_or(100'000);
  const std::uint64_t operations = options.quick ? 20'000 : 2'000'000;
  auto one = Bench::open(1, options, keyspace);
  if (!one) return tl::unexpected(one.error());
  auto two = Bench::open(2, options, keyspace);
  if (!two) return tl::unexpected(two.error());
  Figures figures;
  for (const bool writes : {true, false}) {
    std::array<std::vector<double>, 6> found;
    for (std::size_t round = 0; round < rounds; ++round) {
      const auto of_one = one->measure(operations, keyspace, writes);
      if (!of_one) return tl::unexpected(of_one.error());
      const auto of_two = two->measure(operations, keyspace, writes);
      if (!of_two) return tl::unexpected(of_two.error());
      const auto& a = *of_one;
      const auto& b = *of_two;
      const std::array values{a[0], b[0], b[0] / a[0], 1e3 / a[1], 1e3 / b[1], a[1] / b[1]};
      for (std::size_t i = 0; i < values.size(); ++i)
        found[i].push_back(values[i]);
    }
    const std::string of = writes ? "set" : "get";
    figures.push_back({of + ", one loop", median(found[0]), "ns CPU", {}, ""});
    figures.push_back({of + ", two loops", median(found[1]), "ns CPU", {}, ""});
    figures.push_back({of + ", two against one", median(found[2]), "times", cost_target, ""});
    figures.push_back({of + ", one loop's rate", median(found[3]), "M/s", {}, ""});
    figures.push_back({of + ", two loops' rate", median(found[4]), "M/s", {}, ""});
  }
  return figures;
}

}  // namespace

std::vector<Group> loop_groups() {
  return {{"loops", "one and two event loops on processors of their own, in memory", loops_group}};
}

}  // namespace dhrt::bench
