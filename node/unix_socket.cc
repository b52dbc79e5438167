#include "node/unix_socket.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <utility>

namespace dhrt {

namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), std::min(path.size(), sizeof(address.sun_path) - 1));
  return address;
}

tl::unexpected<Error> failed(ErrorCode code, const std::string& path, const std::string& why) {
  return fail(code, "cannot listen on the socket " + path + ": " + why);
}

FileDescriptor make_socket() {
  return FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

// Makes room at the path. A full queue of a process that is busy is no answer, yet it is alive.
Status remove_stale(const std::string& path, const sockaddr_un& address) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) return {};  // bind() says what is wrong with the folder.
  if (!S_ISSOCK(found.st_mode))
    return failed(ErrorCode::invalid_argument, path,
                  "a file that is no socket is there; choose another path");
  const FileDescriptor probe = make_socket();
  if (!probe) return failed(ErrorCode::io, path, std::strerror(errno));
  const int connected =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address));
  if (connected == 0 || errno == EAGAIN)
    return failed(ErrorCode::busy, path,
                  "another process is there; end it, or choose another path");
  if (errno == ENOENT) return {};  // Gone meanwhile.
  if (errno != ECONNREFUSED) return failed(ErrorCode::io, path, std::strerror(errno));
  if (::unlink(path.c_str()) != 0)
    return failed(
        ErrorCode::io, path,
        std::string("what a dead process left there cannot be removed: ") + std::strerror(errno));
  return {};
}

}  // namespace

UnixSocketFile::UnixSocketFile(std::string path) : path_(std::move(path)) {
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0) return;
  device_ = found.st_dev;
  inode_ = found.st_ino;
}

UnixSocketFile::~UnixSocketFile() {
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0) return;
  if (found.st_dev == device_ && found.st_ino == inode_) ::unlink(path_.c_str());
}

Result<FileDescriptor> bind_unix_socket(const std::string& path) {
  const sockaddr_un address = address_of(path);
  if (auto status = remove_stale(path, address); !status) return tl::unexpected(status.error());
  FileDescriptor socket = make_socket();
  if (!socket) return failed(ErrorCode::io, path, std::strerror(errno));
  if (::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return socket;
  if (errno == EADDRINUSE)
    return failed(ErrorCode::busy, path, "another process took it just now; choose another path");
  return failed(ErrorCode::io, path,
                std::strerror(errno) + std::string("; see that its folder exists and can be "
                                                   "written"));
}

}  // namespace dhrt
