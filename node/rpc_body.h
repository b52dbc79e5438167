// A body of JSON-RPC calls, made one after the other and answered together.
//
// Threads: loop thread only.
#pragma once

#include "node/http_handlers.h"

namespace dhrt {

// Answers with 200 and the outcomes, or 204 if no call wants any.
void run_rpc_body(const Exchange& exchange);

}  // namespace dhrt
