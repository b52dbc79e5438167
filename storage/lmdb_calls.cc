#include "storage/lmdb_calls.h"

#include <cerrno>

#include <lmdb.h>

#include "storage/lmdb_format.h"

namespace dhrt {

namespace {

struct Reaction {
  ErrorCode code;
  const char* cure;
};

Reaction reaction_to(int code) {
  switch (code) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return {ErrorCode::full, "free space on the disk"};
    case EACCES:
    case EPERM:
    case EROFS:
      return {ErrorCode::io, "let the node's user write the file and its directory"};
    case EMFILE:
    case ENFILE:
      return {ErrorCode::io, "raise the limit of open files (ulimit -n); a collection takes two"};
    case ENOMEM:
      return {ErrorCode::io, "raise vm.max_map_count and the limit of address space (ulimit -v)"};
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_VERSION_MISMATCH:
      return {ErrorCode::corrupt, damaged_file_cure};
    default:
      return {ErrorCode::io, "look for disk errors in the system's log, then start the node again"};
  }
}

}  // namespace

Error lmdb_error(int code, const std::string& path, const char* doing) {
  const Reaction reaction = reaction_to(code);
  return {reaction.code,
          std::string(doing) + " " + path + ": " + mdb_strerror(code) + "; " + reaction.cure};
}

MDB_val as_val(Bytes bytes) {
  // LMDB takes keys and values as void*, and does not write through it.
  return {bytes.size(), const_cast<char*>(bytes.data())};
}

Bytes as_bytes(const MDB_val& value) {
  return {static_cast<const char*>(value.mv_data), value.mv_size};
}

}  // namespace dhrt
