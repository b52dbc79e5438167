// One command against a node: read the words, ask, print, give the exit code.
#pragma once

#include <string>
#include <vector>

#include "node/command_table.h"
#include "node/console.h"
#include "protocol/arguments.h"
#include "protocol/reply.h"
#include "storage/base/result.h"

namespace dhrt {

// Of a failure on our side of the connection.
int exit_code_of(const Error& error);
// Of an error that a node answered with.
int exit_code_of(const ReplyError& error);

// Whether the program offers the command as `dhrt NAME`; some make sense in the REPL only.
bool is_remote_command(const CommandInfo& command);

// `words` begins with the name of the command.
int run_command(const CommandInfo& command, const std::vector<std::string>& words,
                Console& console);

// The line for a node: words as they are, flags as flags.
std::vector<text::Token> command_tokens(const Arguments& arguments);

}  // namespace dhrt
