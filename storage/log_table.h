// The log table of a collection's file: which key a dot leads to, in the order of dots.
//
// Intuition: dots are given out one after the other, so the table grows at its end, where LMDB
// leaves full pages behind if it is told of dots in order. A large write comes in the order of
// keys, which is any order of dots: told at once, each of its transactions would touch the whole
// end of the table and leave its pages a third empty. So a record's transaction puts the way to
// it into `recent`, as it comes, and when all are written they go to `log` in order.
// Eight dots share an entry: what LMDB keeps beside an entry is more than half of a short key.
//
// Bytes: storage/lmdb_format.h. A dot leads to one key; the one that is put last, if it is given
// to two.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "storage/base/function_ref.h"
#include "storage/lmdb_env.h"
#include "storage/lmdb_format.h"

namespace dhrt {

struct LogChange {
  AliasDot dot;
  Bytes key;  // That the dot leads to from now on; empty: takes the entry out.
  // If it leads to a key of this hash; of keys for one dot, the one with the highest counts.
  std::uint64_t number = 0;
  bool grave = false;  // It is, or was, a tombstone.

  bool adds() const { return !key.empty(); }
};

// By dot, and of one dot what is put before what is taken out: a record that went has been there,
// and its dot does not come back to its key.
void sort_log_changes(std::vector<LogChange>& changes);

// Makes the first of sorted changes, until about `pages_max` pages are touched; how many.
std::size_t change_log(WriteTxn& txn, std::span<const LogChange> changes, std::size_t pages_max);

// The same in the table `expiry`, of the tombstones among them; all of them.
void change_graves(WriteTxn& txn, std::span<const LogChange> changes);

// Entries of `recent`, gathered until there is a page of them.
class RecentWriter {
 public:
  explicit RecentWriter(WriteTxn& txn) : cursor_(txn, LmdbTable::recent) {}

  void add(AliasDot dot, Bytes key, bool grave);
  void finish();  // Writes what is left; to be called.

 private:
  WriteCursor cursor_;
  std::string gathered_;
};

// Shows what an entry of `recent` holds; false if it does not decode to its end.
bool read_recent(Bytes entry, FunctionRef<void(AliasDot dot, Bytes key, bool grave)> show);

}  // namespace dhrt
