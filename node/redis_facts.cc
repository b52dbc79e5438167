#include "node/redis_facts.h"

namespace dhrt::redis {

std::int64_t client_number(RedisCall& call) {
  return static_cast<std::int64_t>(call.session().id());
}

std::string client_line(RedisCall& call) {
  const StreamConnection& connection = call.session().connection();
  const RedisClient& client = call.client();
  return "id=" + std::to_string(call.session().id()) + " addr=" + connection.remote_host() + ":" +
         std::to_string(connection.remote_port()) + " laddr=" + connection.local_host() +
         " name=" + client.name + " flags=N db=" + std::to_string(client.database) +
         " collection=" + client.collection + " cmd=" + std::string(client.last_command) +
         " user=default lib-name=" + client.library_name + " lib-ver=" + client.library_version +
         " resp=" + (client.version == resp::Version::resp3 ? "3" : "2");
}

void unknown_subcommand(RedisCall& call, const std::string& command) {
  call.fail("ERR unknown subcommand '" + shown(call.word(1)) + "'. Try " + command + " HELP.");
}

}  // namespace dhrt::redis
