// `dhrt verify DIRECTORY`: checks the files of a stopped node, or of a backup, without a node.
//
// Exit codes: done: everything is sound; server_error: something is damaged, or cannot be read;
// usage: nothing to check there.
#pragma once

#include <string>
#include <vector>

#include "node/console.h"

namespace dhrt {

// `words` begins with "verify".
int run_verify(const std::vector<std::string>& words, Console& console);

}  // namespace dhrt
