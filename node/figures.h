// What a node counts about itself; shown by `stats`. Every event loop has its own figures, and
// whoever shows them adds them up.
//
// Threads: a counter is changed by one thread, its loop's, and read by any.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "node/client_dialect.h"

namespace dhrt {

// A number that costs its writer no more than a plain one.
class Counter {
 public:
  Counter& operator++() { return *this += 1; }
  Counter& operator+=(std::uint64_t more) { return *this = *this + more; }
  Counter& operator=(std::uint64_t value) {
    value_.store(value, std::memory_order_relaxed);
    return *this;
  }
  operator std::uint64_t() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

struct NodeFigures {
  Counter connections;  // Clients that are connected now.
  Counter connections_total;
  Counter connections_refused;
  // By dialect. JSON-RPC at an HTTP address counts as both: a request, and its calls.
  struct OfDialect {
    Counter connections;  // That are there now and speak it.
    Counter connections_total;
    Counter commands_total;  // And requests.
    Counter errors_total;    // Of those, answered with an error.
  };
  std::array<OfDialect, client_dialects.size()> dialects;
  OfDialect& of(ClientDialect dialect) { return dialects[static_cast<std::size_t>(dialect)]; }
  // In all dialects.
  std::uint64_t commands_total() const {
    std::uint64_t sum = 0;
    for (const OfDialect& of_dialect : dialects)
      sum += of_dialect.commands_total;
    return sum;
  }
  Counter slow_clients_disconnected;
  Counter wrong_tokens_total;
  Counter requests_refused_total;  // Wrong tokens, too; of whatever may not be done by who asked.
  Counter fanout_reads_total;
  Counter levels_timed_out_total;  // Reads and writes whose level was not reached in time.
  Counter durable_position;        // Up to where replies that promise a write may leave.
  Counter replication_bytes_sent;  // Frames on peer links.
  Counter replication_bytes_received;
  Counter replication_bulk_bytes_sent;  // Of those, what catching up took.
  Counter replication_bulk_bytes_received;
  Counter replication_dropped_total;       // Live writes and the like that a peer was too slow for.
  Counter anti_entropy_nanoseconds_total;  // Of the loop that has the core.
  Counter handoff_paused_milliseconds_total;  // Requests of who joins waited for so long.
  Counter peer_frames_malformed;
  Counter peers_refused_total;  // Links that came to nothing for want of a key, or of TLS.
  Counter turns_total;
  Counter nkvd_writes_sent;     // To nodes of nkvd, by the gateway.
  Counter nkvd_writes_refused;  // Not sent, or refused: nkvd cannot take them.
  Counter nkvd_records_copied;  // From nodes of nkvd.
};

}  // namespace dhrt
