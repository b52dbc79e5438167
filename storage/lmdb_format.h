// What is in a collection's file, byte by byte. No LMDB here, only the entries of its tables.
//
// data    key                                            -> record (storage/record_codec.h)
// log     partition u16, origin alias u16, sequence u64  -> key, one per record or tombstone
// expiry  deadline u64, origin alias u16, sequence u64   -> key, one per live record with a
// deadline meta    "format"  u32
//         "ref"     generation u32, name
//         "ctx"     context: every dot seen, with everything in `data`
//         "flushed" context: records of these dots are tombstones, whatever `data` says
//         "orig"    origin table (storage/record_codec.h)
//         "counts"  highest hlc u64, swept context, tally (storage/tally.h)
//
// Numbers in keys are big endian, so that LMDB's order is theirs; in values little endian.
// The partition is 0. The dot stands in the key of `expiry` because an LMDB key has 511 bytes
// at most, and a record's own key may take all of them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/result.h"
#include "storage/context.h"
#include "storage/entry.h"
#include "storage/record_codec.h"
#include "storage/tally.h"

namespace dhrt {

inline constexpr std::uint32_t lmdb_format_version = 1;

namespace meta_key {
inline constexpr Bytes format = "format";
inline constexpr Bytes ref = "ref";
inline constexpr Bytes seen = "ctx";
inline constexpr Bytes flushed = "flushed";
inline constexpr Bytes origins = "orig";
inline constexpr Bytes counts = "counts";
}  // namespace meta_key

// Corrupt if it is newer than ours, or none; says which file, and what to do.
Status check_format(Bytes encoded, const std::string& path);
std::string encode_format();

std::string log_key(AliasDot dot);
std::optional<AliasDot> parse_log_key(Bytes key);

std::string expiry_key(WallMilliseconds deadline, AliasDot dot);
// The deadline in an expiry key; absent if it is none.
std::optional<WallMilliseconds> parse_expiry_key(Bytes key);

struct FileCounts {
  std::uint64_t highest_hlc = 0;
  Context swept;
  Tally tally;
};

std::string encode_ref(const CollectionRef& ref);
std::string encode_context(const Context& context);
std::string encode_origins(const OriginTable& origins);
std::string encode_counts(const FileCounts& counts);
// Corrupt, with the name of the entry.
Result<CollectionRef> decode_ref(Bytes encoded);
Result<Context> decode_context_entry(Bytes encoded);
Result<OriginTable> decode_origins(Bytes encoded);
Result<FileCounts> decode_counts(Bytes encoded);

}  // namespace dhrt
