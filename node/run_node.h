// Runs a node in this process until it is told to leave.
//
// Takes options that were read and checked, says on standard error what it does, and returns
// the exit code of the process (exit_code.h): done after a graceful leave, cannot_connect if
// none of `options.join` answered in time, auth if the cluster refused the node, server_error if
// the node cannot run here (port in use, data directory unwritable, locked or damaged).
//
// Threads: call once, from the main thread. Errors: none escape; they are the exit code, and
// one line on standard error that says what failed, the value and what to do.
#pragma once

#include "node/options.h"

namespace dhrt {

int run_node(const NodeOptions& options);

}  // namespace dhrt
