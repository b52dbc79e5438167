// What nodes of nkvd and those of dhrt that stand for them tell each other, as text.
//
//   ?nodes=host:port|host:port          whom the asker knows; nkvd cannot write IPv6 there
//   {"nodes":[{"host","port","isDown","source"}]}    the answer of /ping
//   {"id","address","nodes","copied"}   what dhrt nodes with a mesh tell each other on a channel
//                                       of their own; {"clear":true}: everything was deleted
//
// Parsing is total: what is no name is passed over. Threads: any.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "node/address.h"
#include "storage/record.h"

namespace dhrt::nkvd {

// Lengths that nkvd refuses, in UTF-16 code units.
inline constexpr std::size_t key_length_max = 64;
inline constexpr std::size_t value_length_max = 256;
// nkvd connects everybody to everybody; more than this are not learned.
inline constexpr std::size_t nodes_max = 64;
// What peers say on it stays between nodes, and what clients say on it stays with them.
inline constexpr Bytes channel = "__dhrt_nkvd_mesh__";
inline constexpr std::size_t gossip_bytes_max = std::size_t{64} << 10;

// At most nodes_max of them, each once.
std::vector<Address> parse_nodes(Bytes text);
std::string nodes_text(const std::vector<Address>& nodes);
// Those of an answer to /ping that are not down. Absent: it is no such answer.
std::optional<std::vector<Address>> parse_ping_answer(Bytes body);

// "http://host:port/", or host:port. invalid_argument: how it is written.
Result<Address> parse_mesh_url(Bytes text);

// nkvd can store it.
bool takes_key(Bytes key);
bool takes_value(Bytes value);

struct Gossip {
  NodeId id = 0;
  std::string address;          // Where nkvd nodes reach the sender; empty: it does not know.
  std::vector<Address> nodes;   // Nodes of nkvd that answer the sender.
  std::vector<Address> copied;  // Of those, whose data was taken in.
  bool clear = false;
};
std::string to_text(const Gossip& gossip);
std::optional<Gossip> parse_gossip(Bytes text);

}  // namespace dhrt::nkvd
