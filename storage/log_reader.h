// Reads the logs that earlier starts left behind.
//
// Bad data at or beyond the largest synced_upto met is the torn end of a write that nobody was
// promised: it is cut and reported. Below it, it is damage, and the start is refused.
//
// Errors: corrupt: file, offset, and what to do; io. Threads: one, before the store is open.
#pragma once

#include <string>
#include <vector>

#include "storage/log_format.h"

namespace dhrt {

struct LogFound {
  LogId id;
  NodeId node = 0;
  Position last = 0;               // Of the last valid frame.
  std::vector<std::string> files;  // In order of segment.
  std::uint64_t bytes_cut = 0;     // Of a torn end.
};

// Which logs are in `directory`, by run and loop. Files that are no log, or only prepared to
// become one, are passed over (and removed when `remove_spare`).
Result<std::vector<LogFound>> find_logs(const std::string& directory, bool remove_spare);

// Shows every intact frame above `after`, in order of position.
Status replay_log(LogFound& log, Position after,
                  FunctionRef<Status(const FrameHead& head, Bytes body)> show);

// After a crash the page cache may hold what the disk does not: syncs what is valid before
// anybody is told of it (a torn end is cut off first), file by file and their directory.
Status secure_log(const std::string& directory, const LogFound& log);
// Unlinks the files of a log that no checkpoint needs any more, and syncs the directory.
Status remove_log(const std::string& directory, const LogFound& log);

}  // namespace dhrt
