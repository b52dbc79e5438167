#include "tests/bench/client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <deque>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <span>
#include <sys/epoll.h>
#include <sys/prctl.h>
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
  // Requests of one batch that wait for replies, and when it was (to be) sent.
  struct Mark {
    std::size_t waiting;
    Clock::time_point time;
  };

  Descriptor socket;
  std::vector<Request> batch;  // In flight, in the order of their replies.
  std::size_t answered = 0;    // Of the batch.
  std::deque<Mark> marks;
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
  Status paced_loop();
  Status handle_events(std::chrono::nanoseconds timeout);
  Status on_event(const epoll_event& event);
  Status watch(Connection& connection, std::size_t index, int operation, bool writable);

  bool may_send(Clock::time_point now) const;
  Clock::time_point due() const;
  Status send_batch(std::size_t index, Clock::time_point time);
  Status send_or_keep(std::size_t index, Bytes bytes);
  Status flush(std::size_t index);
  Status receive(std::size_t index);
  Result<std::size_t> read_replies(Connection& connection, Bytes input);
  void take_time(Connection& connection, std::size_t replies, Clock::time_point now);
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
  std::uint64_t waiting_count_ = 0;  // Requests in flight.
  Clock::time_point began_;
  Clock::time_point deadline_;
  Clock::time_point heard_at_;  // When the last reply came.
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

// When the next batch of an open loop is to be sent.
Clock::time_point Client::due() const {
  const std::chrono::duration<double> after(static_cast<double>(started_count_) / options_.rate);
  return began_ + std::chrono::duration_cast<Clock::duration>(after);
}

Status Client::send_batch(std::size_t index, Clock::time_point time) {
  Connection& connection = connections_[index];
  if (connection.answered == connection.batch.size()) {
    connection.answered = 0;
    connection.batch.clear();
  }
  std::uint64_t count = options_.pipeline;
  if (options_.operations > 0) count = std::min(count, options_.operations - started_count_);
  output_.clear();
  for (std::uint64_t i = 0; i < count; ++i) {
    connection.batch.push_back(workload_.next());
    workload_.append_request(connection.batch.back(), output_);
  }
  started_count_ += count;
  waiting_count_ += count;
  connection.marks.push_back({count, time});
  return send_or_keep(index, output_);
}

Status Client::send_or_keep(std::size_t index, Bytes bytes) {
  Connection& connection = connections_[index];
  const bool queued = !connection.unsent.empty();
  std::size_t sent = 0;
  while (!queued && sent < bytes.size()) {
    const ssize_t written =
        ::send(connection.socket.get(), bytes.data() + sent,
               std::min(write_bytes, bytes.size() - sent), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (written < 0) return system_error("send to the server");
    sent += static_cast<std::size_t>(written);
  }
  connection.unsent += bytes.substr(sent);
  // Without the wait for room, replies alone would have to wake this connection.
  if (queued || connection.unsent.empty()) return {};
  return watch(connection, index, EPOLL_CTL_MOD, true);
}

Status Client::flush(std::size_t index) {
  std::string left;
  left.swap(connections_[index].unsent);
  return send_or_keep(index, left);
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
  const std::size_t answered = connection.answered;
  const auto consumed = read_replies(connection, input);
  if (!consumed) return tl::unexpected(consumed.error());
  take_time(connection, connection.answered - answered, now);
  connection.unparsed.assign(input.substr(*consumed));
  if (connection.answered < connection.batch.size()) return {};
  if (!connection.unparsed.empty())
    return fail(ErrorCode::io, "the server sent more replies than it was asked for");
  return options_.rate == 0 && may_send(now) ? send_batch(index, Clock::now()) : Status{};
}

Result<std::size_t> Client::read_replies(Connection& connection, Bytes input) {
  std::size_t consumed = 0;
  while (connection.answered < connection.batch.size()) {
    const Request& request = connection.batch[connection.answered];
    std::size_t bytes = workload_.matches(request, input.substr(consumed));
    if (bytes == 0) {
      const ReplyView reply = workload_.read(input.substr(consumed));
      if (reply.kind == ReplyKind::need_more) break;
      if (reply.kind == ReplyKind::malformed) {
        return fail(ErrorCode::io, "these bytes of the server are no reply: '" +
                                       std::string(input.substr(consumed, 40)) + "'");
      }
      judge(request, reply);
      bytes = reply.consumed;
    }
    ++connection.answered;
    consumed += bytes;
  }
  return consumed;
}

void Client::take_time(Connection& connection, std::size_t replies, Clock::time_point now) {
  measurement_.operations += replies;
  waiting_count_ -= replies;
  heard_at_ = now;
  while (replies > 0) {
    Connection::Mark& mark = connection.marks.front();
    const std::size_t of_mark = std::min(replies, mark.waiting);
    measurement_.latencies.record(static_cast<std::uint64_t>((now - mark.time).count()), of_mark);
    replies -= of_mark;
    mark.waiting -= of_mark;
    if (mark.waiting == 0) connection.marks.pop_front();
  }
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

// Waits for events, at most `timeout`, and handles them.
Status Client::handle_events(std::chrono::nanoseconds timeout) {
  std::array<epoll_event, 256> events{};
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  const timespec wait{static_cast<time_t>(seconds.count()),
                      static_cast<long>((timeout - seconds).count())};
  const int ready =
      ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()), &wait, nullptr);
  if (ready < 0 && errno == EINTR) return {};
  if (ready < 0) return system_error("epoll_pwait2");
  if (ready == 0 && Clock::now() - heard_at_ >= options_.timeout && waiting_count_ > 0) {
    const auto silence = std::chrono::duration_cast<std::chrono::seconds>(options_.timeout);
    return fail(ErrorCode::timeout,
                "the server answered nothing for " + std::to_string(silence.count()) + " s");
  }
  for (const epoll_event& event : std::span(events).first(static_cast<std::size_t>(ready)))
    if (auto status = on_event(event); !status) return status;
  return {};
}

Status Client::loop() {
  for (std::size_t i = 0; i < connections_.size() && may_send(began_); ++i)
    if (auto sent = send_batch(i, Clock::now()); !sent) return sent;
  while (waiting_count_ > 0)
    if (auto handled = handle_events(options_.timeout); !handled) return handled;
  return {};
}

Status Client::paced_loop() {
  for (std::size_t next = 0; true;) {
    auto now = Clock::now();
    for (; may_send(due()) && due() <= now; next = (next + 1) % connections_.size()) {
      measurement_.lags.record(static_cast<std::uint64_t>((now - due()).count()));
      if (auto sent = send_batch(next, due()); !sent) return sent;
      now = Clock::now();
    }
    const bool more = may_send(due());
    if (!more && waiting_count_ == 0) return {};
    const auto timeout = more ? due() - now : std::chrono::nanoseconds(options_.timeout);
    if (auto handled = handle_events(timeout); !handled) return handled;
  }
}

Status Client::run() {
  if (auto connected = connect_all(); !connected) return connected;
  const auto cpu_before = cpu_time();
  began_ = Clock::now();
  deadline_ = began_ + options_.duration;
  heard_at_ = began_;
  const Status status = options_.rate > 0 ? paced_loop() : loop();
  measurement_.elapsed = Clock::now() - began_;
  measurement_.client_cpu = cpu_time() - cpu_before;
  return status;
}

Status pin_to(int core) {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(static_cast<std::size_t>(core), &cores);
  if (::sched_setaffinity(0, sizeof cores, &cores) == 0) return {};
  return system_error("run on core " + std::to_string(core));
}

}  // namespace

Status run_client(const ClientOptions& options, Workload& workload, Measurement& measurement) {
  // A wait may otherwise end 50 us late, which would count as latency.
  ::prctl(PR_SET_TIMERSLACK, 1UL);
  if (options.pin >= 0)
    if (auto pinned = pin_to(options.pin); !pinned) return pinned;
  return Client(options, workload, measurement).run();
}

}  // namespace dhrt::bench
