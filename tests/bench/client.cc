#include "tests/bench/client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <span>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "tests/bench/reply.h"

namespace dhrt::bench {

namespace {

using Clock = std::chrono::steady_clock;

tl::unexpected<Error> system_error(const std::string& doing) {
  return fail(ErrorCode::io, doing + ": " + std::strerror(errno));
}

std::chrono::nanoseconds cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int get() const { return number_; }

 private:
  int number_;
};

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { ::freeaddrinfo(addresses); }
};

Result<Descriptor> connect_to(const ClientOptions& options) {
  const std::string where = "connect to " + options.host + ":" + std::to_string(options.port);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int rc =
      ::getaddrinfo(options.host.c_str(), std::to_string(options.port).c_str(), &hints, &found);
  if (rc != 0) return fail(ErrorCode::io, where + ": " + ::gai_strerror(rc));
  const std::unique_ptr<addrinfo, FreeAddresses> addresses(found);
  Descriptor socket(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (socket.get() < 0 || ::connect(socket.get(), found->ai_addr, found->ai_addrlen) != 0)
    return system_error(where);
  const int on = 1;
  if (::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
    return system_error("TCP_NODELAY");
  return socket;
}

struct Connection {
  Descriptor socket;
  std::vector<Request> batch;  // In flight, in the order of their replies.
  std::size_t answered = 0;    // Of the batch.
  Clock::time_point sent_at;
  std::string unsent;    // What the last write left over.
  std::string unparsed;  // The beginning of a reply.
};

class Client {
 public:
  Client(const ClientOptions& options, Workload& workload, Measurement& measurement)
      : options_(options), workload_(workload), measurement_(measurement), input_(input_bytes) {}

  Status run();

 private:
  static constexpr std::size_t input_bytes = 256 * 1024;
  static constexpr std::size_t write_bytes = 64 * 1024;

  Status connect_all();
  Status loop();
  Status on_event(const epoll_event& event);
  Status watch(Connection& connection, std::size_t index, int operation, bool writable);

  bool may_send(Clock::time_point now) const;
  Status send_batch(std::size_t index);
  Status flush(std::size_t index);
  Status receive(std::size_t index);
  Result<std::size_t> read_replies(Connection& connection, Bytes input, Clock::time_point now);
  void judge(const Request& request, const ReplyView& reply);
  void note(std::uint64_t& counter, Bytes what);

  const ClientOptions& options_;
  Workload& workload_;
  Measurement& measurement_;
  Descriptor epoll_;
  std::vector<Connection> connections_;
  std::vector<char> input_;  // Shared: one read at a time, and it stays in the cache.
  std::string output_;
  std::uint64_t started_count_ = 0;  // Requests sent.
  std::size_t busy_count_ = 0;       // Connections with a batch in flight.
  Clock::time_point deadline_;
};

Status Client::connect_all() {
  epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (epoll_.get() < 0) return system_error("epoll_create1");
  for (std::size_t i = 0; i < options_.connections; ++i) {
    auto socket = connect_to(options_);
    if (!socket) return tl::unexpected(socket.error());
    connections_.push_back({std::move(*socket), {}, 0, {}, {}, {}});
    if (auto watched = watch(connections_[i], i, EPOLL_CTL_ADD, false); !watched) return watched;
  }
  return {};
}

Status Client::watch(Connection& connection, std::size_t index, int operation, bool writable) {
  epoll_event event{};
  event.events = EPOLLIN | (writable ? std::uint32_t{EPOLLOUT} : 0U);
  event.data.u64 = index;
  if (::epoll_ctl(epoll_.get(), operation, connection.socket.get(), &event) != 0)
    return system_error("epoll_ctl");
  return {};
}

bool Client::may_send(Clock::time_point now) const {
  if (options_.operations > 0) return started_count_ < options_.operations;
  return now < deadline_;
}

Status Client::send_batch(std::size_t index) {
  Connection& connection = connections_[index];
  connection.answered = 0;
  connection.batch.clear();
  output_.clear();
  while (connection.batch.size() < options_.pipeline &&
         (options_.operations == 0 || started_count_ < options_.operations)) {
    connection.batch.push_back(workload_.next());
    workload_.append_line(connection.batch.back(), output_);
    ++started_count_;
  }
  ++busy_count_;
  connection.sent_at = Clock::now();
  connection.unsent.swap(output_);
  return flush(index);
}

Status Client::flush(std::size_t index) {
  Connection& connection = connections_[index];
  std::size_t sent = 0;
  while (sent < connection.unsent.size()) {
    const std::size_t bytes = std::min(write_bytes, connection.unsent.size() - sent);
    const ssize_t written = ::send(connection.socket.get(), connection.unsent.data() + sent, bytes,
                                   MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (written < 0) return system_error("send to the server");
    sent += static_cast<std::size_t>(written);
  }
  const bool done = sent == connection.unsent.size();
  connection.unsent.erase(0, sent);
  // Without the wait for room, replies alone would have to wake this connection.
  return done ? Status{} : watch(connection, index, EPOLL_CTL_MOD, true);
}

Status Client::receive(std::size_t index) {
  Connection& connection = connections_[index];
  const std::size_t kept = connection.unparsed.size();
  if (input_.size() < kept + input_bytes) input_.resize(2 * (kept + input_bytes));
  std::copy(connection.unparsed.begin(), connection.unparsed.end(), input_.begin());
  const ssize_t received =
      ::recv(connection.socket.get(), input_.data() + kept, input_.size() - kept, MSG_DONTWAIT);
  if (received < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return {};
  if (received < 0) return system_error("receive from the server");
  if (received == 0) return fail(ErrorCode::io, "the server closed a connection in the run");
  const Bytes input(input_.data(), kept + static_cast<std::size_t>(received));
  const auto now = Clock::now();
  const auto consumed = read_replies(connection, input, now);
  if (!consumed) return tl::unexpected(consumed.error());
  connection.unparsed.assign(input.substr(*consumed));
  if (connection.answered < connection.batch.size()) return {};
  if (!connection.unparsed.empty())
    return fail(ErrorCode::io, "the server sent more replies than it was asked for");
  --busy_count_;
  return may_send(now) ? send_batch(index) : Status{};
}

Result<std::size_t> Client::read_replies(Connection& connection, Bytes input,
                                         Clock::time_point now) {
  std::size_t consumed = 0;
  std::uint64_t count = 0;
  while (connection.answered < connection.batch.size()) {
    const ReplyView reply = read_reply(input.substr(consumed));
    if (reply.kind == ReplyKind::need_more) break;
    if (reply.kind == ReplyKind::malformed) {
      return fail(ErrorCode::io, "these bytes of the server are no reply: '" +
                                     std::string(input.substr(consumed, 40)) + "'");
    }
    judge(connection.batch[connection.answered++], reply);
    consumed += reply.consumed;
    ++count;
  }
  measurement_.operations += count;
  measurement_.latencies.record(static_cast<std::uint64_t>((now - connection.sent_at).count()),
                                count);
  return consumed;
}

void Client::judge(const Request& request, const ReplyView& reply) {
  switch (reply.kind) {
    case ReplyKind::error:
      return note(measurement_.errors, reply.text);
    case ReplyKind::nil:
      if (request.reads) {
        ++measurement_.misses;
        return;
      }
      return note(measurement_.wrong, "SET was answered by nil");
    case ReplyKind::bulk:
      if (!request.reads) return note(measurement_.wrong, "SET was answered by a value");
      if (!workload_.is_value_of(request.key, reply.text)) {
        note(measurement_.wrong, "key " + std::to_string(request.key) +
                                     " has an unexpected value: '" +
                                     std::string(reply.text.substr(0, 60)) + "'");
      }
      return;
    case ReplyKind::simple:
      if (request.reads) return note(measurement_.wrong, "GET was answered by a simple string");
      if (reply.text != "OK") note(measurement_.wrong, "SET was not answered by OK");
      return;
    case ReplyKind::integer:
      return note(measurement_.wrong, "an integer was answered");
    case ReplyKind::need_more:
    case ReplyKind::malformed:
      return;  // The caller keeps them away.
  }
}

void Client::note(std::uint64_t& counter, Bytes what) {
  if (measurement_.first_error.empty()) measurement_.first_error = what;
  ++counter;
}

Status Client::on_event(const epoll_event& event) {
  const auto index = static_cast<std::size_t>(event.data.u64);
  if ((event.events & EPOLLOUT) != 0) {
    if (auto quiet = watch(connections_[index], index, EPOLL_CTL_MOD, false); !quiet) return quiet;
    if (auto flushed = flush(index); !flushed) return flushed;
  }
  if ((event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) return receive(index);
  return {};
}

Status Client::loop() {
  std::array<epoll_event, 256> events{};
  const auto timeout = std::chrono::duration_cast<std::chrono::milliseconds>(options_.timeout);
  while (busy_count_ > 0) {
    const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                   static_cast<int>(timeout.count()));
    if (ready < 0 && errno == EINTR) continue;
    if (ready < 0) return system_error("epoll_wait");
    if (ready == 0) {
      return fail(ErrorCode::timeout, "the server answered nothing for " +
                                          std::to_string(timeout.count() / 1000) + " s");
    }
    for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(ready)))
      if (auto status = on_event(event); !status) return status;
  }
  return {};
}

Status Client::run() {
  if (auto connected = connect_all(); !connected) return connected;
  const auto cpu_before = cpu_time();
  const auto began = Clock::now();
  deadline_ = began + options_.duration;
  Status status;
  for (std::size_t i = 0; i < connections_.size() && status && may_send(began); ++i)
    status = send_batch(i);
  if (status) status = loop();
  measurement_.elapsed = Clock::now() - began;
  measurement_.client_cpu = cpu_time() - cpu_before;
  return status;
}

}  // namespace

Status run_client(const ClientOptions& options, Workload& workload, Measurement& measurement) {
  return Client(options, workload, measurement).run();
}

}  // namespace dhrt::bench
