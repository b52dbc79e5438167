// A node that says what a test tells it to, on a port of the system's choice.
//
// It takes one connection after the other, or all of them side by side, and gives each line
// (without its end) to `answer`, which returns the bytes to send; absent closes the connection,
// empty keeps silent.
// Threads: `answer` runs on the connection's thread; lines() is safe at any time.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <functional>
#include <mutex>
#include <netinet/in.h>
#include <optional>
#include <set>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <vector>

namespace dhrt::test {

inline int listen_anywhere(std::uint16_t& port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  bind(socket, reinterpret_cast<sockaddr*>(&address), sizeof address);
  listen(socket, 16);
  socklen_t size = sizeof address;
  getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return socket;
}

// An address where nobody listens, at least a moment ago.
inline std::string closed_address() {
  std::uint16_t port = 0;
  close(listen_anywhere(port));
  return "127.0.0.1:" + std::to_string(port);
}

class ScriptedServer {
 public:
  using Answer = std::function<std::optional<std::string>(const std::string& line)>;

  enum class Serves { one_by_one, side_by_side };
  explicit ScriptedServer(Answer answer, Serves serves = Serves::one_by_one)
      : answer_(std::move(answer)),
        serves_(serves),
        listener_(listen_anywhere(port_)),
        thread_([this] { serve(); }) {}
  // The same answer to everything.
  explicit ScriptedServer(std::string reply)
      : ScriptedServer([reply = std::move(reply)](const std::string&) { return reply; }) {}
  ScriptedServer(const ScriptedServer&) = delete;
  ScriptedServer& operator=(const ScriptedServer&) = delete;
  ~ScriptedServer() {
    {
      const std::lock_guard lock(mutex_);
      stopped_ = true;
      shutdown(listener_, SHUT_RDWR);
      for (const int connection : connections_)
        shutdown(connection, SHUT_RDWR);
    }
    thread_.join();
    for (std::thread& talk : talks_)
      talk.join();
    close(listener_);
  }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  void serve() {
    for (;;) {
      const int connection = accept(listener_, nullptr, nullptr);
      if (connection < 0) return;
      {
        const std::lock_guard lock(mutex_);
        connections_.insert(connection);
        if (stopped_) shutdown(connection, SHUT_RDWR);
      }
      if (serves_ == Serves::one_by_one)
        serve(connection);
      else
        talks_.emplace_back([this, connection] { serve(connection); });
    }
  }

  void serve(int connection) {
    talk(connection);
    const std::lock_guard lock(mutex_);
    connections_.erase(connection);
    close(connection);
  }

  void talk(int connection) {
    std::string held;
    std::array<char, 65536> bytes{};
    for (;;) {
      const auto count = recv(connection, bytes.data(), bytes.size(), 0);
      if (count <= 0) return;
      held.append(bytes.data(), static_cast<std::size_t>(count));
      for (auto end = held.find('\n'); end != std::string::npos; end = held.find('\n')) {
        const std::string line = held.substr(0, end);
        held.erase(0, end + 1);
        {
          const std::lock_guard lock(mutex_);
          lines_.push_back(line);
        }
        const auto reply = answer_(line);
        if (!reply || !send_all(connection, *reply)) return;
      }
    }
  }

  static bool send_all(int connection, const std::string& reply) {
    std::size_t sent = 0;
    while (sent < reply.size()) {
      const auto count = send(connection, reply.data() + sent, reply.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return false;
      sent += static_cast<std::size_t>(count);
    }
    return true;
  }

  Answer answer_;
  Serves serves_;
  std::uint16_t port_ = 0;
  int listener_;
  mutable std::mutex mutex_;
  std::set<int> connections_;
  bool stopped_ = false;
  std::vector<std::string> lines_;
  std::vector<std::thread> talks_;  // Of the thread below, until it ends.
  std::thread thread_;              // Last: it uses everything above.
};

}  // namespace dhrt::test
