// The commands of the native line, as data: one row says what a command takes, what it does
// and how it is explained. The node, the CLI, the REPL and the README's reference read it.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace dhrt {

struct CommandInfo {
  std::string_view name;
  std::string_view usage;    // "set [collection] <key> <value> [--ttl 60s]"
  std::string_view summary;  // One sentence for a person.
  std::size_t arity_min;     // Words without flags; counts the command name itself.
  std::size_t arity_max;
  bool writes;
  std::string_view flags;  // Names that the command takes, separated by blanks: "ttl if-absent".
  std::string_view group;  // Keys, Collections, Node: a heading of the help.
};

// In order of name.
std::span<const CommandInfo> command_table();
// Null if there is none; `name` in any case.
const CommandInfo* find_command(std::string_view name);

}  // namespace dhrt
