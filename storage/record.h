// What the whole of dhrt keeps, sends and compares: a record, its version and its dot.
//
// Intuition: the version says which of two records of a key wins; the dot says which write it
// was. A node that has seen a set of dots knows exactly which writes it has seen, so that a
// record it does not hold any more is known to be deleted, not missing.
// Sources: hybrid logical clocks (Kulkarni et al. 2014); dots and contexts after DottedDB
// (Goncalves et al., SRDS 2017).
//
// Units: an hlc is 48 bits of wall-clock milliseconds and a 16-bit counter; a deadline is wall
// clock milliseconds, 0 = none.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/time.h"

namespace dhrt {

using NodeId = std::uint64_t;

// LMDB keys are at most 511 bytes.
inline constexpr std::size_t key_bytes_max = 511;
// The most that --max-value-bytes can be raised to; decoders refuse more before they allocate.
inline constexpr std::size_t value_bytes_ceiling = std::size_t{512} << 20;
inline constexpr std::size_t collection_name_bytes_max = 64;
// Content type and the like; a few short fields, never data.
inline constexpr std::size_t attributes_bytes_max = 4096;

// A source of dots. A node takes a new epoch at every start, and every event loop of it numbers
// its own writes, so that a crash loses only the end of a sequence and no number is used twice.
struct Origin {
  NodeId node = 0;
  std::uint32_t epoch = 0;
  std::uint16_t loop = 0;

  auto operator<=>(const Origin&) const = default;
};

// Names one write for ever. Sequences start at 1.
struct Dot {
  Origin origin;
  std::uint64_t sequence = 0;

  auto operator<=>(const Dot&) const = default;
};

struct Version {
  std::uint64_t hlc = 0;
  NodeId node = 0;

  auto operator<=>(const Version&) const = default;
};

inline constexpr unsigned hlc_counter_bits = 16;
inline constexpr WallMilliseconds hlc_milliseconds(std::uint64_t hlc) {
  return hlc >> hlc_counter_bits;
}

// Record::created of a write that did not look at what it replaced (storage/store.h, Terms). Who
// takes such a record in and knows that puts the right time in its place; readers never see it.
inline constexpr WallMilliseconds created_unknown = 1;

struct Record {
  Version version;
  Dot dot;
  bool deleted = false;           // A tombstone: it has no value.
  bool damaged = false;           // The value did not match its checksum; to be fetched again.
  WallMilliseconds deadline = 0;  // From this instant on the record is not there; 0 = none.
  WallMilliseconds created = 0;   // When the key came to be; 0 = with this version.
  std::optional<Dot> previous;    // What the writer overwrote; absent = unknown or nothing.
  std::string attributes;         // See record_codec.h.
  std::string value;

  bool operator==(const Record&) const = default;
};

// The one conflict rule. The total order is (hlc, node, delete bit, how often that delete was made
// anew, dot): the dot decides between equal versions, or two replicas that hold different dots
// would never agree.
std::strong_ordering compare(const Record& left, const Record& right);
inline bool newer(const Record& left, const Record& right) {
  return compare(left, right) > 0;
}

// A record that a reader may see: neither deleted nor past its deadline.
inline bool visible(const Record& record, WallMilliseconds now) {
  return !record.deleted && (record.deadline == 0 || now < record.deadline);
}

// The same write without its value, as deletes by flush and by deadline leave it behind.
Record tombstone_of(const Record& record);

// A record where it lies: its bytes are in a table, in a file's map or in a caller's buffer, and
// are valid only as long as whoever shows them says.
struct RecordView {
  Version version;
  Dot dot;
  bool deleted = false;
  bool damaged = false;
  bool unseen = false;  // It was pulled: its dot may not be in the seen context.
  // Another event loop wrote it and a power cut may still take it, so that nothing which it beats
  // may be called seen because of it.
  bool unsettled = false;
  // Stands for what a file may hold and nobody looked at: only `version.hlc` says something, which
  // is that nothing held there is above it.
  bool unread = false;
  WallMilliseconds deadline = 0;
  WallMilliseconds created = 0;
  Bytes attributes;
  Bytes value;
};

// Borrows from `record`.
RecordView view_of(const Record& record);
Record copy_of(const RecordView& view);
std::strong_ordering compare(const RecordView& left, const RecordView& right);
inline bool newer(const RecordView& left, const RecordView& right) {
  return compare(left, right) > 0;
}
inline bool visible(const RecordView& record, WallMilliseconds now) {
  return !record.deleted && (record.deadline == 0 || now < record.deadline);
}
RecordView tombstone_of(const RecordView& record);
// When the key came to be whose record `held` is.
WallMilliseconds created_of(const RecordView& held);
// What `created` of a record is that takes the place of `held`; of the same write it is the same.
WallMilliseconds created_in_place_of(const RecordView& held, const RecordView& record);

struct KeyedRecord {
  std::string key;
  Record record;

  bool operator==(const KeyedRecord&) const = default;
};

// The same where neither is copied.
struct KeyedView {
  Bytes key;
  RecordView record;
};
// Borrows from `entry`.
inline KeyedView view_of(const KeyedRecord& entry) {
  return {.key = entry.key, .record = view_of(entry.record)};
}

// A collection, and which of its lives: dropping one raises the generation, so that late
// messages about the dropped data are told apart from the collection made after it.
struct CollectionRef {
  std::string name;
  std::uint32_t generation = 0;

  auto operator<=>(const CollectionRef&) const = default;
};

// [A-Za-z0-9][A-Za-z0-9._-]{0,63}; a leading '_' is for the system's own.
bool valid_collection_name(Bytes name);
bool system_collection_name(Bytes name);

inline constexpr Bytes default_collection = "default";
// Holds the configuration of every collection; replicated like any other.
inline constexpr Bytes configuration_collection = "_sys";

}  // namespace dhrt
