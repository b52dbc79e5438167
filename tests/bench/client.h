// Drives one server through many connections and measures it: one thread, epoll.
//
// Intuition: closed loop (rate 0): each connection sends a batch of `pipeline` requests, waits for
// all replies, and sends the next. The latency of a request is the time from the send of its batch
// to the read that brought its reply, so at a deep pipeline it contains the wait behind its
// neighbours. Open loop: batches have intended times, `rate` requests a second, and go to the
// connections in turn, whether these wait for replies or not. The latency counts from the intended
// time, so that a server (or this client) which stalls is not spared the requests that it delayed.
//
// Units: nanoseconds.   Bounds: closed loop: connections * pipeline requests in flight; open loop:
// rate * timeout. 64 KiB of each write.
// Errors: io or timeout when the run cannot go on; an error reply is counted, not an Error.
// Threads: one.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "storage/base/result.h"
#include "tests/bench/histogram.h"
#include "tests/bench/workload.h"

namespace dhrt::bench {

struct ClientOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 7453;
  std::size_t connections = 50;
  std::size_t pipeline = 1;
  std::uint64_t operations = 0;                                // 0: until `duration` is over.
  std::chrono::nanoseconds duration{0};                        // 0: until `operations` are done.
  double rate = 0;                                             // Requests a second; 0: closed loop.
  int pin = -1;                                                // To this core; -1: to none.
  std::chrono::nanoseconds timeout{std::chrono::seconds(30)};  // Silence of all connections.
};

struct Measurement {
  std::uint64_t operations = 0;  // Replies, of whatever kind.
  std::uint64_t errors = 0;      // Error replies.
  std::uint64_t misses = 0;      // Reads of a key that is not there.
  std::uint64_t wrong = 0;       // Replies of another kind than asked for, or other bytes.
  std::string first_error;       // Of the errors and wrong replies.
  std::chrono::nanoseconds elapsed{0};
  std::chrono::nanoseconds client_cpu{0};  // If it is near `elapsed`, the client is the limit.
  Histogram latencies;
  Histogram lags;  // Open loop: by how much batches were sent late, which latencies contain.
};

// Connects, runs the workload to its end, and waits for every reply.
Status run_client(const ClientOptions& options, Workload& workload, Measurement& measurement);

}  // namespace dhrt::bench
