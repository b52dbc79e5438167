// `dhrt backup NAME`: has a node copy its files, and shows how far it is.
//
// Waits as long as it takes while the node answers.
// Exit codes: done; server_error: the node refused; the rest as for every command.
#pragma once

#include <string>
#include <vector>

#include "node/console.h"

namespace dhrt {

// `words` begins with "backup".
int run_backup(const std::vector<std::string>& words, Console& console);

}  // namespace dhrt
