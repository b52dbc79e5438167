// Checks the files of a node that is stopped, or of a backup: every checksum of every record and
// log frame, and that a file's tables say the same.
//
// A directory with collections/ and log/ is a node's; one with .mdb files is a backup.
// Errors: busy: a node uses it; not_found: nothing of ours is there; io. What is damaged is no
// error of the check, it is in the report. Changes nothing but what LMDB does when it opens a file.
// Threads: one.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "storage/base/result.h"

namespace dhrt {

struct FileReport {
  std::string collection;
  std::uint64_t records = 0;  // Tombstones included.
  std::uint64_t tombstones = 0;
  std::uint64_t bytes = 0;      // Keys and values.
  std::uint64_t damaged = 0;    // Records whose checksum does not match, or that do not decode.
  std::uint64_t unindexed = 0;  // Records that the log index does not lead to.
  std::vector<std::string> findings;  // The first few, in words.

  bool sound() const { return damaged == 0 && unindexed == 0 && findings.empty(); }
};

struct LogReport {
  std::string name;  // "run 12, loop 0".
  std::uint64_t frames = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_torn = 0;  // The end of a crash, which the next start cuts off.
};

struct VerifyReport {
  std::vector<FileReport> files;
  std::vector<LogReport> logs;
  std::vector<std::string> findings;  // About the directory and the logs.

  bool sound() const;
};

struct VerifyProgress {
  std::uint64_t records = 0;
  std::uint64_t bytes = 0;  // Of files, roughly.
  std::uint64_t bytes_total = 0;
};

// `progress` is called now and then; false ends the check with unavailable.
Result<VerifyReport> verify_directory(const std::string& path,
                                      const std::function<bool(const VerifyProgress&)>& progress);

}  // namespace dhrt
