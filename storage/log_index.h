// The log table of an LMDB file as an index in dot order.
//
// The file orders dots by the alias of their origin, everybody else by the origin itself; this
// goes through the origins in their own order and seeks within each.
//
// Bounds: one seek in the file per origin passed. Ends before its transaction.
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "storage/lmdb_env.h"
#include "storage/lmdb_format.h"

namespace dhrt {

class LogIndex {
 public:
  static Result<LogIndex> open(const ReadTxn& txn, const OriginTable& origins);

  // The first dot at or behind `from` that has an entry. Absent at the end, and after an error.
  std::optional<Dot> seek(const Dot& from);
  // The key that the entry found last leads to.
  Bytes key() const { return cursor_.value(); }
  Status status() const { return cursor_.status(); }

 private:
  LogIndex(LmdbCursor cursor, const OriginTable& origins);

  LmdbCursor cursor_;
  std::map<Origin, std::uint16_t> aliases_;
};

}  // namespace dhrt
