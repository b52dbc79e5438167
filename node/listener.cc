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

Result<sockaddr_storage> resolve(const Endpoint& endpoint) {
  const Address& address = endpoint.address;
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  const int status = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
  if (status != 0)
    return fail(ErrorCode::invalid_argument, "cannot listen on " + to_text(address) + ": " +
                                                 gai_strerror(status) + "; give " + endpoint.flag +
                                                 " an address of this machine");
  sockaddr_storage storage{};
  std::memcpy(&storage, found->ai_addr, found->ai_addrlen);
  freeaddrinfo(found);
  return storage;
}

tl::unexpected<Error> listen_error(const Endpoint& endpoint, int status) {
  const Address& address = endpoint.address;
  const std::string change = "; choose another one with " + endpoint.flag;
  if (status == UV_EADDRINUSE)
    return fail(ErrorCode::busy,
                "port " + std::to_string(address.port) + " is in use on " + address.host + change);
  return fail(ErrorCode::io,
              "cannot listen on " + to_text(address) + ": " + uv_strerror(status) + change);
}

}  // namespace

Listener::Listener(EventLoop& loop, Endpoint endpoint, Accept accept)
    : loop_(loop), accept_(std::move(accept)), bound_(std::move(endpoint)) {}

Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, const Endpoint& endpoint,
                                                 Accept accept) {
  return endpoint.is_unix() ? open_unix(loop, endpoint, std::move(accept))
                            : open_tcp(loop, endpoint, std::move(accept));
}

// --- A port ---------------------------------------------------------------------------------

Result<std::unique_ptr<Listener>> Listener::open_tcp(EventLoop& loop, const Endpoint& endpoint,
                                                     Accept accept) {
  const auto resolved = resolve(endpoint);
  if (!resolved) return tl::unexpected(resolved.error());
  std::unique_ptr<Listener> listener(new Listener(loop, endpoint, std::move(accept)));
  listener->make_tcp_handle(*resolved);
  if (const int status = listener->listen_tcp(false); status != 0)
    return listen_error(endpoint, status);

  int length = sizeof(listener->at_);
  uv_tcp_getsockname(listener->tcp_.get(), reinterpret_cast<sockaddr*>(&listener->at_), &length);
  listener->bound_.address.port = to_host_and_port(listener->at_).port;
  return listener;
}

Status Listener::share() {
  if (const int status = set_reuse_port(); status != 0) return listen_error(bound_, status);
  return {};
}

Result<std::unique_ptr<Listener>> Listener::open_beside(const Listener& first, EventLoop& loop,
                                                        Accept accept) {
  std::unique_ptr<Listener> listener(new Listener(loop, first.bound_, std::move(accept)));
  listener->make_tcp_handle(first.at_);
  if (const int status = listener->listen_tcp(true); status != 0)
    return listen_error(first.bound_, status);
  return listener;
}

void Listener::make_tcp_handle(const sockaddr_storage& at) {
  at_ = at;
  tcp_ = make_uv_handle<uv_tcp_t>(this, [&](uv_tcp_t* tcp) {
    // With the family named, the socket is there at once, to be given options.
    uv_tcp_init_ex(loop_.raw(), tcp, at.ss_family);
  });
}

int Listener::listen_tcp(bool shares) {
  if (const int status = shares ? set_reuse_port() : 0; status != 0) return status;
  const int status = uv_tcp_bind(tcp_.get(), reinterpret_cast<const sockaddr*>(&at_), 0);
  return status != 0 ? status : listen(reinterpret_cast<uv_stream_t*>(tcp_.get()));
}

int Listener::set_reuse_port() {
  uv_os_fd_t socket = -1;
  const int status = uv_fileno(reinterpret_cast<const uv_handle_t*>(tcp_.get()), &socket);
  if (status != 0) return status;
  const int yes = 1;
  if (setsockopt(socket, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof(yes)) == 0) return 0;
  return uv_translate_sys_error(errno);
}

// --- A unix socket --------------------------------------------------------------------------

Result<std::unique_ptr<Listener>> Listener::open_unix(EventLoop& loop, const Endpoint& endpoint,
                                                      Accept accept) {
  auto socket = bind_unix_socket(endpoint.path);
  if (!socket) return tl::unexpected(socket.error());
  std::unique_ptr<Listener> listener(new Listener(loop, endpoint, std::move(accept)));
  listener->file_.emplace(endpoint.path);
  if (const int status = listener->listen_unix(std::move(*socket)); status != 0)
    return fail(ErrorCode::io,
                "cannot listen on the socket " + endpoint.path + ": " + uv_strerror(status));
  return listener;
}

int Listener::listen_unix(FileDescriptor socket) {
  pipe_ =
      make_uv_handle<uv_pipe_t>(this, [&](uv_pipe_t* pipe) { uv_pipe_init(loop_.raw(), pipe, 0); });
  if (const int status = uv_pipe_open(pipe_.get(), socket.get()); status != 0) return status;
  socket.release();  // The handle closes it from now on.
  return listen(reinterpret_cast<uv_stream_t*>(pipe_.get()));
}

// --- Both -----------------------------------------------------------------------------------

int Listener::listen(uv_stream_t* stream) {
  return uv_listen(stream, backlog, [](uv_stream_t* waiting, int result) {
    if (auto* self = static_cast<Listener*>(waiting->data)) self->connection_waits(result);
  });
}

void Listener::connection_waits(int status) {
  const bool is_tcp = tcp_ != nullptr;
  auto connection = std::make_unique<StreamConnection>(
      loop_, is_tcp ? StreamConnection::Kind::tcp : StreamConnection::Kind::unix_socket);
  auto* const stream = is_tcp ? reinterpret_cast<uv_stream_t*>(tcp_.get())
                              : reinterpret_cast<uv_stream_t*>(pipe_.get());
  if (status == 0) status = uv_accept(stream, connection->raw());
  if (status != 0) {
    log_warning("a connection could not be accepted", {{"reason", uv_strerror(status)}});
    return;
  }
  accept_(std::move(connection));
}

}  // namespace dhrt
