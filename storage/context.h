// Which writes somebody has seen: a set of dots, kept as intervals per origin.
//
// Intuition: sequences of an origin are nearly always seen without gaps, so a set of millions
// of dots is one interval per origin. Every set here is bounded by the number of origins and of
// gaps, never by the number of records.
// Source: version vectors with exceptions, as in DottedDB (SRDS 2017), section 4.
//
// Threads: a value; not synchronised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "storage/base/codec.h"
#include "storage/record.h"

namespace dhrt {

// [first, last], both within.
struct Interval {
  std::uint64_t first = 0;
  std::uint64_t last = 0;

  auto operator<=>(const Interval&) const = default;
};

// A set of sequence numbers; its intervals are in order, apart from each other by at least one.
class IntervalSet {
 public:
  bool contains(std::uint64_t sequence) const;
  bool contains(const IntervalSet& other) const;
  // False if it was there already.
  bool add(std::uint64_t sequence);
  void add(Interval interval);
  void add(const IntervalSet& other);
  // Keeps what is in both.
  void intersect(const IntervalSet& other);
  // The smallest number >= `from` that is not in the set.
  std::uint64_t next_absent(std::uint64_t from) const;
  // The end of the interval that starts at 1; 0 if 1 is absent.
  std::uint64_t tip() const;
  std::uint64_t last() const { return intervals_.empty() ? 0 : intervals_.back().last; }
  bool empty() const { return intervals_.empty(); }
  std::uint64_t size() const;
  const std::vector<Interval>& intervals() const { return intervals_; }

  bool operator==(const IntervalSet&) const = default;

 private:
  std::vector<Interval> intervals_;
};

class Context {
 public:
  bool contains(const Dot& dot) const;
  bool contains(const Context& other) const;
  // False if it was there already.
  bool add(const Dot& dot);
  void add(const Origin& origin, Interval interval) { origins_[origin].add(interval); }
  void merge(const Context& other);
  // Keeps what is in both.
  void intersect(const Context& other);
  bool empty() const { return origins_.empty(); }
  // Dots that `other` does not have.
  std::uint64_t count_beyond(const Context& other) const;
  // True if a dot of the same node with a higher epoch is known.
  bool knows_later_epoch(const Origin& origin) const;
  // Null if nothing of the origin was seen.
  const IntervalSet* find(const Origin& origin) const;
  const std::map<Origin, IntervalSet>& origins() const { return origins_; }
  // Equal sets have equal hashes. Part of the wire format.
  std::uint64_t hash() const;

  bool operator==(const Context&) const = default;

 private:
  std::map<Origin, IntervalSet> origins_;  // No empty set is kept.
};

// context  := varint count, origin*
// origin   := node u64, epoch u32, loop u16, varint intervals, interval*
// interval := varint (first - end of the one before), varint (last - first)
void encode(ByteWriter& writer, const Context& context);
// On bad input the reader's ok() is false and the result is not to be used.
Context decode_context(ByteReader& reader);

}  // namespace dhrt
