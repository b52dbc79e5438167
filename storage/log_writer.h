// The write-ahead log of one event loop: frames appended to segments, and synced.
//
// Intuition: room for the next frame is made before it is asked for, and segments are used again,
// so that a sync writes no metadata. One write(2) per frame, one fdatasync for everything that
// a turn brought. A disk that is quick is waited for; for a slow one the sync moves to a thread,
// so that reads go on.
//
// Units: bytes. Bounds: a frame of any size (a segment for itself if need be).
// Errors: full: no room for another segment; nothing was written, asking again may work. io: a
// write or sync failed: the log is dead, since nobody knows what the disk holds; health() says so.
// Threads: the loop's, unless said otherwise.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "storage/log_file.h"
#include "storage/log_format.h"

namespace dhrt {

enum class Durability : std::uint8_t { sync, interval, none };

struct LogOptions {
  std::string directory;  // Exists.
  LogId id;
  NodeId node = 0;
  Durability durability = Durability::sync;
  std::size_t segment_bytes = std::size_t{64} << 20;
  // Kept free for deletes: a write that is none is refused when less is left and the disk is full.
  // At most an eighth of a segment.
  std::size_t reserve_bytes = std::size_t{4} << 20;
  Duration inline_sync_max{1};        // Average sync above this: syncs move to a thread.
  std::function<void()> wake;         // Any thread: synced() moved, or the log failed.
  std::function<void()> before_sync;  // Test only: on the thread that syncs, never the loop's.
  std::function<Status(LogFile&)> sync_file;  // Test only: in place of LogFile::sync().
};

class LogWriter {
 public:
  static Result<std::unique_ptr<LogWriter>> open(const LogOptions& options);
  LogWriter() = default;
  LogWriter(const LogWriter&) = delete;
  LogWriter& operator=(const LogWriter&) = delete;
  virtual ~LogWriter() = default;

  // Makes sure that a frame of `bytes` more than what is in it fits. full: see above. Cheap when
  // there is room. `is_delete`: may use the reserve. See log_record_bytes_max().
  // busy: one frame cannot take it; commit first.
  virtual Status reserve(std::size_t bytes, bool is_delete) = 0;
  virtual FrameBuilder& frame() = 0;
  // End of a turn: writes the frame, if it is not empty, under `position`, and syncs it as the
  // durability says (sync: inline or on the thread; interval, none: not here). Positions grow; an
  // empty frame is not written, but its position counts once everything before it is synced.
  virtual void commit(Position position) = 0;
  // Everything up to here is written, so that the end of the process loses nothing. Any thread.
  virtual Position written() const = 0;
  // Everything up to here is synced. Any thread.
  virtual Position synced() const = 0;
  // Syncs what is written. Any thread; waits for the disk. Used by the checkpoint, by `interval`
  // (whoever keeps the time calls it) and by a clean stop.
  virtual Status sync_now() = 0;
  // Segments of which every frame is at or below `position` may be used again. Any thread.
  virtual void release(Position position) = 0;
  virtual Status health() const = 0;  // Any thread.

  struct Figures {
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    std::uint64_t syncs = 0;
    std::uint64_t sync_microseconds = 0;  // Sum.
    std::uint64_t segments = 0;           // Written to and not released.
    std::uint64_t bytes_unreleased = 0;
    bool sync_thread = false;  // The last commit left its sync to the thread.
  };
  virtual Figures figures() const = 0;  // Any thread.
};

}  // namespace dhrt
