// `dhrt repl`: type commands to a node, with history, completion and hints.
//
// On a terminal: a prompt HOST:PORT>, Tab completes commands, flags and collections, the usage
// of the command stands at the right edge, and a lost connection is made again. Otherwise lines
// are read without a prompt and answers printed plain; the exit code is that of the last error.
#pragma once

#include <string>
#include <vector>

#include "node/console.h"

namespace dhrt {

// `words` begins with "repl".
int run_repl(const std::vector<std::string>& words, Console& console);

}  // namespace dhrt
