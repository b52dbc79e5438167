#include "node/listener.h"

#include <cstring>
#include <netdb.h>
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

Listener::Listener(EventLoop& loop, Accept accept)
    : loop_(loop),
      accept_(std::move(accept)),
      handle_(
          make_uv_handle<uv_tcp_t>(this, [&](uv_tcp_t* tcp) { uv_tcp_init(loop.raw(), tcp); })) {}

Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, const Address& address,
                                                 Accept accept) {
  const auto resolved = resolve(address);
  if (!resolved) return tl::unexpected(resolved.error());
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(accept)));
  uv_tcp_t* tcp = listener->handle_.get();
  int status = uv_tcp_bind(tcp, reinterpret_cast<const sockaddr*>(&*resolved), 0);
  if (status == 0)
    status = uv_listen(reinterpret_cast<uv_stream_t*>(tcp), backlog,
                       [](uv_stream_t* stream, int result) {
                         if (auto* self = static_cast<Listener*>(stream->data))
                           self->connection_waits(result);
                       });
  if (status != 0) return listen_error(address, status);

  sockaddr_storage name{};
  int length = sizeof(name);
  uv_tcp_getsockname(tcp, reinterpret_cast<sockaddr*>(&name), &length);
  listener->bound_ = {address.host, to_host_and_port(name).port};
  return listener;
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
