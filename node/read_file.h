// Small files that a person wrote: settings, tokens.
#pragma once

#include <string>

#include "storage/base/result.h"

namespace dhrt {

// All of it; an empty one is fine. invalid_argument: "it cannot be read ...", without the path.
Result<std::string> read_file(const std::string& path);

}  // namespace dhrt
