#include "node/listener.h"

#include <cerrno>
#include <cstring>
#include <netdb.h>
#include <sys/socket.h>
#include <utility>

#include "node/log.h"

namespace dhrt {

namespace {

// Connections that wait to be accepted; a burst of clients after a restart fits.
constexpr int backlog = 1024;

Result<sockaddr_storage> resolve(const Address& address) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int status = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (status != 0)
    return fail(ErrorCode::invalid_argument, "cannot listen on " + to_text(address) + ": " +
                                                 gai_strerror(status) +
                                                 "; give --bind an address of this machine");
  sockaddr_storage storage{};
  std::memcpy(&storage, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return storage;
}

tl::unexpected<Error> listen_error(const Address& address, int status) {
  if (status == UV_EADDRINUSE)
    return fail(ErrorCode::busy, "port " + std::to_string(address.port) + " is in use on " +
                                     address.host + "; choose another one with --bind HOST:PORT");
  return fail(ErrorCode::io, "cannot listen on " + to_text(address) + ": " + uv_strerror(status) +
                                 "; choose another one with --bind HOST:PORT");
}

}  // namespace

Listener::Listener(EventLoop& loop, const sockaddr_storage& at, Accept accept)
    : loop_(loop),
      accept_(std::move(accept)),
      at_(at),
      handle_(make_uv_handle<uv_tcp_t>(this, [&](uv_tcp_t* tcp) {
        // With the family named, the socket is there at once, to be given options.
        uv_tcp_init_ex(loop.raw(), tcp, at.ss_family);
      })) {}

Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, const Address& address,
                                                 Accept accept) {
  const auto resolved = resolve(address);
  if (!resolved) return tl::unexpected(resolved.error());
  std::unique_ptr<Listener> listener(new Listener(loop, *resolved, std::move(accept)));
  if (const int status = listener->listen(false); status != 0) return listen_error(address, status);

  int length = sizeof(listener->at_);
  uv_tcp_getsockname(listener->handle_.get(), reinterpret_cast<sockaddr*>(&listener->at_), &length);
  listener->bound_ = {address.host, to_host_and_port(listener->at_).port};
  return listener;
}

Status Listener::share() {
  if (const int status = set_reuse_port(); status != 0) return listen_error(bound_, status);
  return {};
}

Result<std::unique_ptr<Listener>> Listener::open_beside(const Listener& first, EventLoop& loop,
                                                        Accept accept) {
  std::unique_ptr<Listener> listener(new Listener(loop, first.at_, std::move(accept)));
  if (const int status = listener->listen(true); status != 0)
    return listen_error(first.bound_, status);
  listener->bound_ = first.bound_;
  return listener;
}

int Listener::listen(bool shares) {
  uv_tcp_t* tcp = handle_.get();
  if (const int status = shares ? set_reuse_port() : 0; status != 0) return status;
  if (const int status = uv_tcp_bind(tcp, reinterpret_cast<const sockaddr*>(&at_), 0); status != 0)
    return status;
  return uv_listen(reinterpret_cast<uv_stream_t*>(tcp), backlog,
                   [](uv_stream_t* stream, int result) {
                     if (auto* self = static_cast<Listener*>(stream->data))
                       self->connection_waits(result);
                   });
}

int Listener::set_reuse_port() {
  uv_os_fd_t socket = -1;
  const int status = uv_fileno(reinterpret_cast<const uv_handle_t*>(handle_.get()), &socket);
  if (status != 0) return status;
  const int yes = 1;
  if (setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) == 0) return 0;
  return uv_translate_sys_error(errno);
}

void Listener::connection_waits(int status) {
  auto connection = std::make_unique<TcpConnection>(loop_);
  if (status == 0)
    status = uv_accept(reinterpret_cast<uv_stream_t*>(handle_.get()),
                       reinterpret_cast<uv_stream_t*>(connection->raw()));
  if (status != 0) {
    log_warning("a connection could not be accepted", {{"reason", uv_strerror(status)}});
    return;
  }
  accept_(std::move(connection));
}

}  // namespace dhrt
