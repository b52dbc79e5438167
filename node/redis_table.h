// The commands of Redis clients, as data: what each takes, where its keys are, and who does it.
// COMMAND answers from it, and so does everything that checks a command before it is run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "storage/base/bytes.h"

namespace dhrt {

class RedisCall;

// What a command needs to know of its keys before it is run.
enum class RedisAccess : std::uint8_t {
  none,     // Nothing; or it sees to that itself.
  reads,    // What other nodes have of them counts, where this one does not know.
  changes,  // It changes what is there: a node that is not synced yet asks the others first.
};

struct RedisCommand {
  std::string_view name;   // Lower case.
  int arity;               // Words, the name included; negative: at least so many.
  std::string_view flags;  // Of COMMAND INFO, separated by blanks: "write denyoom fast".
  int first_key;           // Word of the first key; 0: it has none.
  int last_key;            // Of the last; -1: the last word.
  int key_step;
  std::string_view group;    // Of COMMAND DOCS: string, generic, connection, server.
  std::string_view since;    // The version of Redis that brought it.
  std::string_view summary;  // One sentence for a person.
  RedisAccess access;
  void (*run)(RedisCall&);
};

// In order of name.
std::span<const RedisCommand> redis_commands();
// Null if there is none; `name` in any case.
const RedisCommand* find_redis_command(Bytes name);
// `flag`: one of the words of its flags.
bool has_flag(const RedisCommand& command, Bytes flag);
bool arity_is_right(const RedisCommand& command, std::size_t words);
// Calls `visit` with every key of a command whose arity is right.
template <typename Words, typename Visit>
void visit_keys(const RedisCommand& command, const Words& words, Visit visit) {
  if (command.first_key == 0) return;
  const int last =
      command.last_key < 0 ? static_cast<int>(words.size()) + command.last_key : command.last_key;
  for (int at = command.first_key; at <= last; at += command.key_step)
    visit(words[static_cast<std::size_t>(at)]);
}

}  // namespace dhrt
