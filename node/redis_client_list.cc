#include "node/redis_client_list.h"

#include <algorithm>
#include <array>

namespace dhrt::redis {

namespace {

// Connections that never sent a command of a Redis client have nothing of one to show.
const RedisClient& client_of(const Session& session) {
  static const RedisClient nobody;
  const RedisClient* const client = session.redis_client();
  return client == nullptr ? nobody : *client;
}

ClientType type_of(const RedisClient& client) {
  return client.names() > 0 ? ClientType::pubsub : ClientType::normal;
}

std::string flags_of(const Session& session, const RedisClient& client) {
  std::string flags;
  if (client.monitors) flags += 'O';
  if (client.names() > 0) flags += 'P';
  if (client.transaction) flags += 'x';
  if (session.closes()) flags += 'c';
  return flags.empty() ? "N" : flags;
}

std::string command_of(const RedisClient& client) {
  if (client.last_command.empty()) return "NULL";
  const std::string command(client.last_command);
  return client.last_subcommand.empty() ? command : command + "|" + client.last_subcommand;
}

class Line {
 public:
  Line& field(Bytes name, Bytes value) {
    if (!text_.empty()) text_ += ' ';
    ((text_ += name) += '=') += value;
    return *this;
  }
  Line& field(Bytes name, std::uint64_t value) { return field(name, std::to_string(value)); }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

std::optional<ClientType> client_type(Bytes word) {
  struct Named {
    Bytes name;
    ClientType type;
  };
  constexpr std::array types{
      Named{"normal", ClientType::normal}, Named{"master", ClientType::master},
      Named{"replica", ClientType::replica}, Named{"slave", ClientType::replica},
      Named{"pubsub", ClientType::pubsub}};
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; };
  const auto found = std::ranges::find_if(
      types, [&](const Named& named) { return std::ranges::equal(word, named.name, same); });
  return found == types.end() ? std::nullopt : std::optional(found->type);
}

bool is_meant(const ClientFilter& filter, Session& session) {
  const StreamConnection& connection = session.connection();
  if (session.id() == filter.except) return false;
  if (!filter.ids.empty() && !std::ranges::binary_search(filter.ids, session.id())) return false;
  if (filter.address && *filter.address != connection.remote_address()) return false;
  if (filter.local_address && *filter.local_address != connection.local_address()) return false;
  if (filter.type && *filter.type != type_of(client_of(session))) return false;
  return !filter.seconds_min ||
         session.usage().seconds_connected >= static_cast<std::uint64_t>(*filter.seconds_min);
}

// The fields of Redis that mean something here, in its order, and behind them dhrt's own.
std::string client_line(Session& session, unsigned loop) {
  const StreamConnection& connection = session.connection();
  const RedisClient& client = client_of(session);
  const Session::Usage usage = session.usage();
  const std::size_t kept = client.transaction ? client.transaction->bytes : 0;
  const std::string database = client.database < 0 ? "-1" : std::to_string(client.database);
  Line line;
  line.field("id", session.id())
      .field("addr", connection.remote_address())
      .field("laddr", connection.local_address())
      .field("fd", static_cast<std::uint64_t>(std::max(connection.descriptor(), 0)))
      .field("name", client.name)
      .field("age", usage.seconds_connected)
      .field("idle", usage.seconds_idle)
      .field("flags", flags_of(session, client))
      .field("db", database)
      .field("sub", client.channels.size())
      .field("psub", client.patterns.size())
      .field("ssub", 0)
      .field("multi", client.transaction ? std::to_string(client.transaction->commands.size())
                                         : std::string("-1"))
      .field("watch", client.watched.size())
      .field("qbuf", usage.input_bytes)
      .field("multi-mem", kept)
      .field("obl", usage.reply_bytes)
      .field("oll", usage.replies)
      .field("omem", usage.unsent_bytes)
      .field("tot-mem",
             sizeof(Session) + kept + usage.input_bytes + usage.reply_bytes + usage.unsent_bytes)
      .field("events", usage.unsent_bytes > 0 ? "rw" : "r")
      .field("cmd", command_of(client))
      .field("user", "default")
      .field("redir", "-1")
      .field("resp", client.version == resp::Version::resp3 ? "3" : "2")
      .field("lib-name", client.library_name)
      .field("lib-ver", client.library_version)
      .field("collection", client.collection)
      .field("loop", loop);
  return line.take();
}

}  // namespace dhrt::redis
