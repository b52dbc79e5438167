// The commands of the native line, as data: one row says what a command takes, what it does
// and how it is explained. The node, the CLI, the REPL and the README's reference read it.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "node/access.h"

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
  // What a token must be good for, and where.
  Role role;
  enum class Place {
    node,              // Not about a collection.
    figures,           // The same; it shows figures, no data.
    first,             // The first word names the collection.
    first_or_default,  // Or without one it is the default collection.
    first_of_all,      // The first word does, if there are as many as there may be.
  };
  Place place;
};

// In order of name.
std::span<const CommandInfo> command_table();
// Null if there is none; `name` in any case.
const CommandInfo* find_command(std::string_view name);

}  // namespace dhrt
