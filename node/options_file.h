// The configuration file of a node: TOML, one key per option, as --print-config writes it.
//
// Errors: invalid_argument; a file that cannot be read or is not TOML, a key that no option has
// (the nearest one is named), a value of a type that no option takes.
#pragma once

#include <map>
#include <string>

#include "storage/base/result.h"

namespace dhrt {

// By flag name (read-timeout), the value as a flag would be given it.
Result<std::map<std::string, std::string>> read_options_file(const std::string& path);

}  // namespace dhrt
