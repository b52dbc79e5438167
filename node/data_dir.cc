#include "node/data_dir.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <system_error>

namespace dhrt {

Result<DataDir> DataDir::open(const std::string& path) {
  const auto refused = [&](const std::string& why) {
    return fail(ErrorCode::io, "data directory " + path + " cannot be used: " + why +
                                   "; give another one with --data-dir");
  };
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return refused(error.message());
  FileDescriptor lock(::open((path + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock) return refused(std::strerror(errno));
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return refused(std::strerror(errno));
    return fail(ErrorCode::busy, "data directory " + path +
                                     " is in use by a live node; stop it, or give another one "
                                     "with --data-dir");
  }
  return DataDir(path, std::move(lock));
}

}  // namespace dhrt
