// Looks at an LMDB file before LMDB does.
//
// Intuition: LMDB believes its two meta pages. If they are damaged, or the file is shorter than
// they say, it reads wild memory or is killed by SIGBUS. What can be checked is checked here: that
// each page is what it must be, that the two fit together as two commits in a row, that the file
// has all pages, and that the root pages are root pages.
//
// Errors: corrupt, io; with the file, what is wrong and the cure.
#pragma once

#include <cstdint>
#include <string>

#include "storage/base/result.h"

namespace dhrt {

struct LmdbPages {
  bool torn_creation = false;  // Nothing was ever committed: a power cut came first.
  std::size_t file_bytes = 0;  // A multiple of the page size.
};

Result<LmdbPages> inspect_lmdb_file(const std::string& path);

}  // namespace dhrt
