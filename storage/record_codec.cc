#include "storage/record_codec.h"

#include "storage/base/hash.h"

namespace dhrt {

namespace {

constexpr std::uint8_t record_format = 1;
constexpr std::size_t checksum_bytes = 4;
constexpr std::size_t origin_bytes = 8 + 4 + 2;

namespace flag {
constexpr std::uint8_t deleted = 1U << 0;
constexpr std::uint8_t version_node = 1U << 1;
constexpr std::uint8_t deadline = 1U << 2;
constexpr std::uint8_t created = 1U << 3;
constexpr std::uint8_t previous = 1U << 4;
constexpr std::uint8_t attributes = 1U << 5;
constexpr std::uint8_t damaged = 1U << 6;
constexpr std::uint8_t known = (1U << 7) - 1;
}  // namespace flag

std::uint8_t flags_of(const RecordView& record) {
  unsigned flags = 0;
  if (record.deleted) flags |= flag::deleted;
  if (record.damaged) flags |= flag::damaged;
  if (record.version.node != record.dot.origin.node) flags |= flag::version_node;
  if (record.deadline != 0) flags |= flag::deadline;
  if (record.created != 0) flags |= flag::created;
  if (!record.attributes.empty()) flags |= flag::attributes;
  return static_cast<std::uint8_t>(flags);
}

struct AliasedDot {
  std::uint16_t origin = 0;
  std::uint64_t sequence = 0;
};

std::uint32_t checksum_of(Bytes key, Bytes body) {
  // The key is mixed in, so that a record found under another key is noticed.
  return static_cast<std::uint32_t>(hash64(body) ^ hash64(key));
}

tl::unexpected<Error> corrupt(const std::string& what) {
  return fail(ErrorCode::corrupt, "record does not decode: " + what);
}

void encode_fields(std::string& out, Bytes key, const RecordView& record, std::uint16_t alias,
                   const std::optional<AliasedDot>& previous) {
  const std::size_t start = out.size();
  const unsigned with_previous = previous ? flag::previous : 0;
  ByteWriter writer(out);
  writer.u8(record_format);
  writer.u8(static_cast<std::uint8_t>(flags_of(record) | with_previous));
  writer.u64(record.version.hlc);
  writer.u16(alias);
  writer.varint(record.dot.sequence);
  if (record.version.node != record.dot.origin.node) writer.u64(record.version.node);
  if (record.deadline != 0) writer.u64(record.deadline);
  if (record.created != 0) writer.varint(hlc_milliseconds(record.version.hlc) - record.created);
  if (previous) {
    writer.u16(previous->origin);
    writer.varint(previous->sequence);
  }
  if (!record.attributes.empty()) writer.bytes(record.attributes);
  writer.raw(record.value);
  writer.u32(checksum_of(key, Bytes(out).substr(start)));
}

// `body` is without the checksum. The value is there whether it is intact or not.
Result<RecordView> decode_body(Bytes body, OriginOf origin_of, std::optional<Dot>& previous) {
  ByteReader reader(body);
  const std::uint8_t format = reader.u8();
  const std::uint8_t flags = reader.u8();
  if (format != record_format) return corrupt("format " + std::to_string(format) + " is unknown");
  if ((flags & ~flag::known) != 0) return corrupt("a flag is unknown");

  RecordView record;
  record.deleted = (flags & flag::deleted) != 0;
  record.damaged = (flags & flag::damaged) != 0;
  record.version.hlc = reader.u64();
  const Origin* origin = origin_of(reader.u16());
  record.dot.sequence = reader.varint();
  if (origin == nullptr || record.dot.sequence == 0) return corrupt("its dot is unknown");
  record.dot.origin = *origin;
  record.version.node = (flags & flag::version_node) != 0 ? reader.u64() : origin->node;
  if ((flags & flag::deadline) != 0) record.deadline = reader.u64();
  if ((flags & flag::created) != 0)
    record.created = hlc_milliseconds(record.version.hlc) - reader.varint();
  if ((flags & flag::previous) != 0) {
    const Origin* of_previous = origin_of(reader.u16());
    const std::uint64_t sequence = reader.varint();
    if (of_previous == nullptr) return corrupt("what it replaced is unknown");
    previous = Dot{*of_previous, sequence};
  }
  if ((flags & flag::attributes) != 0) record.attributes = reader.bytes(attributes_bytes_max);
  if (!reader.ok()) return corrupt("its header is cut");
  record.value = reader.rest();
  return record;
}

Result<Bytes> body_of(Bytes encoded) {
  if (encoded.size() < checksum_bytes) return corrupt("it is too short");
  return encoded.substr(0, encoded.size() - checksum_bytes);
}

Result<RecordView> decode_fields(Bytes encoded, Bytes key, OriginOf origin_of,
                                 std::optional<Dot>& previous) {
  const auto body = body_of(encoded);
  if (!body) return tl::unexpected(body.error());
  auto record = decode_body(*body, origin_of, previous);
  if (record && ByteReader(encoded.substr(body->size())).u32() != checksum_of(key, *body)) {
    record->damaged = true;
    record->value = {};
  }
  return record;
}

}  // namespace

Result<std::uint16_t> OriginTable::alias(const Origin& origin) {
  if (const auto found = find(origin)) return *found;
  if (origins_.size() >= origins_max)
    return fail(ErrorCode::full,
                "a file names at most 65535 origins; export and import the collection");
  const auto alias = static_cast<std::uint16_t>(origins_.size());
  origins_.push_back(origin);
  aliases_.emplace(origin, alias);
  return alias;
}

std::optional<std::uint16_t> OriginTable::find(const Origin& origin) const {
  const auto found = aliases_.find(origin);
  if (found == aliases_.end()) return std::nullopt;
  return found->second;
}

const Origin* OriginTable::origin(std::uint16_t alias) const {
  return alias < origins_.size() ? &origins_[alias] : nullptr;
}

void encode(ByteWriter& writer, const OriginTable& table) {
  writer.varint(table.size());
  for (std::size_t i = 0; i < table.size(); ++i) {
    const Origin& origin = *table.origin(static_cast<std::uint16_t>(i));
    writer.u64(origin.node);
    writer.u32(origin.epoch);
    writer.u16(origin.loop);
  }
}

OriginTable decode_origin_table(ByteReader& reader) {
  OriginTable table;
  const std::size_t count = reader.count(origin_bytes);
  for (std::size_t i = 0; i < count; ++i) {
    Origin origin;
    origin.node = reader.u64();
    origin.epoch = reader.u32();
    origin.loop = reader.u16();
    const auto alias = table.alias(origin);
    // A repeated origin would shift every name after it.
    if (!alias || *alias != i) reader.fail();
    if (!reader.ok()) return {};
  }
  return table;
}

Result<std::uint16_t> encode_sent_record(std::string& out, Bytes key, const RecordView& record,
                                         const std::optional<Dot>& previous, OriginTable& origins) {
  auto alias = origins.alias(record.dot.origin);
  if (!alias || !previous) {
    if (alias) encode_fields(out, key, record, *alias, std::nullopt);
    return alias;
  }
  const auto of_previous = origins.alias(previous->origin);
  if (!of_previous) return of_previous;
  encode_fields(out, key, record, *alias, AliasedDot{*of_previous, previous->sequence});
  return alias;
}

Status encode_record(std::string& out, Bytes key, const Record& record, OriginTable& origins,
                     RecordEncoding encoding) {
  const auto alias = encode_sent_record(
      out, key, view_of(record), encoding.with_previous ? record.previous : std::nullopt, origins);
  if (!alias) return tl::unexpected(alias.error());
  return {};
}

Status check_record(Bytes encoded, const OriginTable& origins) {
  const auto body = body_of(encoded);
  if (!body) return tl::unexpected(body.error());
  std::optional<Dot> previous;
  const auto record = decode_body(
      *body, [&origins](std::uint16_t alias) { return origins.origin(alias); }, previous);
  if (!record) return tl::unexpected(record.error());
  return {};
}

Result<Record> decode_record(Bytes encoded, Bytes key, const OriginTable& origins) {
  std::optional<Dot> previous;
  const auto view = decode_fields(
      encoded, key, [&origins](std::uint16_t alias) { return origins.origin(alias); }, previous);
  if (!view) return tl::unexpected(view.error());
  Record record = copy_of(*view);
  record.previous = previous;
  return record;
}

void encode_record_view(std::string& out, Bytes key, const RecordView& record,
                        std::uint16_t alias) {
  encode_fields(out, key, record, alias, std::nullopt);
}

Result<RecordView> decode_record_view(Bytes encoded, Bytes key, OriginOf origin_of) {
  std::optional<Dot> previous;
  return decode_fields(encoded, key, origin_of, previous);
}

std::optional<RecordHead> peek_record(Bytes encoded) {
  if (encoded.size() < checksum_bytes) return std::nullopt;
  ByteReader reader(encoded.substr(0, encoded.size() - checksum_bytes));
  const std::uint8_t format = reader.u8();
  const std::uint8_t flags = reader.u8();
  if (format != record_format || (flags & ~flag::known) != 0) return std::nullopt;
  RecordHead head;
  head.deleted = (flags & flag::deleted) != 0;
  head.hlc = reader.u64();
  head.origin = reader.u16();
  head.sequence = reader.varint();
  if ((flags & flag::version_node) != 0) reader.u64();
  if ((flags & flag::deadline) != 0) head.deadline = reader.u64();
  if ((flags & flag::created) != 0) reader.varint();
  if ((flags & flag::previous) != 0) {
    reader.u16();
    reader.varint();
  }
  if ((flags & flag::attributes) != 0) reader.bytes(attributes_bytes_max);
  if (!reader.ok()) return std::nullopt;
  head.value_bytes = reader.rest().size();
  return head;
}

std::string without_attribute(Bytes attributes, std::uint64_t id) {
  std::string result;
  ByteWriter writer(result);
  ByteReader reader(attributes);
  while (reader.ok() && !reader.empty()) {
    const std::uint64_t other = reader.varint();
    const Bytes kept = reader.bytes(attributes_bytes_max);
    if (!reader.ok() || other == id) continue;
    writer.varint(other);
    writer.bytes(kept);
  }
  return result;
}

std::string with_attribute(Bytes attributes, std::uint64_t id, Bytes value) {
  std::string result = without_attribute(attributes, id);
  ByteWriter writer(result);
  writer.varint(id);
  writer.bytes(value);
  return result;
}

std::optional<std::string> find_attribute(Bytes attributes, std::uint64_t id) {
  ByteReader reader(attributes);
  while (reader.ok() && !reader.empty()) {
    const std::uint64_t other = reader.varint();
    const Bytes value = reader.bytes(attributes_bytes_max);
    if (reader.ok() && other == id) return std::string(value);
  }
  return std::nullopt;
}

std::uint64_t times_made_anew(Bytes attributes) {
  if (attributes.empty()) return 0;
  const auto encoded = find_attribute(attributes, attribute_made_anew);
  if (!encoded) return 0;
  ByteReader reader(*encoded);
  const std::uint64_t times = reader.varint();
  return reader.ok() ? times : 0;
}

std::string with_times_made_anew(Bytes attributes, std::uint64_t times) {
  std::string encoded;
  ByteWriter(encoded).varint(times);
  return with_attribute(attributes, attribute_made_anew, encoded);
}

}  // namespace dhrt
