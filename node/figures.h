// What a node counts about itself; shown by `stats`. Plain numbers of the loop thread.
#pragma once

#include <cstdint>

namespace dhrt {

struct NodeFigures {
  std::uint64_t connections_total = 0;
  std::uint64_t connections_refused = 0;
  std::uint64_t commands_total = 0;
  std::uint64_t errors_total = 0;  // Commands and requests that were answered with an error.
  std::uint64_t slow_clients_disconnected = 0;
  std::uint64_t fanout_reads_total = 0;
  std::uint64_t replication_bytes_sent = 0;  // Frames on peer links.
  std::uint64_t replication_bytes_received = 0;
  std::uint64_t replication_bulk_bytes_sent = 0;  // Of those, what catching up took.
  std::uint64_t replication_bulk_bytes_received = 0;
  std::uint64_t replication_dropped_total = 0;  // Live writes a peer was too slow for.
  std::uint64_t peer_frames_malformed = 0;
  std::uint64_t turns_total = 0;
};

}  // namespace dhrt
