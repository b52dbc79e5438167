// What the connection of a Redis client keeps from one command to the next.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp_writer.h"
#include "storage/record.h"

namespace dhrt {

// SELECT's numbers: 0 is the default collection, n is "db<n>".
inline constexpr std::int64_t redis_databases = 16;
inline std::string redis_collection(std::int64_t database) {
  return database == 0 ? std::string(default_collection) : "db" + std::to_string(database);
}

struct RedisCommand;

// A command that waits for EXEC.
struct RedisKept {
  const RedisCommand* command;
  std::vector<std::string> words;
};

struct RedisTransaction {
  std::vector<RedisKept> commands;
  std::size_t bytes = 0;  // Of all words.
  bool broken = false;    // EXEC refuses: a command could not be kept.
};

struct RedisClient {
  resp::Version version = resp::Version::resp2;
  std::string collection{default_collection};
  std::int64_t database = 0;  // What CLIENT INFO shows; -1: a collection selected by its name.
  std::string name;
  std::string library_name;
  std::string library_version;
  // CLIENT REPLY: `skip_next` becomes `skip` for the command that follows.
  enum class Replies : std::uint8_t { on, off, skip_next, skip };
  Replies replies = Replies::on;
  std::string_view last_command;                // Of the table.
  std::string last_subcommand;                  // In lower case; empty: the command has none.
  bool monitors = false;                        // It is shown what others ask for.
  std::size_t changed_bytes = 0;                // Of values, since the protocol looked.
  std::optional<RedisTransaction> transaction;  // Since MULTI.
  struct Watched {
    std::string collection;
    std::string key;
    std::optional<Version> version;  // Absent: nothing is known of such a key.
    bool is_visible = false;

    bool operator==(const Watched&) const = default;
  };
  std::vector<Watched> watched;
  // What it listens to; changed by RedisListeners alone.
  std::set<std::string, std::less<>> channels;
  std::set<std::string, std::less<>> patterns;

  std::size_t names() const { return channels.size() + patterns.size(); }
  // In RESP2 what is said on channels looks like a reply, so that no other replies may come.
  bool only_listens() const { return version == resp::Version::resp2 && names() > 0; }
};

// Whether the reply of a command that was just run is left out; call once per command.
bool takes_silence(RedisClient& client);

}  // namespace dhrt
