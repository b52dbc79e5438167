// The token of Hermod's clients: from the variable DEL_TOKEN, or from a file {"token":"..."}.
//
// The file is the one that --hermod-config names, else config.json beside the program, else in the
// working directory; one that nobody named may be missing. Errors: invalid_argument with the path.
#pragma once

#include <string>

#include "node/options.h"

namespace dhrt {

// Empty: there is none.
Result<std::string> read_hermod_token(const std::string& named_file, const OptionInput& input);

}  // namespace dhrt
