// Counters that merge: increments on both sides of a split all count.
//
// Intuition: a counter is one record. Its value is the number as text, so whoever reads sees a
// plain string. One attribute more says where the number comes from: the write that it counts on
// (the base), and for each node and start of it (epoch) the sum of what was added there (a cell).
// Only its own node writes a cell. Two records of a key that did not know of each other are joined
// into a new write, with a dot of its own: nothing is ever merged under a dot that others have.
//
// Of two records the greater base stays, and every cell that was opened after it, in its latest
// form. A cell opened before it may be part of what the base replaced, and is dropped. Bases and
// cells only grow: a join that adds nothing is not written, so joining comes to an end, whoever
// joins what first.
// Source: state-based counters (Shapiro et al. 2011).
//
// Units: an hlc is that of a version (storage/record.h).
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/record.h"

namespace dhrt {

// A mistake made on purpose, which only the simulator makes.
enum class CounterMistake : std::uint8_t {
  none,
  last_writer,  // Nothing is joined.
  any_base,     // Cells count on whatever base there is.
  in_place,     // What is joined keeps the dot of the newer record.
  replaced,     // What was replaced is joined all the same.
};

// What one node added in the starts `from` to `epoch` of it.
struct CounterCell {
  NodeId node = 0;
  std::uint32_t epoch = 0;
  std::uint32_t from = 0;    // Below `epoch`: the cells of these starts are folded into this one.
  std::uint64_t opened = 0;  // The hlc of the first addition, above that of the base.
  std::uint64_t last = 0;    // That of the last one: tells the forms of a cell apart.
  std::int64_t sum = 0;

  auto operator<=>(const CounterCell&) const = default;
};

struct CounterState {
  // The write that is counted on; all zero: the key was never written.
  struct Base {
    Version version;
    bool deleted = false;  // It has no number: counting begins at 0.
    Dot dot;

    auto operator<=>(const Base&) const = default;
  };
  // Two of each node that a cluster may have, as far as attributes_bytes_max has room for them;
  // what would be more becomes a base of its own.
  static constexpr std::size_t cells_max = 128;

  Base base;
  std::int64_t start = 0;          // The number of the base.
  std::vector<CounterCell> cells;  // By node and epoch, at most cells_max.

  bool operator==(const CounterState&) const = default;
  // start and all cells, held within the range.
  std::int64_t value() const;
};

// Absent if the record is none, or does not decode: it is a plain record then.
std::optional<CounterState> counter_of(const RecordView& record);

struct Addition {
  Origin origin;          // Of the node and the start that count.
  std::uint64_t hlc = 0;  // Above that of what is held, and at most that of the write.
  std::int64_t more = 0;
};
// What a write is that adds to the number in `held` (null: nothing is held, not even a tombstone;
// `visible`: readers see it). The result is `attributes` with the counter in it. Without one, where
// it cannot be kept: that write is a base of its own.
std::string count_on(const RecordView* held, bool visible, const Addition& addition,
                     Bytes attributes);

// What is written when a value is replaced: a base. `attributes` without a counter.
std::string without_counter(Bytes attributes);

// Whether what is held and what comes must be joined, as neither has all of the other.
bool must_join(const RecordView& held, const RecordView& comes, CounterMistake mistake);

// Whether all that `loser` counts is in `winner`, on the same base: then it loses nothing.
bool counts_all(const RecordView& winner, const RecordView& loser);

// The joined record, but for its version and dot.
struct JoinedRecord {
  bool deleted = false;
  WallMilliseconds deadline = 0;
  std::string attributes;
  std::string value;
};
// precondition: must_join().
JoinedRecord join(const RecordView& held, const RecordView& comes, CounterMistake mistake);

// The tombstone that is left of a record whose deadline is over. It still says what was counted: a
// node that expired a counter early must not take it for a delete. Of a delete: that delete.
RecordView expired_of(const RecordView& record);
Record expired_of(const Record& record);

}  // namespace dhrt
