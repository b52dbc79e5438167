#include "node/stream_connection.h"

#include <arpa/inet.h>
#include <array>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <utility>

#include "node/address.h"

namespace dhrt {

namespace {

constexpr const char* unix_host = "unix";
// Words of TLS that a client leaves unread while it sends nothing else; a handshake has a few KiB.
constexpr std::size_t unasked_bytes_max = std::size_t{64} << 10;

template <typename GetName>
sockaddr_storage address_by(GetName get_name, const uv_tcp_t* handle) {
  sockaddr_storage address{};
  int length = sizeof(address);
  if (get_name(handle, reinterpret_cast<sockaddr*>(&address), &length) != 0) address = {};
  return address;
}

bool is_private_ipv4(std::uint32_t address) {
  return (address >> 24) == 127 || (address >> 24) == 10 || (address >> 20) == 0xac1 ||
         (address >> 16) == 0xc0a8 || (address >> 16) == 0xa9fe;
}

bool is_private_ipv6(const in6_addr& address) {
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    std::uint32_t mapped = 0;
    std::memcpy(&mapped, &address.s6_addr[12], sizeof(mapped));
    return is_private_ipv4(ntohl(mapped));
  }
  return IN6_IS_ADDR_LOOPBACK(&address) || IN6_IS_ADDR_LINKLOCAL(&address) ||
         (address.s6_addr[0] & 0xfe) == 0xfc;
}

}  // namespace

HostAndPort to_host_and_port(const sockaddr_storage& address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.ss_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &address, sizeof(ipv4));
    uv_ip4_name(&ipv4, text.data(), text.size());
    return {text.data(), ntohs(ipv4.sin_port)};
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, &address, sizeof(ipv6));
    uv_ip6_name(&ipv6, text.data(), text.size());
    std::string host = text.data();
    // A socket for both families shows IPv4 callers like this.
    if (host.starts_with("::ffff:") && host.find('.') != std::string::npos) host.erase(0, 7);
    return {std::move(host), ntohs(ipv6.sin6_port)};
  }
  return {};
}

bool is_private_address(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, &address, sizeof(ipv4));
    return is_private_ipv4(ntohl(ipv4.sin_addr.s_addr));
  }
  if (address.ss_family == AF_INET6) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, &address, sizeof(ipv6));
    return is_private_ipv6(ipv6.sin6_addr);
  }
  return false;
}

struct StreamConnection::WriteRequest {
  uv_write_t request{};
  std::string bytes;  // Owned until libuv is done with them.
};

StreamConnection::StreamConnection(EventLoop& loop, Kind kind) : loop_(loop) {
  if (kind == Kind::tcp) {
    tcp_ = make_uv_handle<uv_tcp_t>(this, [&](uv_tcp_t* tcp) { uv_tcp_init(loop.raw(), tcp); });
    stream_ = reinterpret_cast<uv_stream_t*>(tcp_.get());
  } else {
    pipe_ = make_uv_handle<uv_pipe_t>(this,
                                      [&](uv_pipe_t* pipe) { uv_pipe_init(loop.raw(), pipe, 0); });
    stream_ = reinterpret_cast<uv_stream_t*>(pipe_.get());
  }
}

StreamConnection::~StreamConnection() {
  if (ticket_ != 0) handshakes_->forget(ticket_);
  if (dropped_ != nullptr) *dropped_ = true;
}

void StreamConnection::start_reading() {
  if (reading_ || failed_ || ticket_ != 0) return;
  reading_ = true;
  uv_read_start(
      stream_,
      [](uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
        auto* self = static_cast<StreamConnection*>(handle->data);
        auto& shared = self->loop_.read_buffer();
        *buffer = uv_buf_init(shared.data(), static_cast<unsigned>(shared.size()));
      },
      [](uv_stream_t* stream, ssize_t count, const uv_buf_t*) {
        if (auto* self = static_cast<StreamConnection*>(stream->data)) self->read_done(count);
      });
}

void StreamConnection::stop_reading() {
  if (!reading_) return;
  reading_ = false;
  uv_read_stop(stream_);
}

// What cannot begin is not answered, and times out.
void StreamConnection::begin_tls(TlsSession session) {
  tls_ = std::make_unique<TlsStream>(std::move(session));
  if (tls_->start()) send_encrypted();
}

void StreamConnection::read_done(ssize_t count) {
  if (handler_ == nullptr || count == 0) return;
  if (count < 0 && count != UV_EOF) return fail(uv_strerror(static_cast<int>(count)));
  if (count == UV_EOF) {
    stop_reading();
    return handler_->ended();
  }
  const Bytes bytes(loop_.read_buffer().data(), static_cast<std::size_t>(count));
  if (tls_door_.clients != nullptr || tls_door_.peers != nullptr) decide(bytes);
  if (failed_) return;
  if (tls_ != nullptr) return decrypt(bytes);
  handler_->received(bytes);
}

// No other dialect begins with the type of a handshake's record (RFC 8446, section 5.1).
void StreamConnection::decide(Bytes first) {
  const TlsDoor door = std::exchange(tls_door_, {});
  handshakes_ = door.handshakes;
  if (first.front() == '\x16') {
    tls_ = std::make_unique<TlsStream>(TlsContext::accept(door.clients, door.peers));
  } else if (door.only) {
    plain_refused_ = true;
    fail("it came without, and only TLS is served here");
  }
}

void StreamConnection::decrypt(Bytes bytes) {
  if (handshakes_ != nullptr && tls_->in_handshake() && !handshakes_->admits())
    return wait_for_handshakes(bytes);
  decrypt_now(bytes);
}

void StreamConnection::wait_for_handshakes(Bytes bytes) {
  stop_reading();
  held_ = bytes;
  const auto who = answered_ ? HandshakeQueue::Who::under_way : HandshakeQueue::Who::newcomer;
  ticket_ = handshakes_->wait(who, [this] {
    ticket_ = 0;
    const std::string held = std::exchange(held_, {});
    if (failed_ || handler_ == nullptr) return;
    start_reading();
    decrypt_now(held);
  });
}

// All of it at once: a handler that wants no more for now gets at most what was read.
void StreamConnection::decrypt_now(Bytes bytes) {
  std::string plain;
  const Status status = tls_->receive(bytes, plain);
  const std::size_t answered = send_encrypted();
  answered_ = answered_ || answered > 0;
  // What TLS answers by itself, to key updates for one, the handler does not see.
  unasked_bytes_ = plain.empty() && unsent() > 0 ? unasked_bytes_ + answered : 0;
  if (unasked_bytes_ > unasked_bytes_max) return fail("it asks, and does not read");
  if (handler_ != nullptr && !plain.empty()) {
    bool dropped = false;
    dropped_ = &dropped;
    handler_->received(plain);
    if (dropped) return;
    dropped_ = nullptr;
  }
  if (!status) {
    tls_failed_ = true;
    return fail(status.error().message);
  }
  if (handler_ == nullptr || tls_ == nullptr || !tls_->has_ended()) return;
  stop_reading();
  handler_->ended();
}

void StreamConnection::fail(const std::string& reason) {
  if (failed_) return;
  stop_reading();
  failed_ = true;
  if (handler_ != nullptr) handler_->failed(reason);
}

std::size_t StreamConnection::send_now(std::string& bytes) {
  if (unsent() > 0 || uv_is_writable(stream_) == 0) return 0;
  // What uv_try_write() would do by write(2), which costs a request some percent more.
  uv_os_fd_t socket = -1;
  if (uv_fileno(reinterpret_cast<const uv_handle_t*>(stream_), &socket) != 0) return 0;
  const ssize_t sent = ::send(socket, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  // Errors come back from uv_write, in a callback and not in the middle of our caller.
  return sent > 0 ? static_cast<std::size_t>(sent) : 0;
}

void StreamConnection::write(std::string& bytes) {
  if (tls_ == nullptr) return send(bytes);
  tls_->send(bytes);
  bytes.clear();
  send_encrypted();
}

std::size_t StreamConnection::send_encrypted() {
  std::string output = tls_->take_output();
  const std::size_t bytes = output.size();
  send(output);
  return bytes;
}

void StreamConnection::send(std::string& bytes) {
  if (failed_) bytes.clear();
  if (bytes.empty()) return;
  const std::size_t sent = send_now(bytes);
  if (sent == bytes.size()) return bytes.clear();
  auto write = std::make_unique<WriteRequest>();
  write->bytes = std::exchange(bytes, {});
  write->request.data = write.get();
  uv_buf_t buffer =
      uv_buf_init(write->bytes.data() + sent, static_cast<unsigned>(write->bytes.size() - sent));
  const int status =
      uv_write(&write->request, stream_, &buffer, 1, [](uv_write_t* request, int result) {
        const std::unique_ptr<WriteRequest> done(static_cast<WriteRequest*>(request->data));
        if (auto* self = static_cast<StreamConnection*>(request->handle->data))
          self->write_done(result);
      });
  if (status == 0) write.release();  // The callback frees it.
}

void StreamConnection::write_done(int status) {
  if (status == UV_ECANCELED) return;
  if (status < 0)
    fail(uv_strerror(status));
  else if (handler_ != nullptr)
    handler_->drained();
}

void StreamConnection::shutdown() {
  if (failed_) return;
  if (tls_ != nullptr) {
    tls_->close();
    send_encrypted();
  }
  auto request = std::make_unique<uv_shutdown_t>();
  const int status = uv_shutdown(request.get(), stream_, [](uv_shutdown_t* done, int) {
    const std::unique_ptr<uv_shutdown_t> owned(done);
  });
  if (status == 0) request.release();
}

void StreamConnection::keep_alive() {
  if (tcp_ == nullptr) return;
  uv_tcp_keepalive(tcp_.get(), 1, 60);
  uv_tcp_nodelay(tcp_.get(), 1);
}

std::string StreamConnection::local_host() const {
  if (tcp_ == nullptr) return unix_host;
  return to_host_and_port(address_by(uv_tcp_getsockname, tcp_.get())).host;
}

std::string StreamConnection::remote_host() const {
  if (tcp_ == nullptr) return unix_host;
  return to_host_and_port(address_by(uv_tcp_getpeername, tcp_.get())).host;
}

std::uint16_t StreamConnection::remote_port() const {
  if (tcp_ == nullptr) return 0;
  return to_host_and_port(address_by(uv_tcp_getpeername, tcp_.get())).port;
}

std::string StreamConnection::local_address() const {
  if (tcp_ == nullptr) return unix_host;
  return to_text(
      Address{local_host(), to_host_and_port(address_by(uv_tcp_getsockname, tcp_.get())).port});
}

std::string StreamConnection::remote_address() const {
  if (tcp_ == nullptr) return unix_host;
  return to_text(Address{remote_host(), remote_port()});
}

int StreamConnection::descriptor() const {
  uv_os_fd_t descriptor = -1;
  const auto* handle = reinterpret_cast<const uv_handle_t*>(stream_);
  return uv_fileno(handle, &descriptor) == 0 ? descriptor : -1;
}

bool StreamConnection::is_gone() const {
  pollfd looked_at{descriptor(), POLLRDHUP, 0};
  return ::poll(&looked_at, 1, 0) > 0 &&
         (looked_at.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

bool StreamConnection::remote_is_private() const {
  return tcp_ == nullptr || is_private_address(address_by(uv_tcp_getpeername, tcp_.get()));
}

}  // namespace dhrt
