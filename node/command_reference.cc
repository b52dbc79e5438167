#include "node/command_reference.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "node/command_table.h"
#include "node/redis_table.h"
#include "protocol/letter_case.h"

namespace dhrt {

namespace {

// A bar would end the cell, also within code.
std::string cell(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|') out += '\\';
    out += c;
  }
  return out;
}

std::string words_of(const RedisCommand& command) {
  const std::string count = std::to_string(std::abs(command.arity));
  return command.arity < 0 ? count + " or more" : count;
}

std::string keys_of(const RedisCommand& command) {
  if (command.first_key == 0) return "none";
  std::string out = std::to_string(command.first_key);
  if (command.last_key == command.first_key) return out;
  if (command.last_key > 0) return out + " to " + std::to_string(command.last_key);
  out += command.last_key == -1 ? " to the last" : " to the last but one";
  return command.key_step == 1 ? out : out + ", every " + std::to_string(command.key_step) + "nd";
}

std::string own_commands() {
  std::string out;
  for (const std::string_view group : {"Keys", "Collections", "Node"}) {
    out += "\n### " + std::string(group) + "\n\n| command | what it does |\n|---|---|\n";
    for (const CommandInfo& command : command_table()) {
      if (command.group == group)
        out += "| `" + cell(command.usage) + "` | " + cell(command.summary) + " |\n";
    }
  }
  return out;
}

std::string redis_commands_by_group() {
  std::vector<std::string_view> groups;
  for (const RedisCommand& command : redis_commands())
    groups.push_back(command.group);
  std::ranges::sort(groups);
  groups.erase(std::unique(groups.begin(), groups.end()), groups.end());
  std::string out;
  for (const std::string_view group : groups) {
    out += "\n### " + std::string(group) +
           "\n\n| command | words | keys | since | what it does |\n|---|---|---|---|---|\n";
    for (const RedisCommand& command : redis_commands()) {
      if (command.group != group) continue;
      out += "| `" + to_upper(command.name) + "` | " + words_of(command) + " | " +
             keys_of(command) + " | " + std::string(command.since) + " | " + cell(command.summary) +
             " |\n";
    }
  }
  return out;
}

}  // namespace

std::string command_reference() {
  return "# Commands\n\n"
         "Made by `dhrt help commands`; do not edit.\n\n"
         "## dhrt's own\n\n"
         "In lines of text at any node, in `dhrt repl`, and, but for `auth`, `help` and `quit`, as "
         "`dhrt COMMAND`.\n" +
         own_commands() +
         "\n## Those of Redis clients\n\n"
         "`words` counts the name; `keys` says which of the words behind it are keys; `since` is "
         "the "
         "version of Redis\nthat brought the command. A node answers the same with `COMMAND` and "
         "`COMMAND DOCS`.\n" +
         redis_commands_by_group();
}

std::optional<std::string> redis_command_help(Bytes name) {
  const RedisCommand* command = find_redis_command(name);
  if (command == nullptr) return std::nullopt;
  return to_upper(command->name) + ": " + words_of(*command) +
         " words; keys: " + keys_of(*command) + "\n" + std::string(command->summary) +
         "\nFor Redis clients (redis-cli, any library), at the same port; since Redis " +
         std::string(command->since) + ".\n";
}

}  // namespace dhrt
