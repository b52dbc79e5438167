// What a start does before anybody is served: opens the files, and applies what the logs of
// earlier starts have beyond them.
//
// Intuition: the newest version of a record wins, wherever it comes from, so logs may be read in
// any order, twice, and beside files that have a part of them already.
//
// A damaged file refuses the start. If other nodes have what was in it, or it has been renamed, its
// collection begins anew instead: with the records of the logs, but without what they say of having
// been seen, which may have been in the file alone.
//
// Bounds: what was not in the files has to fit into memory again; files are not read, but for what
// the logs change. Errors: corrupt: the file, and what to do; io.
// Threads: one, before the engine is open.
#pragma once

#include <string>
#include <vector>

#include "storage/engine_shared.h"
#include "storage/log_reader.h"

namespace dhrt {

struct Recovered {
  std::vector<LogFound> logs;      // To be removed when the files have everything.
  std::vector<std::string> notes;  // What people should know.
};
Result<Recovered> recover(EngineShared& shared, const std::string& log_directory);

}  // namespace dhrt
