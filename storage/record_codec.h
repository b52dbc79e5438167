// Records as bytes: on disk (one table of origins per file) and on the wire (one per message).
//
// record := format u8 (= 1), flags u8, hlc u64, origin u16 (alias), varint sequence,
//           [version node u64]   flag version_node: the version's node is not the dot's
//           [deadline u64]       flag deadline
//           [created varint]     flag created: milliseconds before the hlc's
//           [origin u16, varint] flag previous
//           [bytes]              flag attributes: field*, field := varint id, bytes
//           value (the rest), checksum u32 (low half of xxh3_64 over key, then all before it)
//
// Attribute ids: 1 content type, 2 not for nodes of nkvd, 3 counter (storage/counter.h). An
// unknown id is kept as it is.
// Errors: corrupt, with what is wrong; never reads outside its input.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/function_ref.h"
#include "storage/base/result.h"
#include "storage/context.h"
#include "storage/record.h"

namespace dhrt {

// Two-byte names for origins. Names are given in order and never change.
class OriginTable {
 public:
  static constexpr std::size_t origins_max = 65535;

  // Gives the origin a name if it has none. Full at origins_max.
  Result<std::uint16_t> alias(const Origin& origin);
  std::optional<std::uint16_t> find(const Origin& origin) const;
  // Null if the name was never given.
  const Origin* origin(std::uint16_t alias) const;
  std::size_t size() const { return origins_.size(); }
  bool operator==(const OriginTable& other) const { return origins_ == other.origins_; }

 private:
  std::vector<Origin> origins_;
  std::map<Origin, std::uint16_t> aliases_;
};

void encode(ByteWriter& writer, const OriginTable& table);
OriginTable decode_origin_table(ByteReader& reader);

// `with_previous`: peers are told what a write replaced, the disk is not.
struct RecordEncoding {
  bool with_previous = false;
};
Status encode_record(std::string& out, Bytes key, const Record& record, OriginTable& origins,
                     RecordEncoding encoding);

// As a peer is sent it; the result is the alias of the record's origin.
Result<std::uint16_t> encode_sent_record(std::string& out, Bytes key, const RecordView& record,
                                         const std::optional<Dot>& previous, OriginTable& origins);
// Whether it decodes. Its checksum is not looked at: see decode_record().
Status check_record(Bytes encoded, const OriginTable& origins);

// A wrong checksum gives a record that is marked damaged and has no value: its key, version
// and dot still count as held, and its value is fetched again from a peer.
Result<Record> decode_record(Bytes encoded, Bytes key, const OriginTable& origins);

// The same where records are not copied. `origin_of`: what an alias stands for, null if nothing.
// What decode_record_view() shows borrows from `encoded`.
void encode_record_view(std::string& out, Bytes key, const RecordView& record, std::uint16_t alias);
using OriginOf = FunctionRef<const Origin*(std::uint16_t)>;
Result<RecordView> decode_record_view(Bytes encoded, Bytes key, OriginOf origin_of);

// What an index needs to know of a record, without its origin's name and without its checksum.
struct RecordHead {
  std::uint16_t origin = 0;  // Alias.
  std::uint64_t sequence = 0;
  std::uint64_t hlc = 0;
  bool deleted = false;
  WallMilliseconds deadline = 0;
  std::size_t value_bytes = 0;
};
// Absent if it does not decode.
std::optional<RecordHead> peek_record(Bytes encoded);

// Attributes, as used by the protocols.
inline constexpr std::uint64_t attribute_content_type = 1;
// The write came from a mesh of nkvd, or was not meant for it; the value is empty.
inline constexpr std::uint64_t attribute_not_for_nkvd = 2;
inline constexpr std::uint64_t attribute_counter = 3;
// Of a tombstone: how often the delete was written once more, as what it deletes had come back
// (varint). Absent: never.
inline constexpr std::uint64_t attribute_made_anew = 4;
std::uint64_t times_made_anew(Bytes attributes);
std::string with_times_made_anew(Bytes attributes, std::uint64_t times);
std::string with_attribute(Bytes attributes, std::uint64_t id, Bytes value);
std::string without_attribute(Bytes attributes, std::uint64_t id);
std::optional<std::string> find_attribute(Bytes attributes, std::uint64_t id);

}  // namespace dhrt
