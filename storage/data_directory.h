// The directory that a store keeps its files in: made if absent, and locked, so that two
// processes never write to the same files.
//
// Errors: busy: another process has it. io: the path, the call, and what to do.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/result.h"

namespace dhrt {

class DataDirectory {
 public:
  static Result<std::unique_ptr<DataDirectory>> open(const std::string& path);
  DataDirectory(const DataDirectory&) = delete;
  DataDirectory& operator=(const DataDirectory&) = delete;
  ~DataDirectory();

  // <directory>/<name>.mdb
  std::string file_of(const std::string& collection) const;
  // The names of collections that have a file here, in order.
  Result<std::vector<std::string>> collections() const;
  // Removes what interrupted makings of files left.
  Status remove_unfinished() const;
  // Removes a collection's file and the lock file that LMDB keeps beside it.
  Status remove(const std::string& collection) const;
  // Takes a damaged file out of use, and keeps it under another name, which is returned.
  Result<std::string> set_aside(const std::string& collection) const;
  // Whether that was ever done, by a start or by hand.
  bool was_set_aside(const std::string& collection) const;
  // Which files there are survives a power cut. LMDB syncs a file, but not its name.
  Status sync() const;

 private:
  DataDirectory(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_;
};

// Where an engine keeps everything:
//
//   <directory>/collections/<name>.mdb   and <name>.mdb-lock, LMDB's
//   <directory>/log/                     the logs (storage/log_reader.h), and `released`
//                                        (storage/log_mark.h)
//
// Both are this process's alone for as long as `collections` lives.
struct EngineDirectory {
  std::unique_ptr<DataDirectory> collections;
  std::string log;
};
Result<EngineDirectory> open_engine_directory(const std::string& path);

}  // namespace dhrt
