// Where a node listens or is reached: a host (name, IPv4 or IPv6) and a port, as people write it.
//
//   HOST  HOST:PORT  [IPV6]  [IPV6]:PORT      without a port: 7453
//
// Nothing is looked up here: a name stays a name until somebody connects.
// Errors: invalid_argument, with the text and the form that is wanted.
#pragma once

#include <cstdint>
#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

inline constexpr std::uint16_t default_port = 7453;

struct Address {
  std::string host;  // An IPv6 address stands here without its brackets.
  std::uint16_t port = default_port;

  bool operator==(const Address&) const = default;
};

// Port 0 is let through: a listener may ask the system for any free port.
Result<Address> parse_address(Bytes text);
// The same for an address to connect to, where port 0 is an error.
Result<Address> parse_remote_address(Bytes text);
// parse_address of the result gives the address again.
std::string to_text(const Address& address);
// Every address of the machine, to listen on; nobody is there to connect to.
bool is_wildcard(const std::string& host);
// An IPv4 or IPv6 address, without brackets and zone.
bool is_ip_address(const std::string& host);

}  // namespace dhrt
