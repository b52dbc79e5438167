#include "node/endpoint.h"

#include <algorithm>
#include <array>
#include <sys/un.h>

namespace dhrt {

namespace {

constexpr std::array table{
    ServiceInfo{Service::dhrt, "dhrt", default_port, "text, HTTP, peers"},
    ServiceInfo{Service::hati, "hati", 4242, "Hati, text"},
    ServiceInfo{Service::rpc, "rpc", 6767, "Hati, JSON-RPC"},
    ServiceInfo{Service::hermod, "hermod", 2088, "Hermod"},
    ServiceInfo{Service::resp, "resp", 6379, "Redis clients"},
    ServiceInfo{Service::http, "http", 8080, "HTTP"},
};

// The system's own limit: the field of the address is not longer.
constexpr std::size_t path_bytes_max = sizeof(sockaddr_un::sun_path) - 1;

tl::unexpected<Error> refuse(Bytes text, const std::string& why) {
  return fail(ErrorCode::invalid_argument,
              "'" + std::string(text) + "' is nothing to listen on: " + why);
}

const ServiceInfo* find_service(Bytes name) {
  const auto* found = std::ranges::find(table, name, &ServiceInfo::name);
  return found == table.end() ? nullptr : found;
}

Status check_path(Bytes text, Bytes path) {
  if (!path.starts_with('/') || path.ends_with('/'))
    return refuse(text, "the path of a socket begins at /, as in resp+unix:///run/dhrt.sock");
  if (path.size() > path_bytes_max)
    return refuse(text, "the path of a socket has at most " + std::to_string(path_bytes_max) +
                            " bytes; choose a shorter one");
  if (std::ranges::any_of(path, [](char c) { return static_cast<unsigned char>(c) < ' '; }))
    return refuse(text, "the path holds control characters");
  return {};
}

bool names_port(Bytes address) {
  const std::size_t colon = address.rfind(':');
  return colon != Bytes::npos && address.find(']', colon) == Bytes::npos;
}

}  // namespace

std::span<const ServiceInfo> services() {
  return table;
}

Result<Endpoint> parse_endpoint(Bytes text) {
  const std::size_t slashes = text.find("://");
  if (slashes == Bytes::npos)
    return refuse(text,
                  "give DIALECT://HOST:PORT or DIALECT+unix:///PATH; DIALECT+tls and "
                  "DIALECT+tls+unix serve nobody without TLS");
  Bytes scheme = text.substr(0, slashes);
  const Bytes rest = text.substr(slashes + 3);
  constexpr Bytes unix_suffix = "+unix";
  const bool is_unix = scheme.ends_with(unix_suffix);
  if (is_unix) scheme.remove_suffix(unix_suffix.size());
  constexpr Bytes tls_suffix = "+tls";
  const bool tls = scheme.ends_with(tls_suffix);
  if (tls) scheme.remove_suffix(tls_suffix.size());
  const ServiceInfo* service = find_service(scheme);
  if (service == nullptr && find_service(scheme.substr(0, scheme.find('+'))) != nullptr)
    return refuse(text, "behind the dialect comes +tls, +unix or +tls+unix");
  if (service == nullptr)
    return refuse(text, "the dialect is dhrt, hati, rpc, hermod, resp or http");
  Endpoint endpoint{.service = service->service, .tls = tls};
  if (is_unix) {
    if (auto status = check_path(text, rest); !status) return tl::unexpected(status.error());
    endpoint.path = rest;
    return endpoint;
  }
  auto address = parse_address(rest);
  if (!address) return tl::unexpected(address.error());
  if (!names_port(rest)) address->port = service->port;
  endpoint.address = *std::move(address);
  return endpoint;
}

std::string to_text(const Endpoint& endpoint) {
  std::string scheme(info_of(endpoint.service).name);
  if (endpoint.tls) scheme += "+tls";
  if (endpoint.is_unix()) return scheme + "+unix://" + endpoint.path;
  return scheme + "://" + to_text(endpoint.address);
}

}  // namespace dhrt
