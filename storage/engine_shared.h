// What the event loops of an engine, its checkpoint and its collections share.
//
// Intuition: everything that every write touches is either a loop's own (its log, its numbers) or
// behind a stripe's lock; what is here besides is touched once per turn, or rarely.
//
// Lock order: stripe, then an index's or a context's, or `mutex` of a publisher; never two stripes
// but all of them from the first to the last (a flush).
// Threads: any, unless said otherwise.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "storage/data_directory.h"
#include "storage/engine.h"
#include "storage/eviction_policy.h"
#include "storage/lmdb_env.h"
#include "storage/log_writer.h"
#include "storage/table.h"

namespace dhrt {

class EngineCollection;
using SharedCollection = std::shared_ptr<EngineCollection>;

// Files are read with a number; threads that read take them in turns, and a file serves one read
// per number at a time.
inline constexpr unsigned file_readers = 16;
unsigned file_reader();

// What a turn of a loop added to one collection's contexts.
struct ContextGain {
  SharedCollection collection;
  std::uint64_t own_last = 0;
  Context seen;
  Context flushed;
};

// The part of a loop that others look at.
struct alignas(64) LoopShared {
  // The last position given. It is set before what was written under it can be found.
  std::atomic<Position> appended{0};
  // Everything up to here is in the durable contexts.
  std::atomic<Position> published{0};
  std::atomic<Position> committed{0};  // The last turn's end.
  std::atomic<std::uint64_t> turns{0};
  std::atomic<bool> held_back{false};  // collect() is to be called again, though nothing came.

  // A turn that may become durable when the log is synced up to `logged`.
  struct Turn {
    Position position = 0;
    Position logged = 0;
    // By loop, what of the others must be durable first; empty: nothing.
    std::vector<Position> others;
    std::vector<ContextGain> gains;
  };
  std::mutex mutex;  // Guards `unpublished`.
  std::deque<Turn> unpublished;
};

struct EngineShared {
  explicit EngineShared(const EngineOptions& with);
  EngineShared(const EngineShared&) = delete;
  EngineShared& operator=(const EngineShared&) = delete;

  bool on_disk() const { return !options.directory.empty(); }
  Origin own() const { return {options.node, options.run, 0}; }
  LmdbEnv::Options file_options(const std::string& name) const;
  // Null: nothing is kept on disk.
  LogWriter* log(unsigned loop) const { return logs.empty() ? nullptr : logs[loop].get(); }
  // The first error of any log.
  Status health() const;

  // Publishes what became durable in a loop's log. Any thread.
  void advance(unsigned loop);
  bool have_published(const std::vector<Position>& positions) const;
  std::vector<Position> published() const;  // By loop.
  // Loop 0 takes the names.
  void note_changed(const SharedCollection& collection);
  std::vector<std::string> take_changed();
  void wake(unsigned loop) const;
  // Lets writes in or keeps them out, by what is not in the files.
  void reckon_pressure();

  SharedCollection find(Bytes name) const;
  std::vector<SharedCollection> all() const;  // By name.
  // Null if the number was given back.
  EngineCollection* owner(std::uint32_t number) const {
    return number < owners_max ? owners_[number].load(std::memory_order_acquire) : nullptr;
  }
  SharedCollection make(const CollectionRef& ref, bool memory);
  // Under `structure`: takes it out of the map; it stays alive until no loop can know it.
  void retire(const SharedCollection& collection);
  void bury_retired();

  const EngineOptions options;
  Stripes stripes;
  // Under the stripe's lock.
  struct StripeState {
    std::unique_ptr<EvictionPolicy> cache;   // Null: it is never evicted from.
    std::unique_ptr<EvictionPolicy> memory;  // The same for collections in memory.
  };
  std::array<StripeState, stripe_count> of_stripe;

  std::unique_ptr<DataDirectory> directory;  // Of the collections' files.
  std::vector<std::unique_ptr<LogWriter>> logs;
  std::vector<std::unique_ptr<LoopShared>> loops;

  // Brought up to date at the end of each turn, hence apart from what each write looks at.
  alignas(64) std::atomic<std::int64_t> unflushed_bytes{0};
  std::atomic<std::int64_t> unflushed_records{0};
  std::atomic<std::int64_t> cache_bytes{0};   // Of entries of collections with a file.
  std::atomic<std::int64_t> memory_bytes{0};  // Of entries of the others.

  alignas(64) std::atomic<bool> refuses_writes{false};  // Too much is not in the files.
  std::atomic<bool> failed{false};                      // A log is dead: no write, no checkpoint.
  std::atomic<bool> sync_wanted{false};  // Too much is remembered of what is not synced.

  std::atomic<std::uint64_t> expired{0};
  std::atomic<std::uint64_t> relocated{0};
  std::atomic<std::uint64_t> quarantined{0};
  std::atomic<std::uint64_t> healed{0};
  std::atomic<bool> damaged_news{false};  // Some collection has keys to take.
  std::atomic<std::uint64_t> scrubbed_records{0};
  std::atomic<std::uint64_t> scrubbed_bytes{0};
  std::atomic<std::uint64_t> scrub_passes{0};
  std::atomic<std::uint64_t> scrub_failures{0};
  std::atomic<std::uint64_t> checkpoints{0};
  std::atomic<std::uint64_t> checkpoint_records{0};
  std::atomic<WallMilliseconds> checkpoint_ended{0};
  std::atomic<std::size_t> checkpoint_copy_bytes{0};
  std::atomic<std::uint64_t> checkpoint_milliseconds{0};
  std::atomic<std::uint64_t> throttled_milliseconds{0};
  std::atomic<std::uint64_t> writes_refused{0};
  std::atomic<std::uint64_t> replayed_records{0};
  std::atomic<std::uint64_t> torn_bytes_cut{0};

  mutable std::shared_mutex structure;  // Guards the map, and who comes and goes.
  std::map<std::string, SharedCollection, std::less<>> collections;
  // Moves when one comes or goes. A loop may go by what it knew of the structure at this version
  // until its turn ends: see retire().
  std::atomic<std::uint64_t> structure_version{0};
  // A file that goes when the log up to `position` is durable: its collection was erased.
  struct DoomedFile {
    std::string name;
    unsigned loop = 0;
    Position position = 0;
  };
  std::vector<DoomedFile> doomed;

 private:
  struct Retired {
    SharedCollection collection;
    std::vector<std::uint64_t> turns;  // Of each loop, when it went.
  };
  static constexpr std::uint32_t owners_max = 1U << 16;

  std::vector<Retired> retired_;  // By `structure`, as the next one.
  std::uint32_t next_owner_ = 0;
  std::unique_ptr<std::atomic<EngineCollection*>[]> owners_;
  std::mutex changed_mutex_;
  std::set<std::string> changed_;
};

}  // namespace dhrt
