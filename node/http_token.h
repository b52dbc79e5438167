// The token of an HTTP request (RFC 6750, section 2.1; RFC 7617).
#pragma once

#include <optional>
#include <string>

#include "protocol/http.h"

namespace dhrt {

// Of `Authorization: Bearer TOKEN`, or the password of `Authorization: Basic`, whatever the user's
// name is. Absent: there is none.
std::optional<std::string> token_of(const http::Request& request);

}  // namespace dhrt
