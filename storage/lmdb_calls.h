// What every call of LMDB needs: bytes as it takes them, and its errors in our words.
//
// Threads: any.
#pragma once

#include <string>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

struct MDB_val;

namespace dhrt {

// `code` is of LMDB or of the system, not zero. `doing` stands before the path: "commit to".
Error lmdb_error(int code, const std::string& path, const char* doing);

// Both borrow.
MDB_val as_val(Bytes bytes);
Bytes as_bytes(const MDB_val& value);

}  // namespace dhrt
