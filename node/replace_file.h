// A file that is there as a whole or not at all.
#pragma once

#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

// Puts `bytes` in the place of what `path` has, by way of PATH.new: whoever opens it, also after a
// power cut, finds all of the old or all of the new. `mode`: of the new file, less the umask.
// Errors: io, or full without room; what was to be done, the path and the system's reason.
Status replace_file(const std::string& path, Bytes bytes, unsigned mode);

}  // namespace dhrt
