// `dhrt import FILE`: many keys over one connection, a window of them on the way at a time.
//
// Lines that cannot be read or that the node refuses are counted, and the first few shown.
// Exit code: done; server_error if a line failed; auth, cannot_connect, timed_out, interrupted
// if it had to stop, and then it says how far it came.
// Bounds: memory for one window of lines, whatever the size of the file.
#pragma once

#include <string>
#include <vector>

#include "node/console.h"

namespace dhrt {

// `words` begins with "import".
int run_import(const std::vector<std::string>& words, Console& console);

}  // namespace dhrt
