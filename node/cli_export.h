// `dhrt export FILE`: every key of a cluster, or of one collection, into one file.
//
// The file appears when it is complete: until then it is FILE.partial, and --resume goes on behind
// what is whole in it. Keys that change meanwhile are exported as they were when their page was
// read; the export is of no single moment (dhrt backup is).
// Exit codes: done; usage (the file is there already); the rest as for every command.
// Bounds: memory for one page.
#pragma once

#include <string>
#include <vector>

#include "node/console.h"

namespace dhrt {

// `words` begins with "export".
int run_export(const std::vector<std::string>& words, Console& console);

}  // namespace dhrt
