// What a token must be good for to run a command of a Redis client.
//
// From the flags of the table: `no_auth` needs no token, `admin` an administrator's, `write` and
// `readonly` the role in the selected collection. Threads: loop thread only.
#pragma once

#include <optional>
#include <span>

#include "node/commands.h"
#include "node/doorkeeper.h"
#include "node/redis_client.h"
#include "node/redis_table.h"

namespace dhrt {

Doorkeeper::Needs redis_needs(const RedisCommand& command, std::span<const Bytes> words,
                              const RedisClient& client);
// Absent: it may be run. Otherwise the error.
std::optional<Bytes> redis_refusal(CommandServer& server, Session& session,
                                   const RedisClient& client, const RedisCommand& command,
                                   std::span<const Bytes> words);

}  // namespace dhrt
