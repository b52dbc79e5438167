// What several handlers of Redis commands say about the node and the connection.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "node/redis_call.h"

namespace dhrt::redis {

// Clients parse it to learn what they may send: the version whose commands ours are like.
inline constexpr Bytes redis_version = "7.0.15";

// CLIENT ID: unique among the connections of the node.
std::int64_t client_number(RedisCall& call);
// Of CLIENT SETNAME and HELLO: nothing that would break the lines of CLIENT LIST.
// Names are kept for every connection, and lists of clients have all of them.
inline constexpr std::size_t client_name_bytes_max = 1024;
bool is_client_name(Bytes name);
// Of one that is none.
Bytes client_name_error(Bytes name);
// For what is none of a command's subcommands: HELP lists them, anything else is refused.
void other_subcommand(RedisCall& call, std::initializer_list<Bytes> subcommands);
// What HELP says of a command: its subcommands with what they take.
void help(RedisCall& call, std::initializer_list<Bytes> subcommands);
// How Redis would keep a value.
std::string encoding_of(Bytes value);

}  // namespace dhrt::redis
