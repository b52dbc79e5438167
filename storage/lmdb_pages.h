// Looks at an LMDB file before LMDB does.
//
// Intuition: LMDB believes what its pages say. If they are damaged, or the file is shorter than
// they say, it reads wild memory, goes round in circles or is killed by SIGBUS. So each page is
// looked at first: the two meta pages, that they fit together as two commits in a row, and every
// page of every tree and of the free list that the newer one leads to (storage/lmdb_walk.h).
//
// Everything is read with pread: what the disk cannot give is an error, and no signal.
// Errors: corrupt, io; with the file, the page, what is wrong and the cure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/result.h"
#include "storage/lmdb_walk.h"

namespace dhrt {

// Opens a file and reads all pages of its trees. The bytes of the file, a multiple of its page
// size.
Result<std::size_t> inspect_lmdb_file(const std::string& path);

// Where the next slice of a file begins.
struct LmdbPlace {
  std::size_t tree = 0;
  std::string key;
};
// The same in slices of about `leaves_max` leaf pages, for a file that is in use: nobody commits to
// it during the call. False at the end.
struct LmdbSlice {
  LmdbPlace next;
  bool more = false;
  std::uint64_t bytes = 0;  // That were looked at.
};
Result<LmdbSlice> inspect_lmdb_slice(int descriptor, const std::string& path,
                                     const LmdbPlace& place, std::size_t leaves_max);

namespace lmdb {

// The first thing that is wrong in a file of so many bytes, wherever they are; if there is nothing,
// what its last commit was.
std::optional<Fault> fault_of_file(ReadAt read, std::uint64_t bytes, Snapshot& found);

}  // namespace lmdb

}  // namespace dhrt
