#include "node/socket_handover.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/socket.h>
#include <utility>

namespace dhrt {

namespace {

tl::unexpected<Error> failed(int status) {
  return fail(ErrorCode::io, std::string("move a connection: ") + uv_strerror(status) +
                                 "; raise `ulimit -n` if descriptors are used up");
}

sa_family_t family_of(const FileDescriptor& socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof(address);
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0)
    return AF_UNSPEC;
  return address.ss_family;
}

}  // namespace

// A copy, since libuv closes the descriptor of a handle with the handle.
Result<FileDescriptor> take_socket(StreamConnection& connection) {
  uv_os_fd_t socket = -1;
  const int status = uv_fileno(reinterpret_cast<const uv_handle_t*>(connection.raw()), &socket);
  if (status != 0) return failed(status);
  FileDescriptor copy(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (!copy) return failed(uv_translate_sys_error(errno));
  return copy;
}

Result<std::unique_ptr<StreamConnection>> adopt_socket(EventLoop& loop, FileDescriptor socket) {
  const bool is_tcp = family_of(socket) != AF_UNIX;
  auto connection = std::make_unique<StreamConnection>(
      loop, is_tcp ? StreamConnection::Kind::tcp : StreamConnection::Kind::unix_socket);
  const int status = is_tcp ? uv_tcp_open(connection->tcp(), socket.get())
                            : uv_pipe_open(connection->pipe(), socket.get());
  if (status != 0) return failed(status);
  socket.release();  // The connection closes it from now on.
  return connection;
}

}  // namespace dhrt
