// One event loop's worth of a storage engine: opens it, writes and reads keys as a node does.
//
// Units: batches of 64 keys, which are hashed and prefetched before they are used.
// Errors: of the engine, as they come.   Threads: one.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "storage/engine.h"
#include "tests/bench/storage/figures.h"
#include "tests/bench/storage/waiter.h"

namespace dhrt::bench {

inline constexpr std::size_t batch_keys = 64;

// An engine that answers when it must and checkpoints when it is told to.
EngineOptions quiet_options(const std::string& directory);

class Session {
 public:
  static Result<std::unique_ptr<Session>> open(EngineOptions options, bool memory,
                                               std::size_t value_bytes);

  // Random keys first..first+count-1, in turns of `group` writes; `waits`: until each is durable.
  Status put(std::uint64_t first, std::uint64_t count, std::size_t group, bool waits);
  // `count` reads of random keys below `keyspace`; all must be there.
  Status get(std::uint64_t count, std::uint64_t keyspace, std::uint64_t seed);
  // `count` overwrites of random keys below `keyspace`, in turns of 64.
  Status overwrite(std::uint64_t count, std::uint64_t keyspace, std::uint64_t seed);
  // Reads everything in key order; the number of records.
  Result<std::uint64_t> scan();

  Engine& engine() { return *engine_; }
  Store& store() { return engine_->store(0); }
  Collection& collection() { return *collection_; }

 private:
  Session() = default;
  Status put_one(const HashedKey& hashed);
  Status end_turn(bool waits);
  HashedKey key(std::size_t i) const { return {keys_[i], hashes_[i]}; }
  void take_keys(std::array<std::uint64_t, batch_keys> numbers, std::size_t count);

  Waiter waiter_;  // Outlives the engine, whose threads call it.
  std::unique_ptr<Engine> engine_;
  Collection* collection_ = nullptr;
  Origin origin_;
  std::uint64_t sequence_ = 0;
  std::uint64_t hlc_ = 0;
  Position last_ = 0;
  std::string value_;
  std::array<std::string, batch_keys> keys_;
  std::array<std::uint64_t, batch_keys> hashes_{};
};

}  // namespace dhrt::bench
