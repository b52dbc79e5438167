// What several handlers of Redis commands say about the node and the connection.
#pragma once

#include <cstdint>
#include <string>

#include "node/redis_call.h"

namespace dhrt::redis {

// Clients parse it to learn what they may send: the version whose commands ours are like.
inline constexpr Bytes redis_version = "7.0.15";

// CLIENT ID: unique among the connections of the node.
std::int64_t client_number(RedisCall& call);
// The line of CLIENT INFO, without its end.
std::string client_line(RedisCall& call);
// "ERR unknown subcommand ..."; `command` in upper case.
void unknown_subcommand(RedisCall& call, const std::string& command);

}  // namespace dhrt::redis
