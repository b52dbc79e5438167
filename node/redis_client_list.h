// What CLIENT LIST shows of a connection, and which connections CLIENT KILL means.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/client_roll.h"
#include "node/redis_client.h"

namespace dhrt::redis {

enum class ClientType : std::uint8_t { normal, master, replica, pubsub };
// "normal" and so on, in any case; absent: there is no such type.
std::optional<ClientType> client_type(Bytes word);

// What is absent, or empty, excludes nobody.
struct ClientFilter {
  std::vector<SessionId> ids;
  std::optional<std::string> address;        // "host:port"
  std::optional<std::string> local_address;  // The same of our end.
  std::optional<ClientType> type;
  std::optional<std::int64_t> seconds_min;  // How long it is connected.
  SessionId except = 0;
};
bool is_meant(const ClientFilter& filter, Session& session);

// The line of a connection, without its end.
std::string client_line(Session& session, unsigned loop);

}  // namespace dhrt::redis
