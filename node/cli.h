// The program: its first word says what it does.
//
//   dhrt start|join|--node=HOST:PORT   a node in this process, by `run_node`
//   dhrt repl|import                   a client with a life of its own
//   dhrt COMMAND                       one command against a node
//   dhrt [COMMAND] --help, --version   text
//
// Returns the exit code (exit_code.h). Data goes to standard output, messages to standard error.
// Threads: main thread. Errors: none escape.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "node/console.h"
#include "node/options.h"

namespace dhrt {

using NodeRunner = std::function<int(const NodeOptions&)>;

int run_cli(int argc, char** argv, const NodeRunner& run_node);
// The same with everything it touches given; `words` without the program's name.
int run_cli(const std::vector<std::string>& words, Console& console, const NodeRunner& run_node);

}  // namespace dhrt
