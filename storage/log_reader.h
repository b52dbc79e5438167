// Reads the logs that earlier starts left behind.
//
// Bad data at or beyond the largest synced_upto met is the torn end of a write that nobody was
// promised: it is cut and reported. Below it, it is damage, and the start is refused.
//
// Errors: corrupt: file, offset, and what to do. precondition: a newer program wrote it. io.
// Threads: one, before the store is open.
#pragma once

#include <string>
#include <vector>

#include "storage/log_format.h"

namespace dhrt {

struct LogFound {
  // A segment, and what of it is valid: its bytes from the start to the end of a frame.
  struct File {
    std::string path;
    std::size_t end = 0;
    Position last = 0;  // Of its last valid frame; 0 = there is none in it.
  };

  LogId id;
  NodeId node = 0;
  Position begins_after = 0;  // Of frames up to here see check_beginnings() in storage/log_mark.h.
  Position last = 0;          // Of the last valid frame; 0 = there is none.
  Position synced = 0;        // The largest synced_upto: what is above may be lost by a power cut.
  std::vector<File> files;    // In order of segment.
  std::uint64_t bytes_cut = 0;  // Of a torn end, as far as they can be told from older data.
};

// Which logs are in `directory`, by run and loop; reads them all. Files that are no log, or only
// prepared to become one, are passed over (and removed when `remove_spare`).
Result<std::vector<LogFound>> find_logs(const std::string& directory, bool remove_spare);

// Shows every valid frame above `after`, in order of position; stops at an error of `show`.
Status replay_log(const LogFound& log, Position after,
                  FunctionRef<Status(const FrameHead& head, Bytes body)> show);

// After a crash the page cache may hold what the disk does not, and a sync that failed once may not
// fail again: writes once more, and syncs, what is valid but was never known to be synced. A torn
// end is cut off, so that nobody reads it later. To be called before anybody is told of the log.
Status secure_log(const std::string& directory, const LogFound& log);
// Unlinks the files of a log that no checkpoint needs any more, and syncs the directory.
Status remove_log(const std::string& directory, const LogFound& log);

}  // namespace dhrt
