#include "node/redis_permission.h"

#include <algorithm>
#include <array>

#include "node/redis_call.h"

namespace dhrt {

namespace {

using Needs = Doorkeeper::Needs;

// Figures, the connection itself, nothing that is stored.
constexpr Needs looks{.role = Role::read, .collection = {}, .looks = true};
constexpr Needs administers{.role = Role::admin, .collection = {}, .looks = false};

struct Subcommand {
  std::string_view command;
  std::string_view word;
  bool operator==(const Subcommand&) const = default;
};
// Of commands whose rows have no flags: these tell of other clients, or change the node.
constexpr std::array of_administrators{
    Subcommand{"client", "kill"},      Subcommand{"client", "list"},
    Subcommand{"client", "pause"},     Subcommand{"client", "unpause"},
    Subcommand{"client", "unblock"},   Subcommand{"config", "set"},
    Subcommand{"config", "resetstat"}, Subcommand{"config", "rewrite"},
    Subcommand{"latency", "reset"},    Subcommand{"slowlog", "get"},
    Subcommand{"slowlog", "len"},      Subcommand{"slowlog", "reset"}};

bool is_of_administrators(const RedisCommand& command, std::span<const Bytes> words) {
  if (words.size() < 2) return false;
  const std::string word = to_lower(words[1]);
  return std::ranges::find(of_administrators, Subcommand{command.name, word}) !=
         of_administrators.end();
}

bool is_one_of(const RedisCommand& command, std::initializer_list<std::string_view> names) {
  return std::ranges::find(names, command.name) != names.end();
}

bool selects(const std::optional<RedisTransaction>& transaction) {
  return transaction && std::ranges::any_of(transaction->commands, [](const RedisKept& kept) {
           return kept.command->name == "select";
         });
}

}  // namespace

Needs redis_needs(const RedisCommand& command, std::span<const Bytes> words,
                  const RedisClient& client) {
  if (has_flag(command, "no_auth")) return {};
  if (has_flag(command, "admin") || command.name == "swapdb") return administers;
  if (is_of_administrators(command, words)) return administers;
  // All databases, and channels, are no single collection.
  if (is_one_of(command, {"flushall", "publish", "function"})) return {.role = Role::write};
  if (is_one_of(command, {"subscribe", "psubscribe", "pubsub"})) return {.role = Role::read};
  if (has_flag(command, "write")) return {.role = Role::write, .collection = client.collection};
  if (has_flag(command, "readonly") || command.first_key != 0 ||
      is_one_of(command, {"object", "memory"}))
    return {.role = Role::read, .collection = client.collection};
  return looks;
}

std::optional<Bytes> redis_refusal(CommandServer& server, Session& session,
                                   const RedisClient& client, const RedisCommand& command,
                                   std::span<const Bytes> words) {
  if (server.doorkeeper->open()) return std::nullopt;
  const Needs needs = redis_needs(command, words, client);
  // Where it will run is known when EXEC has run the SELECT in front of it, and looks again.
  if (needs.collection && selects(client.transaction) && session.grant().role >= needs.role)
    return std::nullopt;
  const auto refused = server.doorkeeper->refusal(session, needs, command.name);
  if (!refused) return std::nullopt;
  return *refused == Doorkeeper::Refusal::no_token ? no_token_error : too_weak_error;
}

}  // namespace dhrt
