// Real nodes on threads of this process and clients that talk to them over loopback.
#pragma once

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <memory>
#include <netinet/in.h>
#include <poll.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "node/exit_code.h"
#include "node/log.h"
#include "node/node.h"
#include "storage/base/system_clock.h"

namespace dhrt {

// A directory that is gone at the end of its test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = std::filesystem::temp_directory_path() / "dhrt-node-XXXXXX";
    REQUIRE(mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// How many event loops the nodes of the running test have.
inline unsigned event_loops = 1;

// A test of whole nodes: it runs with one event loop, and again with several.
#define NODE_TEST_CASE(name) NODE_TEST_CASE_NAMED(name, DOCTEST_ANONYMOUS(node_test_))
#define NODE_TEST_CASE_NAMED(name, function) \
  static void function();                    \
  TEST_CASE(name ", 1 loop") {               \
    event_loops = 1;                         \
    function();                              \
  }                                          \
  TEST_CASE(name ", 3 loops") {              \
    event_loops = 3;                         \
    function();                              \
    event_loops = 1;                         \
  }                                          \
  static void function()

inline NodeOptions node_options(const std::string& data_dir, std::vector<std::string> flags = {}) {
  set_log_threshold(LogThreshold::error);
  std::vector<std::string> arguments{"--data-dir",  data_dir,      "--bind",
                                     "127.0.0.1:0", "--log-level", "error"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  auto options = read_options({.arguments = arguments,
                               .environment = [](const std::string&) { return std::nullopt; },
                               .host_name = "test"});
  REQUIRE_MESSAGE(options.has_value(), (options ? "" : options.error().message));
  options->cpu_num = event_loops;
  return *options;
}

inline NodeOptions join_options(const std::string& data_dir, const std::string& seed,
                                std::vector<std::string> flags = {}) {
  NodeOptions options = node_options(data_dir, std::move(flags));
  options.join.push_back(*parse_remote_address(seed));
  return options;
}

inline NodeOptions with_value_limit(NodeOptions options, std::uint64_t bytes) {
  options.max_value_bytes = bytes;
  return options;
}

// A node that runs until stop() or the end of the test.
class RunningNode {
 public:
  explicit RunningNode(const NodeOptions& options, Node::Hooks hooks = {}) {
    std::promise<std::string> started;
    auto outcome = started.get_future();
    thread_ = std::thread([this, options, hooks, &started] {
      auto node = Node::open(options, hooks);
      if (!node) return started.set_value(node.error().message);
      node_ = node->get();
      port_ = (*node)->bound().port;
      endpoints_ = (*node)->endpoints();
      started.set_value("");
      exit_code_ = (*node)->run();
    });
    error_ = outcome.get();
  }
  RunningNode(const RunningNode&) = delete;
  RunningNode& operator=(const RunningNode&) = delete;
  ~RunningNode() { stop(); }

  // Why it could not start; empty if it runs.
  const std::string& error() const { return error_; }
  std::uint16_t port() const { return port_; }
  // Of the listener for that service.
  std::uint16_t port(Service service) const {
    const auto found = std::ranges::find_if(endpoints_, [&](const Endpoint& endpoint) {
      return endpoint.service == service && !endpoint.is_unix();
    });
    REQUIRE(found != endpoints_.end());
    return found->address.port;
  }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  int stop() {
    if (thread_.joinable()) {
      if (error_.empty() && !ended_) node_->leave();
      thread_.join();
    }
    return exit_code_;
  }
  // Waits until the node ends by itself.
  int wait() {
    ended_ = true;
    return stop();
  }

 private:
  std::thread thread_;
  Node* node_ = nullptr;
  std::uint16_t port_ = 0;
  std::vector<Endpoint> endpoints_;
  int exit_code_ = -1;
  bool ended_ = false;
  std::string error_;
};

// As for nemesis: ThreadSanitizer makes a node several times slower, and large values more so.
#ifdef __SANITIZE_THREAD__
inline constexpr int slowness = 9;
#else
inline constexpr int slowness = 1;
#endif

// A blocking socket with an end to its patience.
class TestClient {
 public:
  static constexpr int patience_milliseconds = 20000 * slowness;

  // At a unix socket.
  explicit TestClient(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof(address.sun_path) - 1);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  }
  explicit TestClient(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  }
  TestClient(TestClient&& other) noexcept : socket_(std::exchange(other.socket_, -1)) {}
  TestClient& operator=(TestClient&&) = delete;
  ~TestClient() {
    if (socket_ >= 0) ::close(socket_);
  }

  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  // As much as the system takes now; 0: nothing, or the connection is gone.
  std::size_t send_some(std::string_view bytes) {
    const ssize_t sent = ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  void end_sending() { ::shutdown(socket_, SHUT_WR); }

  // Exactly `count` bytes, or what came before the end.
  std::string receive(std::size_t count) {
    while (received_.size() < count && more(patience_milliseconds)) {
    }
    return take(std::min(count, received_.size()));
  }
  // Up to and including `end`; all there is if the connection closes before.
  std::string receive_until(std::string_view end) {
    std::size_t found = received_.find(end);
    while (found == std::string::npos && more(patience_milliseconds))
      found = received_.find(end);
    return take(found == std::string::npos ? received_.size() : found + end.size());
  }
  std::string receive_all() {
    while (more(patience_milliseconds)) {
    }
    return take(received_.size());
  }
  bool anything_within(int milliseconds) { return !received_.empty() || more(milliseconds); }
  bool closed() {
    receive_all();
    return ended_;
  }
  // Sends a line and gives a reply of one line.
  std::string line(const std::string& text) {
    send(text + "\n");
    return receive_until("\r\n");
  }
  // Sends a line and gives the bytes of a bulk reply.
  std::string bulk(const std::string& text) {
    const std::string head = line(text);
    const std::string body = receive(std::strtoull(head.c_str() + 1, nullptr, 10));
    receive(2);
    return body;
  }
  // The bytes of one RESP reply that is no array.
  std::string reply() {
    const std::string head = receive_until("\r\n");
    if (head.empty() || head.front() != '$' || head == "$-1\r\n") return head;
    return head + receive(std::strtoull(head.c_str() + 1, nullptr, 10) + 2);
  }
  // Sends an HTTP request and gives status and body.
  std::string http(const std::string& method, const std::string& target,
                   const std::string& headers = "", const std::string& body = "") {
    std::string request = method + " " + target + " HTTP/1.1\r\nHost: localhost\r\n" + headers;
    if (!body.empty()) request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    send(request + "\r\n" + body);
    return http_response(method == "HEAD");
  }
  std::string http_response(bool without_body = false) {
    const std::string head = receive_until("\r\n\r\n");
    if (head.size() < 12) return "no response: " + head;
    const std::string status = head.substr(9, 3);
    last_head_ = head;
    if (without_body || status == "204" || status == "100") return status;
    if (head.find("Transfer-Encoding: chunked") != std::string::npos)
      return status + " " + chunks();
    const std::size_t length = head.find("Content-Length: ");
    if (length == std::string::npos) return status;
    return status + " " + receive(std::strtoull(head.c_str() + length + 16, nullptr, 10));
  }
  const std::string& last_head() const { return last_head_; }

 private:
  std::string chunks() {
    std::string body;
    for (;;) {
      const std::string size = receive_until("\r\n");
      const std::size_t count = std::strtoull(size.c_str(), nullptr, 16);
      body += receive(count);
      receive(2);
      if (count == 0) return body;
    }
  }
  bool more(int milliseconds) {
    pollfd waiting{socket_, POLLIN, 0};
    if (ended_ || ::poll(&waiting, 1, milliseconds) != 1) return false;
    char buffer[65536];
    const ssize_t count = ::recv(socket_, buffer, sizeof(buffer), 0);
    if (count <= 0) {
      ended_ = true;
      return false;
    }
    received_.append(buffer, static_cast<std::size_t>(count));
    return true;
  }
  std::string take(std::size_t count) {
    std::string taken = received_.substr(0, count);
    received_.erase(0, count);
    return taken;
  }

  int socket_;
  bool ended_ = false;
  std::string received_;
  std::string last_head_;
};

// Asks until `reply` begins as expected or patience ends; the reply then.
inline std::string ask_until(TestClient& client, const std::string& line,
                             const std::string& expected) {
  const auto end = monotonic_now() + std::chrono::milliseconds(TestClient::patience_milliseconds);
  std::string reply;
  do {
    reply = client.line(line);
  } while (reply.substr(0, expected.size()) != expected && monotonic_now() < end);
  return reply;
}

// A command as Redis clients send it.
inline std::string redis_array(const std::vector<std::string>& words) {
  std::string out = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words)
    out += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  return out;
}

// Two nodes of one cluster, which take writes, and a client of each.
struct TwoNodes {
  TwoNodes() { CHECK(ask_until(two, "set x 1", "+OK") == "+OK\r\n"); }

  const TemporaryDirectory directory;
  RunningNode first{node_options(directory.path() + "/a")};
  RunningNode second{join_options(directory.path() + "/b", started(first).address())};
  TestClient one{first.port()};
  TestClient two{started(second).port()};

 private:
  static const RunningNode& started(const RunningNode& node) {
    REQUIRE(node.error() == "");
    return node;
  }
};

}  // namespace dhrt
