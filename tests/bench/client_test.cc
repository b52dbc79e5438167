#include "tests/bench/client.h"

#include <array>
#include <memory>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include <doctest/doctest.h>

using dhrt::bench::ClientOptions;
using dhrt::bench::Measurement;
using dhrt::bench::run_client;
using dhrt::bench::Workload;
using dhrt::bench::WorkloadOptions;

namespace {

// Takes one connection, and answers with `replies` when it has read `lines` lines.
class Server {
 public:
  Server(std::size_t lines, std::string replies) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t bytes = sizeof address;
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&address), bytes) == 0);
    REQUIRE(::listen(listener_, 1) == 0);
    REQUIRE(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &bytes) == 0);
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this, lines, replies] { serve(lines, replies); });
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    thread_.join();
    ::close(listener_);
  }

  std::uint16_t port() const { return port_; }

 private:
  void serve(std::size_t lines, const std::string& replies) const {
    const int client = ::accept(listener_, nullptr, nullptr);
    std::array<char, 65536> input;
    for (std::size_t seen = 0; seen < lines;) {
      const ssize_t bytes = ::read(client, input.data(), input.size());
      if (bytes <= 0) break;
      for (ssize_t i = 0; i < bytes; ++i)
        seen += input[static_cast<std::size_t>(i)] == '\n' ? 1 : 0;
    }
    std::size_t sent = 0;
    while (sent < replies.size()) {
      const ssize_t bytes =
          ::send(client, replies.data() + sent, replies.size() - sent, MSG_NOSIGNAL);
      if (bytes <= 0) break;
      sent += static_cast<std::size_t>(bytes);
    }
    ::close(client);
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::thread thread_;
};

std::string many(std::size_t count, const std::string& reply) {
  std::string all;
  for (std::size_t i = 0; i < count; ++i)
    all += reply;
  return all;
}

ClientOptions one_connection(std::uint64_t operations) {
  ClientOptions options;
  options.connections = 1;
  options.operations = operations;
  return options;
}

}  // namespace

TEST_CASE("client: what a stalled server delayed counts from when it should have been sent") {
  constexpr std::uint64_t operations = 100;
  const Server server(operations, many(operations, "+OK\r\n"));
  ClientOptions options = one_connection(operations);
  options.port = server.port();
  options.rate = 1000;  // The last one is sent 99 ms after the first, and then all are answered.
  Workload workload{WorkloadOptions{}};
  const auto measured = std::make_unique<Measurement>();
  REQUIRE(run_client(options, workload, *measured));
  CHECK(measured->operations == operations);
  CHECK(measured->wrong == 0);
  CHECK(measured->latencies.count() == operations);
  CHECK(measured->lags.count() == operations);
  CHECK(measured->latencies.max() >= 99'000'000);
  CHECK(measured->latencies.quantile(0.5) >= 49'000'000);
}

TEST_CASE("client: replies that are not the expected ones are counted by kind") {
  const Server server(5, "+OK\r\n-ERR disk full\r\n:1\r\n+NO\r\n$-1\r\n");
  ClientOptions options = one_connection(5);
  options.port = server.port();
  options.pipeline = 5;
  Workload workload{WorkloadOptions{}};
  const auto measured = std::make_unique<Measurement>();
  REQUIRE(run_client(options, workload, *measured));
  CHECK(measured->operations == 5);
  CHECK(measured->errors == 1);
  CHECK(measured->wrong == 3);
  CHECK(measured->first_error == "ERR disk full");
}

TEST_CASE("client: a server that ends the connection ends the run") {
  const Server server(2, "+OK\r\n");
  ClientOptions options = one_connection(2);
  options.port = server.port();
  options.pipeline = 2;
  Workload workload{WorkloadOptions{}};
  const auto measured = std::make_unique<Measurement>();
  CHECK_FALSE(run_client(options, workload, *measured));
  CHECK(measured->operations == 1);
}
