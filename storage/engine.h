// The storage engine: collections that several event loops share, each loop with a Store of its
// own, a write-ahead log per loop, and a checkpoint behind them that keeps one LMDB file per
// collection.
//
// Use: open() recovers what earlier starts left and opens everything; store(k) is the Store of
// loop k, to be used on one thread; stop() after the loops have ended makes the files alone the
// whole database. Without a directory nothing is kept on disk and every collection is in memory.
//
// Errors: of open: busy (another process has the directory), corrupt (file, offset, cure), io.
// Threads: open, stop and the destructor on one; figures() and backup() on any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/log_writer.h"
#include "storage/store.h"

namespace dhrt {

enum class Eviction : std::uint8_t { none, lru, s3fifo };

struct EngineOptions {
  std::string directory;  // Of collections/ and log/; empty: everything in memory.
  NodeId node = 0;
  std::uint32_t run = 1;  // Above that of every earlier start on this directory.
  unsigned loops = 1;
  std::vector<std::function<void()>> wake;  // By loop, from any thread: collect() has news.
  Durability durability = Durability::sync;
  Duration sync_interval{100};
  std::size_t cache_bytes = std::size_t{1} << 30;
  Eviction cache_eviction = Eviction::s3fifo;
  std::size_t memory_limit = 0;  // Of collections in memory, all together; 0 = none.
  Eviction memory_eviction = Eviction::none;
  std::size_t checkpoint_bytes = std::size_t{256} << 20;
  Duration checkpoint_age{10000};
  std::size_t checkpoint_part_bytes = std::size_t{32} << 20;  // Copied and written at a time.
  std::size_t checkpoint_list_bytes = std::size_t{64} << 20;  // Of keys that are put into order.
  std::size_t unflushed_max = std::size_t{1} << 30;
  std::size_t log_segment_bytes = std::size_t{64} << 20;
  std::size_t map_bytes_initial = std::size_t{1} << 18;  // Of each collection's file.
  // Other nodes have what is here: a file that is damaged is set aside for them to fill a new one,
  // and does not refuse the start.
  bool others_have_it = false;
  std::size_t scrub_bytes_per_second = std::size_t{8} << 20;  // 0: no scrub.
  // Called by maintain() for every record that it takes because its deadline has passed. May not
  // call the store: a lock is held.
  std::function<void(const std::string& collection, Bytes key)> expired;
  std::function<void()> before_sync;        // Test only: the delay of a slow disk.
  std::function<void()> before_checkpoint;  // Test only.
};

struct EngineFigures {
  struct OfLog {
    LogWriter::Figures log;
    Position appended = 0;
    Position synced = 0;
  };
  std::vector<OfLog> logs;
  std::uint64_t records_in_memory = 0;
  std::uint64_t memory_bytes = 0;
  std::uint64_t unflushed_records = 0;
  std::uint64_t unflushed_bytes = 0;
  std::uint64_t cache_hits = 0;
  std::uint64_t cache_misses = 0;
  std::uint64_t evictions = 0;
  std::uint64_t expired = 0;
  std::uint64_t relocated = 0;         // Records moved within memory, to free some of it.
  std::uint64_t quarantined = 0;       // Records found damaged, by readers and the scrub.
  std::uint64_t healed = 0;            // Of those, what was replaced by something intact.
  std::uint64_t damaged = 0;           // What is left of them now.
  std::uint64_t scrubbed_records = 0;  // Of files, read again to see if they are as written.
  std::uint64_t scrubbed_bytes = 0;
  std::uint64_t scrub_passes = 0;    // Over all files.
  std::uint64_t scrub_failures = 0;  // Files that could not be read to their end.
  // Of each file that is not used any more because its pages are damaged: where, and the cure.
  std::vector<std::string> damaged_files;
  std::uint64_t checkpoints = 0;
  std::uint64_t checkpoint_records = 0;
  WallMilliseconds checkpoint_ended = 0;      // The last one; 0: there was none yet.
  std::uint64_t checkpoint_milliseconds = 0;  // Sum.
  std::uint64_t checkpoint_copy_bytes = 0;    // The most that was copied at a time.
  std::uint64_t throttled_milliseconds = 0;   // By which acknowledgements were held back.
  std::uint64_t writes_refused = 0;           // Disk full, memory limit, too much unflushed.
  std::uint64_t replayed_records = 0;         // By the last start.
  std::uint64_t torn_bytes_cut = 0;
  std::uint64_t file_bytes = 0;
};

class Engine {
 public:
  static Result<std::unique_ptr<Engine>> open(const EngineOptions& options);
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  virtual ~Engine() = default;

  virtual Store& store(unsigned loop) = 0;
  // What a start has to tell people: torn ends that were cut, logs that were replayed.
  virtual const std::vector<std::string>& notes() const = 0;
  virtual EngineFigures figures() const = 0;
  // Waits until everything is in the files, then removes the logs.
  virtual Status stop() = 0;
  // Everything up to now goes to the files; waits for it. Any thread.
  virtual Status checkpoint() = 0;
  // Consistent copies of all files into a new directory, compacted. `progress` after each file.
  virtual Status backup(const std::string& directory,
                        const std::function<void(const std::string& collection)>& progress) = 0;
};

}  // namespace dhrt
