#include "storage/lmdb_format.h"

#include <utility>

namespace dhrt {

namespace {

void append_big_endian(std::string& out, std::uint64_t value, unsigned width) {
  for (unsigned i = width; i > 0; --i)
    out.push_back(static_cast<char>((value >> (8 * (i - 1))) & 0xff));
}

std::uint64_t read_big_endian(Bytes bytes) {
  std::uint64_t value = 0;
  for (const char byte : bytes)
    value = (value << 8) | static_cast<unsigned char>(byte);
  return value;
}

constexpr std::size_t dot_bytes = 2 + 8;
constexpr std::size_t log_key_bytes = 2 + dot_bytes;
constexpr std::size_t expiry_key_bytes = 8 + dot_bytes;

void append_dot(std::string& out, AliasDot dot) {
  append_big_endian(out, dot.origin, 2);
  append_big_endian(out, dot.sequence, 8);
}

// The value, if the reader took all of it and found nothing wrong.
template <typename T>
Result<T> finished(const ByteReader& reader, T value, Bytes entry) {
  if (reader.ok() && reader.empty()) return value;
  return fail(ErrorCode::corrupt,
              "the entry '" + std::string(entry) + "' does not decode; " + damaged_file_cure);
}

}  // namespace

std::string encode_format() {
  std::string out;
  ByteWriter(out).u32(lmdb_format_version);
  return out;
}

Status check_format(Bytes encoded, const std::string& path) {
  ByteReader reader(encoded);
  const std::uint32_t version = reader.u32();
  if (!reader.ok())
    return fail(ErrorCode::corrupt,
                path + " does not say its format; move it out of the data directory");
  if (version == lmdb_format_version) return {};
  if (version < lmdb_format_version) {
    return fail(ErrorCode::precondition,
                path + " has format " + std::to_string(version) +
                    ", of an earlier development version; export it with that "
                    "version, move it away and import it again");
  }
  return fail(ErrorCode::precondition,
              path + " has format " + std::to_string(version) +
                  ", this program knows formats up to " + std::to_string(lmdb_format_version) +
                  "; start the version of dhrt that wrote it, or a later one");
}

std::string log_key(AliasDot dot) {
  std::string key(2, '\0');
  append_dot(key, dot);
  return key;
}

std::optional<AliasDot> parse_log_key(Bytes key) {
  if (key.size() != log_key_bytes || read_big_endian(key.substr(0, 2)) != 0) return std::nullopt;
  return AliasDot{static_cast<std::uint16_t>(read_big_endian(key.substr(2, 2))),
                  read_big_endian(key.substr(4))};
}

std::string encode_log_block(const LogBlock& block) {
  std::string out(1, '\0');
  ByteWriter writer(out);
  unsigned mask = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    if (block[i].empty()) continue;
    mask |= 1U << i;
    writer.bytes(block[i]);
  }
  if (mask == 0) return {};
  out[0] = static_cast<char>(mask);
  return out;
}

std::optional<LogBlock> decode_log_block(Bytes encoded) {
  ByteReader reader(encoded);
  LogBlock block;
  const unsigned mask = reader.u8();
  for (std::size_t i = 0; i < block.size(); ++i) {
    if ((mask >> i & 1U) == 0) continue;
    block[i] = reader.bytes(key_bytes_max);
    if (block[i].empty()) reader.fail();
  }
  if (!reader.ok() || !reader.empty() || mask == 0) return std::nullopt;
  return block;
}

std::string recent_key(std::uint64_t number) {
  std::string key;
  append_big_endian(key, number, 8);
  return key;
}

std::optional<std::uint64_t> parse_recent_key(Bytes key) {
  if (key.size() != 8) return std::nullopt;
  return read_big_endian(key);
}

void append_recent(std::string& out, AliasDot dot, Bytes key, bool grave) {
  ByteWriter writer(out);
  writer.u16(dot.origin);
  writer.varint(dot.sequence);
  writer.varint(key.size() + (grave ? recent_grave : 0));
  writer.raw(key);
}

std::string expiry_key(WallMilliseconds deadline, AliasDot dot) {
  std::string key;
  append_big_endian(key, deadline, 8);
  append_dot(key, dot);
  return key;
}

std::optional<WallMilliseconds> parse_expiry_key(Bytes key) {
  if (key.size() != expiry_key_bytes) return std::nullopt;
  return read_big_endian(key.substr(0, 8));
}

std::optional<AliasDot> parse_grave_key(Bytes key) {
  if (parse_expiry_key(key) != grave_deadline) return std::nullopt;
  return AliasDot{static_cast<std::uint16_t>(read_big_endian(key.substr(8, 2))),
                  read_big_endian(key.substr(10))};
}

std::string encode_txn(std::uint64_t number) {
  std::string out;
  ByteWriter(out).u64(number);
  return out;
}

std::string encode_ref(const CollectionRef& ref) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(ref.generation);
  writer.raw(ref.name);
  return out;
}

Result<CollectionRef> decode_ref(Bytes encoded) {
  ByteReader reader(encoded);
  CollectionRef ref;
  ref.generation = reader.u32();
  ref.name = reader.raw(reader.rest().size());
  return finished(reader, std::move(ref), meta_key::ref);
}

std::string encode_context(const Context& context) {
  std::string out;
  ByteWriter writer(out);
  encode(writer, context);
  return out;
}

std::string encode_number(std::uint64_t number) {
  std::string encoded;
  ByteWriter(encoded).u64(number);
  return encoded;
}

Result<std::uint64_t> decode_number(Bytes encoded) {
  ByteReader reader(encoded);
  const std::uint64_t number = reader.u64();
  if (!reader.ok()) return fail(ErrorCode::corrupt, "a number in the table 'meta' is cut");
  return number;
}

Result<Context> decode_context_entry(Bytes encoded) {
  ByteReader reader(encoded);
  Context context = decode_context(reader);
  return finished(reader, std::move(context), "ctx or flushed");
}

std::string encode_origins(const OriginTable& origins) {
  std::string out;
  ByteWriter writer(out);
  encode(writer, origins);
  return out;
}

Result<OriginTable> decode_origins(Bytes encoded) {
  ByteReader reader(encoded);
  OriginTable origins = decode_origin_table(reader);
  return finished(reader, std::move(origins), meta_key::origins);
}

std::string encode_counts(const FileCounts& counts) {
  std::string out;
  ByteWriter writer(out);
  writer.u64(counts.highest_hlc);
  encode(writer, counts.swept);
  writer.varint(counts.live);
  writer.varint(counts.tombstones);
  writer.varint(counts.bytes);
  return out;
}

Result<FileCounts> decode_counts(Bytes encoded) {
  ByteReader reader(encoded);
  FileCounts counts;
  counts.highest_hlc = reader.u64();
  counts.swept = decode_context(reader);
  counts.live = reader.varint();
  counts.tombstones = reader.varint();
  counts.bytes = reader.varint();
  return finished(reader, std::move(counts), meta_key::counts);
}

std::string encode_cut(const LogCut& cut) {
  std::string out;
  ByteWriter writer(out);
  writer.u32(cut.run);
  writer.varint(cut.positions.size());
  for (const Position position : cut.positions)
    writer.varint(position);
  return out;
}

Result<LogCut> decode_cut(Bytes encoded) {
  ByteReader reader(encoded);
  LogCut cut;
  cut.run = reader.u32();
  const std::size_t loops = reader.count(1);
  for (std::size_t i = 0; i < loops; ++i)
    cut.positions.push_back(reader.varint());
  return finished(reader, std::move(cut), meta_key::cut);
}

}  // namespace dhrt
