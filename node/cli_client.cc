#include "node/cli_client.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include "node/cli_interrupt.h"
#include "protocol/duration.h"
#include "protocol/resp.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr std::size_t receive_bytes = std::size_t{256} << 10;

// A wait is cut into slices, so that a signal which comes just before it is noticed too.
constexpr Duration slice{200};

using AddressList = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

std::string system_message(int code) {
  std::string text = std::strerror(code);
  // "Connection refused" stands in the middle of a sentence.
  if (text.size() > 1 && text[1] >= 'a' && text[0] >= 'A' && text[0] <= 'Z')
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

tl::unexpected<Error> cannot_connect(const Address& address, const std::string& why) {
  return fail(ErrorCode::unavailable, "cannot connect to " + to_text(address) + " (" + why +
                                          "); is a node running? start one with: dhrt start");
}

// Milliseconds left, as poll takes them.
int left_until(Time deadline) {
  const auto left = (deadline - monotonic_now()).count();
  return static_cast<int>(std::clamp<Duration::rep>(left, 0, 1000000000));
}

// 0, or the reason as an errno.
int finish_connect(int socket, Time deadline) {
  pollfd waiting{socket, POLLOUT, 0};
  const int ready = poll(&waiting, 1, left_until(deadline));
  if (ready < 0) return errno;
  if (ready == 0) return ETIMEDOUT;
  int code = 0;
  socklen_t size = sizeof code;
  if (getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size) != 0) return errno;
  return code;
}

// A connected socket, or minus the reason as an errno.
int connect_one(const addrinfo& target, Time deadline) {
  const int socket = ::socket(target.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (socket < 0) return -errno;
  int code = 0;
  if (connect(socket, target.ai_addr, target.ai_addrlen) != 0)
    code = errno == EINPROGRESS ? finish_connect(socket, deadline) : errno;
  if (code == 0) {
    const int on = 1;  // One small line at a time: it must not wait for an acknowledgement.
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return socket;
  }
  close(socket);
  return -code;
}

}  // namespace

Result<Client> Client::connect(const Address& address, Duration timeout, TlsSession tls) {
  std::unique_ptr<TlsStream> stream;
  if (tls) {
    stream = std::make_unique<TlsStream>(std::move(tls));
    if (Status status = stream->start(); !status) return tl::unexpected(status.error());
  }
  const Time deadline = monotonic_now() + timeout;
  addrinfo wanted{};
  wanted.ai_family = AF_UNSPEC;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port);
  if (const int code = getaddrinfo(address.host.c_str(), port.c_str(), &wanted, &found); code != 0)
    return cannot_connect(address, gai_strerror(code));
  const AddressList list(found, freeaddrinfo);
  int code = ENOENT;
  for (const addrinfo* target = list.get(); target != nullptr; target = target->ai_next) {
    const int socket = connect_one(*target, deadline);
    if (socket >= 0) return Client(socket, address, std::move(stream));
    code = -socket;
  }
  return cannot_connect(
      address, code == ETIMEDOUT ? "no answer in " + to_text(timeout) : system_message(code));
}

Client::Client(Client&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)),
      address_(std::move(other.address_)),
      tls_(std::move(other.tls_)),
      unsent_(std::move(other.unsent_)),
      encrypted_(std::move(other.encrypted_)),
      received_(std::move(other.received_)),
      closed_(other.closed_) {}

Client& Client::operator=(Client&& other) noexcept {
  std::swap(socket_, other.socket_);
  std::swap(address_, other.address_);
  std::swap(tls_, other.tls_);
  std::swap(unsent_, other.unsent_);
  std::swap(encrypted_, other.encrypted_);
  std::swap(received_, other.received_);
  std::swap(closed_, other.closed_);
  return *this;
}

Client::~Client() {
  if (socket_ >= 0) close(socket_);
}

Result<Reply> Client::call(const std::vector<text::Token>& tokens, Duration timeout) {
  const Time deadline = monotonic_now() + timeout;
  queue(text::to_line(tokens) + "\n");
  std::vector<Reply> replies;
  while (replies.empty()) {
    const Duration left = deadline - monotonic_now();
    if (left.count() <= 0)
      return fail(ErrorCode::timeout, where() + " did not answer in " + to_text(timeout) +
                                          "; give it longer with --timeout");
    if (auto moved = exchange(std::min(left, slice), replies); !moved)
      return tl::unexpected(moved.error());
  }
  return std::move(replies.front());
}

Status Client::exchange(Duration wait, std::vector<Reply>& replies) {
  if (tls_) encrypt();
  const std::string& sendable = tls_ ? encrypted_ : unsent_;
  const short events = static_cast<short>(sendable.empty() ? POLLIN : POLLIN | POLLOUT);
  pollfd waiting{socket_, events, 0};
  const int ready = poll(&waiting, 1, left_until(monotonic_now() + wait));
  if (interrupted()) return fail(ErrorCode::unavailable, "interrupted");
  if (ready < 0 && errno != EINTR)
    return fail(ErrorCode::io, "wait for " + where() + ": " + system_message(errno));
  if (ready <= 0) return {};
  // A node that refuses may answer and close before it has read everything: what it said is
  // read even if sending fails.
  const Status sent = (waiting.revents & POLLOUT) != 0 ? send_queued() : Status{};
  Status got = (waiting.revents & ~POLLOUT) != 0 || !sent ? receive() : Status{};
  const std::size_t before = replies.size();
  if (auto taken = take_replies(replies); !taken) return taken;
  if (replies.size() > before) return {};
  if (!sent) return sent;
  return got;
}

void Client::encrypt() {
  if (!tls_->in_handshake()) {
    tls_->send(unsent_);
    unsent_.clear();
  }
  encrypted_ += tls_->take_output();
}

Status Client::send_queued() {
  std::string& bytes = tls_ ? encrypted_ : unsent_;
  const auto sent = send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent >= 0) {
    bytes.erase(0, static_cast<std::size_t>(sent));
    return {};
  }
  if (errno == EAGAIN || errno == EINTR) return {};
  return fail(ErrorCode::unavailable,
              "connection to " + where() + " lost (" + system_message(errno) + ")");
}

// Reads until nothing is left or what is held has doubled: a large reply in many pieces is then
// parsed a few times, not once for every piece.
Status Client::receive() {
  std::string ciphertext;
  std::string& arrived = tls_ ? ciphertext : received_;
  const std::size_t enough = received_.size() * 2 + receive_bytes;
  while (received_.size() < enough) {
    const std::size_t held = arrived.size();
    arrived.resize(held + receive_bytes);
    const auto count = recv(socket_, arrived.data() + held, receive_bytes, 0);
    const int code = errno;
    arrived.resize(held + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count > 0 && !tls_) continue;
    if (count > 0) {
      if (Status status = decrypt(std::exchange(ciphertext, {})); !status) return status;
      continue;
    }
    if (count < 0 && (code == EAGAIN || code == EINTR)) return {};
    closed_ = true;
    return fail(ErrorCode::unavailable,
                count == 0 ? where() + " closed the connection"
                           : "connection to " + where() + " lost (" + system_message(code) + ")");
  }
  return {};
}

Status Client::decrypt(const std::string& ciphertext) {
  if (Status status = tls_->receive(ciphertext, received_); !status)
    return fail(ErrorCode::unavailable, "TLS with " + where() + ": " + status.error().message +
                                            "; see --tls-ca, and if the node has --tls-cert");
  encrypted_ += tls_->take_output();
  return {};
}

Status Client::take_replies(std::vector<Reply>& replies) {
  std::size_t used = 0;
  while (used < received_.size()) {
    auto parsed = resp::parse_reply(Bytes(received_).substr(used));
    if (!parsed)
      return fail(ErrorCode::corrupt, where() + " does not answer as a dhrt node does (" +
                                          parsed.error().message + "); check the port");
    if (!*parsed) break;
    used += (*parsed)->consumed;
    replies.push_back(std::move((*parsed)->reply));
  }
  received_.erase(0, used);
  if (received_.size() > reply_bytes_max)
    return fail(ErrorCode::corrupt, "the reply of " + where() + " is longer than " +
                                        std::to_string(reply_bytes_max) + " bytes; ask for less");
  return {};
}

bool Client::is_alive() {
  if (closed_) return false;
  // The other side ends it by a word of TLS, which is no reply.
  if (tls_) return receive() && !tls_->has_ended();
  char byte = 0;
  const auto count = recv(socket_, &byte, 1, MSG_PEEK);
  return count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR));
}

}  // namespace dhrt
