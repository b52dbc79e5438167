// What a node listens on, from the flags of several systems: --bind, --listen, and a switch with
// host and port for each dialect.
#include <algorithm>

#include "node/options.h"

namespace dhrt {

namespace {

Endpoint on_port(Service service, std::string host, std::uint64_t port, std::string flag) {
  return {.service = service,
          .address = {std::move(host), static_cast<std::uint16_t>(port)},
          .flag = std::move(flag)};
}

}  // namespace

std::vector<Endpoint> endpoints_of(const NodeOptions& options) {
  const std::string& own = options.bind.host;
  const auto host_or_own = [&](const std::string& host) { return host.empty() ? own : host; };
  std::vector<Endpoint> all{{.address = options.bind}};
  all.insert(all.end(), options.listen.begin(), options.listen.end());
  if (options.tcp)
    all.push_back(
        on_port(Service::hati, host_or_own(options.tcp_host), options.tcp_port, "--tcp-port"));
  if (options.tcp) all.back().tls = options.tcp_tls;
  if (options.rpc)
    all.push_back(
        on_port(Service::rpc, host_or_own(options.rpc_host), options.rpc_port, "--rpc-port"));
  if (options.hermod)
    all.push_back(on_port(Service::hermod, own, options.hermod_port, "--hermod-port"));
  if (options.resp) all.push_back(on_port(Service::resp, own, options.resp_port, "--resp-port"));
  if (options.http) all.push_back(on_port(Service::http, own, options.http_port, "--http-port"));
  for (Endpoint& endpoint : all)
    endpoint.tls = endpoint.tls || (options.tls_only && !endpoint.is_unix());
  return all;
}

}  // namespace dhrt
