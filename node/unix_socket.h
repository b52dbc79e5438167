// The file by which a unix socket is found, and the socket that listens behind it.
//
// Errors: busy: a process answers there; invalid_argument: something that is no socket is there;
// io: the folder does not exist or cannot be written.
#pragma once

#include <string>
#include <sys/types.h>

#include "node/file_descriptor.h"
#include "storage/base/result.h"

namespace dhrt {

// Removed when this goes, unless somebody replaced it meanwhile.
class UnixSocketFile {
 public:
  // The file at `path` as it is now.
  explicit UnixSocketFile(std::string path);
  UnixSocketFile(const UnixSocketFile&) = delete;
  UnixSocketFile& operator=(const UnixSocketFile&) = delete;
  ~UnixSocketFile();

 private:
  std::string path_;
  dev_t device_ = 0;
  ino_t inode_ = 0;
};

// A socket that is bound to `path`. A file there that nobody answers at is replaced.
Result<FileDescriptor> bind_unix_socket(const std::string& path);

}  // namespace dhrt
