// Looks at an LMDB file before LMDB does.
//
// Intuition: LMDB believes its two meta pages. If they are damaged, or the file is shorter than
// they say, it reads wild memory or is killed by SIGBUS. What can be checked is checked here: that
// each page is what it must be, that the two fit together as two commits in a row, that the file
// has all pages, and that the root pages are root pages.
//
// Errors: corrupt, io; with the file, what is wrong and the cure.
#pragma once

#include <cstddef>
#include <string>

#include "storage/base/result.h"

namespace dhrt {

// The bytes of the file, a multiple of its page size.
Result<std::size_t> inspect_lmdb_file(const std::string& path);

}  // namespace dhrt
