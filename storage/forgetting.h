// Which tombstones of a collection may be dropped, and which were.
//
// Intuition: the cluster says which dots everybody has. Here one more thing has to be: whatever a
// tombstone has replaced must be in no log that a start would read, or it would come back. All of
// that was written before the cluster said so; so the loops' positions of that moment are noted,
// and dots are due when a file contains the logs up to there.
//
// Bounds: three contexts that wait or are due, and one of what was dropped.   Threads: any.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "storage/context.h"
#include "storage/store.h"

namespace dhrt {

class Forgetting {
 public:
  // Takes the place of what was said before; `durable` is the collection's. `appended`: positions
  // of the loops, read after that; empty: nothing is logged, and all of it is due. True if there is
  // something new.
  bool allow(const Store::Forgettable& what, const Context& durable,
             std::vector<Position> appended);
  // No tombstone above it may go.
  std::uint64_t hlc_max() const { return hlc_max_.load(); }
  // Dots of which tombstones may go, if the logs up to the cut are in the file.
  Context due(const std::vector<Position>& cut);
  // Those that are due, as of the last call.
  Context due() const;
  // Something is allowed that was not due yet.
  bool waits() const;

  // What is about to be dropped: each is due, and every dot of its origin below it that was due
  // may have been dropped before.
  void note(const std::vector<Dot>& dots);
  Context forgotten() const;
  // The highest hlc of what was dropped.
  void note_hlc(std::uint64_t hlc);
  std::uint64_t forgotten_hlc() const { return forgotten_hlc_.load(); }
  // What another node dropped, or this one in an earlier start.
  void note_forgotten(const Context& dots, std::uint64_t hlc);

 private:
  struct Allowed {
    Context dots;
    std::vector<Position> appended;
  };
  void promote(const std::vector<Position>& cut);

  mutable std::mutex mutex_;  // Guards all; taken after stripe locks.
  Context due_;
  // The second one comes to its turn when the first is due, or none ever would be where it is said
  // more often than the logs are synced.
  std::optional<Allowed> waiting_;
  std::optional<Allowed> latest_;
  Context forgotten_;
  std::atomic<std::uint64_t> hlc_max_{0};
  std::atomic<std::uint64_t> forgotten_hlc_{0};
};

}  // namespace dhrt
