// What clients do at levels above one (cluster/levels.h): writes that are answered when enough
// nodes have them durably, reads that ask enough of them.
//
// Intuition: a write at `linear` asks a majority for the newest version first, is made above it,
// and is answered when a majority has it; a read at `linear` brings what it found to a majority
// before it is answered (cluster/quorum_reads.h).
//
// Errors: timeout, "applied=k need=n": the level was not reached in time. Of a write that means
// that the write stays and may spread, unless its first half, the question, was not answered.
// busy: too much waits already; nothing was written. invalid_argument: a condition at `linear`.
// Threads: loop thread only.
#pragma once

#include <functional>

#include "cluster/level_words.h"
#include "node/database.h"
#include "node/level_waits.h"

namespace dhrt {

class Levels {
 public:
  // Both outlive it.
  Levels(Database& database, LevelWaits& waits, NodeFigures& figures)
      : database_(database), waits_(waits), figures_(figures) {}

  using WrittenDone = std::function<void(Result<Written>)>;
  // `done` is called once, within the call or later.
  void set(WriteLevel level, Bytes collection, Bytes key, Bytes value,
           const Database::SetOptions& options, WrittenDone done);
  void remove(WriteLevel level, Bytes collection, Bytes key, Database::RemovedDone done);
  void read(ReadLevel level, Bytes collection, Bytes key, Database::FoundDone done);

  // For a write of so many bytes that is about to be made by other means.
  Status admit(WriteLevel level, std::size_t bytes) const;
  // `done` when a write that was made reached its level.
  struct Made {
    Dot dot;
    Position position = 0;
    std::size_t bytes = 0;
  };
  void reach(WriteLevel level, Bytes collection, const Made& made,
             std::function<void(Status)> done);

 private:
  // The newest version that a majority knows of.
  void ask_version(Bytes collection, Bytes key, Database::ReplyDone done);
  // Deletes above that, also where it is a delete: it may not be everywhere.
  void remove_newest(Bytes collection, Bytes key, Database::RemovedDone done);
  // Sets that wait for the newest version count like those that wait for other nodes.
  Status admit_asking(std::size_t bytes) const;
  Status timed_out(const Tally& tally);

  Database& database_;
  LevelWaits& waits_;
  NodeFigures& figures_;
  std::size_t asking_ = 0;
  std::size_t asking_bytes_ = 0;
};

}  // namespace dhrt
