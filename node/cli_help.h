// The help of the program, made from the tables of commands, flags and options.
// At most 100 columns wide.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "node/command_table.h"
#include "node/exit_code.h"

namespace dhrt {

// A command that runs in the program itself.
struct LocalCommand {
  std::string_view name;
  std::string_view usage;
  std::string_view summary;
};
std::span<const LocalCommand> local_commands();

// Every word that may follow `dhrt`.
std::vector<std::string> command_names();

std::string short_help();
std::string long_help();
std::string command_help(const CommandInfo& command);
std::string local_command_help(const LocalCommand& command);

}  // namespace dhrt
