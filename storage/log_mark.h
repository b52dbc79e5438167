// Up to where logs were released, in a file beside them: what is missing at the beginning of a log
// was either released, or it is lost and nobody would notice.
//
// Intuition: before anything of a log is removed, the mark says so. Two slots are written in turns,
// each with a number and a checksum: a write that is cut off leaves the other one, and a full disk
// is not asked for space.
//
// Errors: io, full, corrupt: the file, and what to do. Threads: one at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "storage/lmdb_format.h"
#include "storage/log_file.h"
#include "storage/log_reader.h"

namespace dhrt {

class LogMark {
 public:
  // Of the logs in a directory; goes on from what is there.
  static Result<std::unique_ptr<LogMark>> open(const std::string& directory);
  // What the cut covers is in the files; it may be removed once this returns well.
  Status set(const LogCut& cut);
  // When there is no log any more. Best effort: of logs to come it says nothing.
  static void remove(const std::string& directory);

 private:
  LogMark(LogFile file, std::uint64_t number) : file_(std::move(file)), number_(number) {}

  LogFile file_;
  std::uint64_t number_;  // Of the slot that counts.
};

// Corrupt if the beginning of a log is missing, and was not released.
Status check_beginnings(const std::string& directory, const std::vector<LogFound>& logs);

}  // namespace dhrt
