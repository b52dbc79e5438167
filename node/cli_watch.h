// `dhrt watch`: prints what changes in a collection, until it is interrupted.
//
// A connection that is lost, or silent for much longer than the node's heartbeat, is made anew, and
// goes on with the last token: nothing is missed, what was told behind that token comes again. Who
// was told something before asks a busy node again. If nothing is told within --timeout, this ends;
// pauses between attempts grow to 5 s. Errors: exit codes.   Threads: one; waits block.
#pragma once

#include <vector>

#include "node/cli_target.h"
#include "node/console.h"
#include "protocol/arguments.h"
#include "protocol/text.h"

namespace dhrt {

struct WatchCall {
  Arguments asked;                  // As for the node, and perhaps --json.
  std::vector<text::Token> auth{};  // Said first, if it is not empty.
};
int run_watch(const Target& target, WatchCall call, Console& console);

}  // namespace dhrt
