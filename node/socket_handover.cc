#include "node/socket_handover.h"

#include <cerrno>
#include <fcntl.h>
#include <utility>

namespace dhrt {

namespace {

tl::unexpected<Error> failed(int status) {
  return fail(ErrorCode::io, std::string("move a connection: ") + uv_strerror(status) +
                                 "; raise `ulimit -n` if descriptors are used up");
}

}  // namespace

// A copy, since libuv closes the descriptor of a handle with the handle.
Result<FileDescriptor> take_socket(TcpConnection& connection) {
  uv_os_fd_t socket = -1;
  const int status = uv_fileno(reinterpret_cast<const uv_handle_t*>(connection.raw()), &socket);
  if (status != 0) return failed(status);
  FileDescriptor copy(::fcntl(socket, F_DUPFD_CLOEXEC, 0));
  if (!copy) return failed(uv_translate_sys_error(errno));
  return copy;
}

Result<std::unique_ptr<TcpConnection>> adopt_socket(EventLoop& loop, FileDescriptor socket) {
  auto connection = std::make_unique<TcpConnection>(loop);
  const int status = uv_tcp_open(connection->raw(), socket.get());
  if (status != 0) return failed(status);
  socket.release();  // The connection closes it from now on.
  return connection;
}

}  // namespace dhrt
