// What is in a collection's file, byte by byte. No LMDB here, only the entries of its tables.
//
// data    key                                            -> record (storage/record_codec.h)
// log     partition u16, origin alias u16, sequence u64 (of the first of eight dots in a row)
//             -> a bit for each dot, u8, then for each bit that is set, the low one first: varint
//                key bytes, key; a dot per record or tombstone
// recent  number u64 -> (origin alias u16, varint sequence, varint key bytes, key)*: what is on
//         its way into `log` (storage/log_table.h), and, where the key has recent_grave bytes more
//         than it has, into `expiry`; empty but within a checkpoint or behind a crash
// expiry  deadline u64, origin alias u16, sequence u64   -> key, one per live record that has one,
//         and one per tombstone, at grave_deadline
// meta    "format"  u32
//         "ref"     generation u32, name
//         "cut"     up to where the logs are in here: run u32, varint loops, varint position*
//         "ctx"     context: every dot seen, with everything in `data`
//         "flushed" context: records of these dots are tombstones, whatever `data` says
//         "orig"    origin table (storage/record_codec.h)
//         "counts"  highest hlc u64, swept context, varints: live, tombstones, bytes
//         "gone"    context: in it are the dots of all tombstones that were taken out for good
//         "gonehlc" u64: the highest hlc among those
//         "graves"  u8, 1: `expiry` has every tombstone; absent in files of earlier builds
//         "txn"     u64: LMDB's number of the transaction that wrote last (storage/lmdb_env.cc)
//
// Numbers in keys are big endian, so that LMDB's order is theirs; in values little endian.
// The partition is 0. The dot stands in the key of `expiry` because an LMDB key has 511 bytes
// at most, and a record's own key may take all of them.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/result.h"
#include "storage/context.h"
#include "storage/entry.h"
#include "storage/log_format.h"
#include "storage/record_codec.h"

namespace dhrt {

inline constexpr std::uint32_t lmdb_format_version = 3;

namespace meta_key {
inline constexpr Bytes format = "format";
inline constexpr Bytes ref = "ref";
inline constexpr Bytes seen = "ctx";
inline constexpr Bytes flushed = "flushed";
inline constexpr Bytes origins = "orig";
inline constexpr Bytes counts = "counts";
inline constexpr Bytes cut = "cut";
inline constexpr Bytes forgotten = "gone";
inline constexpr Bytes forgotten_hlc = "gonehlc";
inline constexpr Bytes graves = "graves";
inline constexpr Bytes txn = "txn";
}  // namespace meta_key

// A file that has the second name is one that a start may go without (storage/recovery.h).
inline constexpr const char* damaged_file_cure =
    "restore the file from a backup, or add .damaged to its name and let the peers fill a new one";

// Precondition if it is another than ours, corrupt if there is none; says which file, and what to
// do.
Status check_format(Bytes encoded, const std::string& path);
std::string encode_format();

std::string log_key(AliasDot dot);
std::optional<AliasDot> parse_log_key(Bytes key);

// Eight dots in a row share an entry of `log`, under the first of them: it has no key of its own if
// its sequence is 0.
inline constexpr std::uint64_t log_block_dots = 8;
inline AliasDot block_of(AliasDot dot) {
  return {dot.origin, dot.sequence - dot.sequence % log_block_dots};
}
inline std::size_t place_in_block(AliasDot dot) {
  return static_cast<std::size_t>(dot.sequence % log_block_dots);
}
using LogBlock = std::array<Bytes, log_block_dots>;   // Keys; empty: no such dot.
std::string encode_log_block(const LogBlock& block);  // Empty if no dot is left.
// Borrows from `encoded`.
std::optional<LogBlock> decode_log_block(Bytes encoded);

std::string recent_key(std::uint64_t number);
std::optional<std::uint64_t> parse_recent_key(Bytes key);
// In the number of a key's bytes in `recent`: the record is a tombstone.
inline constexpr std::size_t recent_grave = key_bytes_max + 1;
void append_recent(std::string& out, AliasDot dot, Bytes key, bool grave);

// Where `expiry` has tombstones: behind every deadline that comes.
inline constexpr WallMilliseconds grave_deadline = std::numeric_limits<WallMilliseconds>::max();
std::string expiry_key(WallMilliseconds deadline, AliasDot dot);
// The deadline in an expiry key; absent if it is none.
std::optional<WallMilliseconds> parse_expiry_key(Bytes key);
// The dot of a tombstone in one; absent if it is none.
std::optional<AliasDot> parse_grave_key(Bytes key);

// Up to where the logs are contained in a file: everything of runs before `run`, and of this run
// each loop's log up to its position.
struct LogCut {
  std::uint32_t run = 0;
  std::vector<Position> positions;  // By loop.

  bool covers(LogId log, Position position) const {
    if (log.run != run) return log.run < run;
    return log.loop < positions.size() && position <= positions[log.loop];
  }
  bool operator==(const LogCut&) const = default;
};

struct FileCounts {
  std::uint64_t highest_hlc = 0;
  Context swept;
  std::uint64_t live = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t bytes = 0;  // Keys and values of live records.
};

std::string encode_txn(std::uint64_t number);
std::string encode_ref(const CollectionRef& ref);
std::string encode_context(const Context& context);
std::string encode_origins(const OriginTable& origins);
std::string encode_counts(const FileCounts& counts);
std::string encode_cut(const LogCut& cut);
// Corrupt, with the name of the entry.
Result<CollectionRef> decode_ref(Bytes encoded);
Result<Context> decode_context_entry(Bytes encoded);
std::string encode_number(std::uint64_t number);
Result<std::uint64_t> decode_number(Bytes encoded);
Result<OriginTable> decode_origins(Bytes encoded);
Result<FileCounts> decode_counts(Bytes encoded);
Result<LogCut> decode_cut(Bytes encoded);

}  // namespace dhrt
