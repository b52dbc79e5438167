// What a node listens on: a dialect, and an address or the path of a unix socket.
//
//   DIALECT://HOST:PORT      HOST as in address.h; without a port: the dialect's own
//   DIALECT+tls://HOST:PORT  the same, for clients that speak TLS only
//   DIALECT+unix:///PATH     an absolute path
//   DIALECT := dhrt | hati | rpc | hermod | resp | http
//
// Errors: invalid_argument, with the text and the form that is wanted.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "node/address.h"

namespace dhrt {

// Of a listener, and so of all its connections. `dhrt` tells them apart by their first bytes, and
// is the only one that takes peers.
enum class Service { dhrt, hati, rpc, hermod, resp, http };

struct ServiceInfo {
  Service service;
  std::string_view name;
  std::uint16_t port;         // Where its clients look for it.
  std::string_view speaks{};  // Who is meant, as the banner says it.
};
// In the order of the enumeration.
std::span<const ServiceInfo> services();
inline const ServiceInfo& info_of(Service service) {
  return services()[static_cast<std::size_t>(service)];
}

struct Endpoint {
  Service service = Service::dhrt;
  Address address;
  std::string path;             // Of a unix socket; empty: the address holds.
  bool tls = false;             // Nobody is served without it.
  std::string flag = "--bind";  // Who asked for it, and what an error tells to change.

  bool is_unix() const { return !path.empty(); }
};

Result<Endpoint> parse_endpoint(Bytes text);
// parse_endpoint of the result gives the endpoint again.
std::string to_text(const Endpoint& endpoint);

}  // namespace dhrt
