// The thread behind the event loops: brings what is dirty into the files, and keeps the time for
// everything that is not a loop's business.
//
// Intuition: a cycle notes up to where the logs are durable, copies what is dirty, makes the logs
// safe beyond that, writes the files, and then lets the logs up to the note go. A cycle begins
// when enough is dirty or dirty for long enough, when the logs hold enough beyond the last note
// (a start reads all of it, however little of it counts), or when somebody asks. Between cycles the
// thread syncs logs whose sync has an interval, wakes loops that hold answers back, brings files
// into memory after a start, and when there is nothing else to do reads them again for damage.
//
// Bounds: copies of about group_bytes and a part of a collection, however much is dirty. Errors: a
// cycle that fails is tried again; while the disk is full the logs stay as they are. Threads: start
// and stop on one; run_now() on any but this.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/engine_shared.h"
#include "storage/lmdb_format.h"
#include "storage/log_mark.h"
#include "storage/log_reader.h"
#include "storage/scrub.h"

namespace dhrt {

struct DirtyPass;

class Checkpoint {
 public:
  // `old_logs`: of earlier starts, which go with the first cycle.
  Checkpoint(EngineShared& shared, std::string log_directory, std::vector<LogFound> old_logs);
  Checkpoint(const Checkpoint&) = delete;
  Checkpoint& operator=(const Checkpoint&) = delete;
  ~Checkpoint() { stop(); }

  void start();
  void stop();
  // A whole cycle that begins after the call; waits for its end.
  Status run_now();
  // From here on it gives way to nobody (storage/base/give_way.h): no loop is left that could wait
  // for a processor, and on a loaded machine every other process would be let through first.
  void hurry() { hurries_ = true; }

 private:
  void run();
  void look_after_loops(Time now);
  bool is_due(Time now);
  std::int64_t log_bytes() const;
  Status cycle();
  Status sync_logs();
  Status write_all(const LogCut& cut);
  Status write_pass(EngineCollection& collection, DirtyPass& pass);
  Status forget(EngineCollection& collection, const DirtyPass& pass);
  void choose_pace();
  void note_copied(std::size_t bytes);
  Status secure();
  Status await_turn_ends();
  bool is_durable(const EngineShared::DoomedFile& file) const;
  Status remove_doomed();
  Status secure_erasures();
  Status mark_released(const LogCut& cut);
  void release_logs(const LogCut& cut);
  void trim_cache();
  bool warm_up();
  bool find_graves();

  EngineShared& shared_;
  const std::string log_directory_;
  std::vector<LogFound> old_logs_;
  std::unique_ptr<LogMark> mark_;  // The thread's.

  std::atomic<bool> hurries_{false};

  std::mutex mutex_;  // Guards what follows.
  std::condition_variable changed_;
  bool stopping_ = false;
  std::uint64_t requested_ = 0;
  std::uint64_t done_ = 0;  // The last request that a finished cycle covers.
  Status outcome_;          // Of that cycle.

  // The thread's own.
  std::int64_t log_bytes_at_cut_ = 0;  // Of the last cycle; what earlier starts left is below zero.
  Time clean_until_;                   // When something became dirty, at the earliest.
  bool was_dirty_ = false;
  Time retry_at_;
  Time next_sync_;
  std::vector<std::string> to_warm_;
  std::string warm_from_;
  std::vector<std::string> without_graves_;  // Files of earlier builds.
  std::string graves_from_;
  Scrub scrub_;
  std::thread thread_;
};

}  // namespace dhrt
