// The data directory of a node, held for one process.
//
//   <data-dir>/lock            held (flock) as long as the node lives
//   <data-dir>/identity.json   who the node is
//   <data-dir>/collections/    the storage engine's files, one per collection
//   <data-dir>/log/            what is not in them yet
//   <data-dir>/tls.pem, .key   of --tls-self-signed
//
// Errors: busy: a live node has it; io: it cannot be made or written. Threads: one.
#pragma once

#include <string>

#include "node/file_descriptor.h"
#include "storage/base/result.h"

namespace dhrt {

class DataDir {
 public:
  // Makes the directory, and those above it, if they are not there.
  static Result<DataDir> open(const std::string& path);

  std::string identity_path() const { return path_ + "/identity.json"; }
  const std::string& path() const { return path_; }

 private:
  DataDir(std::string path, FileDescriptor lock) : path_(std::move(path)), lock_(std::move(lock)) {}
  std::string path_;
  FileDescriptor lock_;
};

}  // namespace dhrt
