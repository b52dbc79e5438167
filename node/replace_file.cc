#include "node/replace_file.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

#include "node/file_descriptor.h"

namespace dhrt {

namespace {

tl::unexpected<Error> io_error(const std::string& path, const char* doing) {
  const int number = errno;
  return fail(number == ENOSPC ? ErrorCode::full : ErrorCode::io,
              std::string(doing) + " " + path + ": " + std::strerror(number));
}

Status write_anew(const std::string& path, Bytes bytes, unsigned mode) {
  // What an interrupted start left may have another mode.
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return io_error(path, "remove");
  const FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_t{mode}));
  if (!file) return io_error(path, "create");
  while (!bytes.empty()) {
    const ssize_t written = ::write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return io_error(path, "write");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::fsync(file.get()) != 0) return io_error(path, "sync");
  return {};
}

Status sync_directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor opened(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!opened) return io_error(directory, "open");
  if (::fsync(opened.get()) != 0) return io_error(directory, "sync");
  return {};
}

}  // namespace

Status replace_file(const std::string& path, Bytes bytes, unsigned mode) {
  const std::string fresh = path + ".new";
  if (auto status = write_anew(fresh, bytes, mode); !status) return status;
  if (std::rename(fresh.c_str(), path.c_str()) != 0) return io_error(path, "replace");
  return sync_directory_of(path);
}

}  // namespace dhrt
