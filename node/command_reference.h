// What is said of commands to who reads: made from command_table and redis_table, as COMMAND is.
#pragma once

#include <optional>
#include <string>

#include "storage/base/bytes.h"

namespace dhrt {

// The page of all commands, dhrt's own and those of Redis clients: Markdown, node/commands.md.
std::string command_reference();
// What `help` says of a command that only Redis clients have; absent if there is none.
std::optional<std::string> redis_command_help(Bytes name);

}  // namespace dhrt
