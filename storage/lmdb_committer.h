// The thread that writes to LMDB: takes everything handed over since it last looked as one
// group, writes one transaction per collection, and publishes how far that is durable.
//
// Intuition: while one group syncs, later batches pile up and go as the next group. Nobody
// waits for a timer: a lone batch goes at once, and a busy node gets large groups by itself.
//
// Errors: the first one ends all writing. After a failed sync nobody knows what the disk holds,
// so that a retry which seems to work proves nothing; the position never moves past it.
// Threads: submit(), wait() and the destructor on the owner's; `wake` is called on either.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "storage/base/result.h"
#include "storage/lmdb_format.h"
#include "storage/store.h"

namespace dhrt {

class LmdbEnv;

// One record on its way to the disk.
struct PendingPut {
  Position position = 0;
  AliasDot dot;
  WallMilliseconds deadline = 0;  // 0 = no entry in the expiry table.
  std::string key;
  std::string encoded;
};

// Shared, because readers see it in the overlay while the committer writes it.
using SharedPut = std::shared_ptr<const PendingPut>;

// What a collection's contexts and counts are once its puts are written.
struct EncodedMeta {
  std::string seen;
  std::string flushed;
  std::string origins;
  std::string counts;
  std::string tally;
};

struct LmdbWork {
  // Shared, because a collection may be erased while its group is being written.
  std::shared_ptr<LmdbEnv> env;
  std::vector<SharedPut> puts;  // In the order of their appends.
  EncodedMeta meta;
};

struct LmdbGroup {
  Position position = 0;  // Durable when the group is.
  std::vector<LmdbWork> works;
};

class LmdbCommitter {
 public:
  struct Hooks {
    std::function<void()> wake;         // Something became durable, or failed.
    std::function<void()> before_sync;  // Before each group.
  };
  explicit LmdbCommitter(Hooks hooks);
  LmdbCommitter(const LmdbCommitter&) = delete;
  LmdbCommitter& operator=(const LmdbCommitter&) = delete;
  // Finishes what was handed over.
  ~LmdbCommitter();

  void submit(LmdbGroup group);
  Position durable() const { return durable_.load(std::memory_order_acquire); }
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  // The first error.
  Status health() const;
  // Waits until `position` is durable, or never will be.
  Status wait(Position position);

 private:
  void run();
  void commit(const LmdbGroup& group);
  void publish(Position position, const Status& status);

  Hooks hooks_;
  std::atomic<Position> durable_{0};
  std::atomic<bool> failed_{false};

  mutable std::mutex mutex_;  // Of everything below.
  std::condition_variable handed_over_;
  std::condition_variable published_;
  std::vector<LmdbGroup> groups_;
  bool busy_ = false;
  bool ending_ = false;
  Status health_;

  std::thread thread_;
};

}  // namespace dhrt
