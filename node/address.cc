#include "node/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <optional>

namespace dhrt {

namespace {

constexpr std::size_t host_bytes_max = 253;  // RFC 1035: the longest name that DNS can carry.

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool is_name(Bytes host) {
  return !host.empty() && host.size() <= host_bytes_max && std::ranges::all_of(host, [](char c) {
    return is_alphanumeric(c) || c == '-' || c == '.' || c == '_';
  });
}

// Good enough to tell an address from a slip of the finger; the system checks the rest.
bool is_ipv6(Bytes host) {
  return host.size() <= host_bytes_max && std::ranges::count(host, ':') >= 2 &&
         std::ranges::all_of(host, [](char c) {
           return is_alphanumeric(c) || c == ':' || c == '.' || c == '%' || c == '-';
         });
}

tl::unexpected<Error> refuse(Bytes text, const std::string& why) {
  return fail(ErrorCode::invalid_argument, "'" + std::string(text) + "' is no address: " + why);
}

Result<std::uint16_t> parse_port(Bytes text, Bytes port) {
  unsigned number = 0;
  const char* end = port.data() + port.size();
  const auto [stop, error] = std::from_chars(port.data(), end, number);
  if (port.empty() || error != std::errc() || stop != end || number > 65535)
    return refuse(text, "the port must be a number up to 65535, e.g. localhost:7453");
  return static_cast<std::uint16_t>(number);
}

Result<Address> with_port(Bytes text, Bytes host, std::optional<Bytes> port) {
  if (!port) return Address{std::string(host), default_port};
  const auto number = parse_port(text, *port);
  if (!number) return tl::unexpected(number.error());
  return Address{std::string(host), *number};
}

Result<Address> parse_bracketed(Bytes text) {
  const auto close = text.find(']');
  if (close == Bytes::npos) return refuse(text, "the bracket does not close; write [::1]:7453");
  const Bytes host = text.substr(1, close - 1);
  const Bytes rest = text.substr(close + 1);
  if (!is_ipv6(host)) return refuse(text, "brackets hold an IPv6 address, as in [::1]:7453");
  if (rest.empty()) return with_port(text, host, std::nullopt);
  if (rest.front() != ':') return refuse(text, "behind ']' comes :PORT, as in [::1]:7453");
  return with_port(text, host, rest.substr(1));
}

}  // namespace

Result<Address> parse_address(Bytes text) {
  if (text.starts_with('[')) return parse_bracketed(text);
  if (std::ranges::count(text, ':') > 1)
    return refuse(text, "put an IPv6 address in brackets, as in [::1]:7453");
  const auto colon = text.find(':');
  const Bytes host = text.substr(0, colon);
  if (!is_name(host)) return refuse(text, "give HOST:PORT, e.g. localhost:7453");
  if (colon == Bytes::npos) return with_port(text, host, std::nullopt);
  return with_port(text, host, text.substr(colon + 1));
}

Result<Address> parse_remote_address(Bytes text) {
  auto address = parse_address(text);
  if (address && address->port == 0)
    return refuse(text, "nothing can be reached at port 0; give a port from 1 to 65535");
  return address;
}

bool is_wildcard(const std::string& host) {
  return host == "0.0.0.0" || host == "::" || host.empty();
}

bool is_ip_address(const std::string& host) {
  in6_addr parsed{};
  return inet_pton(AF_INET, host.c_str(), &parsed) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &parsed) == 1;
}

std::string to_text(const Address& address) {
  const bool ipv6 = address.host.find(':') != std::string::npos;
  const std::string host = ipv6 ? "[" + address.host + "]" : address.host;
  return host + ":" + std::to_string(address.port);
}

}  // namespace dhrt
