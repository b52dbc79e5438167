// The token of an HTTP request (RFC 6750, section 2.1; RFC 7617).
#pragma once

#include <optional>
#include <string>

#include "node/commands.h"
#include "node/session.h"
#include "protocol/http.h"

namespace dhrt {

// Of `Authorization: Bearer TOKEN`, or the password of `Authorization: Basic`, whatever the user's
// name is. Absent: there is none.
std::optional<std::string> token_of(const http::Request& request);

// Where tokens are asked for, a long body is read only of who has shown one.
void ask_before_long_bodies(http::Parser& parser, CommandServer& server, Session& session);
// And a client that waits for word before it sends one is not told to go on if it has shown none
// where the route needs one (JSON-RPC does not: its calls do, each of which is in the body).
void ask_before_expected_bodies(http::Parser& parser, CommandServer& server, Session& session);

}  // namespace dhrt
