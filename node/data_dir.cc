#include "node/data_dir.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <system_error>
#include <unistd.h>

namespace dhrt {

namespace {

// The name of a new folder survives a power cut once the folder that holds it is synced.
std::error_code make_and_sync(const std::filesystem::path& path) {
  std::error_code error;
  if (path.empty() || std::filesystem::is_directory(path, error)) return {};
  const std::filesystem::path parent = path.parent_path();
  if (error = make_and_sync(parent); error) return error;
  std::filesystem::create_directory(path, error);
  if (error) return error;
  const FileDescriptor holder(
      ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!holder || ::fsync(holder.get()) != 0) return {errno, std::generic_category()};
  return {};
}

}  // namespace

Result<DataDir> DataDir::open(const std::string& path) {
  const auto refused = [&](const std::string& why) {
    return fail(ErrorCode::io, "data directory " + path + " cannot be used: " + why +
                                   "; give another one with --data-dir");
  };
  if (const std::error_code error = make_and_sync(path); error) return refused(error.message());
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
