#include "storage/log_format.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "storage/base/check.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

constexpr std::uint64_t segment_magic = 0x31474f4c54524844;  // "DHRTLOG1"
constexpr std::uint32_t frame_magic = 0x6d724664;            // "dFrm"
constexpr std::size_t checksum_bytes = 8;
constexpr std::size_t header_checksum_at = log_header_bytes - checksum_bytes;
constexpr std::size_t head_checksum_at = log_frame_head_bytes - checksum_bytes;

constexpr std::size_t buffer_bytes_initial = std::size_t{64} << 10;
constexpr std::size_t buffer_bytes_kept = std::size_t{8} << 20;
// Generation, items and bytes of a section, which stand behind its name.
constexpr std::size_t section_numbers_bytes = 4 + 4 + 4;
constexpr std::size_t varint_bytes_max = 10;

namespace kind {
constexpr std::uint8_t record = 1;
constexpr std::uint8_t contexts = 2;
constexpr std::uint8_t erase = 3;
constexpr std::uint8_t forgotten = 4;
}  // namespace kind

namespace flag {
constexpr unsigned deleted = 1U << 0;
constexpr unsigned damaged = 1U << 1;
constexpr unsigned joins_seen = 1U << 2;
constexpr unsigned foreign = 1U << 3;
constexpr unsigned version_node = 1U << 4;
constexpr unsigned deadline = 1U << 5;
constexpr unsigned created = 1U << 6;
constexpr unsigned attributes = 1U << 7;
}  // namespace flag

static_assert(std::endian::native == std::endian::little, "numbers are copied as they are");

// Writes into memory that is known to be large enough: no check and no growth per field.
class Pen {
 public:
  explicit Pen(char* at) : at_(at) {}

  template <typename Number>
  void fixed(Number number) {
    std::memcpy(at_, &number, sizeof number);
    at_ += sizeof number;
  }
  void varint(std::uint64_t number) {
    for (; number >= 0x80; number >>= 7)
      *at_++ = static_cast<char>((number & 0x7f) | 0x80);
    *at_++ = static_cast<char>(number);
  }
  void raw(Bytes bytes) {
    if (!bytes.empty()) std::memcpy(at_, bytes.data(), bytes.size());
    at_ += bytes.size();
  }
  void bytes(Bytes bytes) {
    varint(bytes.size());
    raw(bytes);
  }
  char* at() const { return at_; }

 private:
  char* at_;
};

unsigned flags_of(const RecordView& record, const Origin& own, bool joins_seen) {
  unsigned flags = 0;
  if (record.deleted) flags |= flag::deleted;
  if (record.damaged) flags |= flag::damaged;
  if (joins_seen) flags |= flag::joins_seen;
  if (record.dot.origin != own) flags |= flag::foreign;
  if (record.version.node != record.dot.origin.node) flags |= flag::version_node;
  if (record.deadline != 0) flags |= flag::deadline;
  if (record.created != 0) flags |= flag::created;
  if (!record.attributes.empty()) flags |= flag::attributes;
  return flags;
}

void write_head(Pen& pen, const FrameHead& head) {
  pen.fixed(frame_magic);
  pen.fixed(head.body_bytes);
  pen.fixed(head.log.run);
  pen.fixed(head.log.loop);
  pen.fixed(std::uint16_t{0});
  pen.fixed(head.segment);
  pen.fixed(head.salt);
  pen.fixed(head.position);
  pen.fixed(head.previous);
  pen.fixed(head.synced_upto);
}

// `head`: without the checksum.
std::uint64_t checksum_of(Bytes head, Bytes body) {
  char bytes[log_frame_head_bytes];
  std::memcpy(bytes, head.data(), head_checksum_at);
  const std::uint64_t of_body = hash64(body);
  std::memcpy(bytes + head_checksum_at, &of_body, sizeof of_body);
  return hash64(Bytes(bytes, sizeof bytes));
}

tl::unexpected<Error> corrupt(const std::string& what) {
  return fail(ErrorCode::corrupt, "log frame does not decode: " + what);
}

}  // namespace

std::string encode_segment_header(const SegmentHeader& header) {
  std::string bytes(log_header_bytes, '\0');
  Pen pen(bytes.data());
  pen.fixed(segment_magic);
  pen.fixed(log_format_version);
  pen.fixed(header.log.loop);
  pen.fixed(std::uint16_t{0});
  pen.fixed(header.log.run);
  pen.fixed(std::uint32_t{0});
  pen.fixed(header.segment);
  pen.fixed(header.salt);
  pen.fixed(header.node);
  Pen(bytes.data() + header_checksum_at).fixed(hash64(Bytes(bytes).substr(0, header_checksum_at)));
  return bytes;
}

Result<SegmentHeader> decode_segment_header(Bytes bytes) {
  if (bytes.size() < log_header_bytes)
    return fail(ErrorCode::corrupt,
                "log segment header is cut at byte " + std::to_string(bytes.size()) + " of 64");
  ByteReader tail(bytes.substr(header_checksum_at, checksum_bytes));
  ByteReader reader(bytes.substr(0, header_checksum_at));
  if (reader.u64() != segment_magic || tail.u64() != hash64(bytes.substr(0, header_checksum_at)))
    return fail(ErrorCode::corrupt, "log segment header does not match its checksum");
  if (const std::uint32_t format = reader.u32(); format != log_format_version) {
    return fail(ErrorCode::precondition, "log segment is of format " + std::to_string(format) +
                                             ", this program knows format " +
                                             std::to_string(log_format_version) +
                                             "; start the program that wrote it");
  }
  SegmentHeader header;
  header.log.loop = reader.u16();
  reader.u16();
  header.log.run = reader.u32();
  reader.u32();
  header.segment = reader.u64();
  header.salt = reader.u64();
  header.node = reader.u64();
  return header;
}

std::optional<FrameHead> decode_frame_head(Bytes bytes) {
  ByteReader reader(bytes);
  FrameHead head;
  if (reader.u32() != frame_magic) return std::nullopt;
  head.body_bytes = reader.u32();
  head.log.run = reader.u32();
  head.log.loop = reader.u16();
  const std::uint16_t zero = reader.u16();
  head.segment = reader.u64();
  head.salt = reader.u64();
  head.position = reader.u64();
  head.previous = reader.u64();
  head.synced_upto = reader.u64();
  head.checksum = reader.u64();
  if (!reader.ok() || zero != 0) return std::nullopt;
  return head;
}

bool frame_is_intact(Bytes frame) {
  const auto head = decode_frame_head(frame);
  return head && head->frame_bytes() == frame.size() &&
         head->checksum == checksum_of(frame, frame.substr(log_frame_head_bytes));
}

std::optional<std::size_t> find_frame_head(Bytes bytes, std::size_t from, LogId log,
                                           std::uint64_t segment,
                                           std::optional<std::uint64_t> salt) {
  const Bytes magic(reinterpret_cast<const char*>(&frame_magic), sizeof frame_magic);
  for (std::size_t at = bytes.find(magic, from); at != Bytes::npos;
       at = bytes.find(magic, at + 1)) {
    const auto head = decode_frame_head(bytes.substr(at));
    if (head && head->log == log && head->segment == segment && (!salt || head->salt == *salt))
      return at;
  }
  return std::nullopt;
}

// --- Writing.

void FrameBuilder::clear() {
  if (buffer_.size() > buffer_bytes_kept) buffer_ = {};
  if (buffer_.empty()) buffer_.resize(buffer_bytes_initial);
  size_ = log_frame_head_bytes;
  section_ = 0;
}

void FrameBuilder::grow(std::size_t bytes) {
  buffer_.resize(std::max(buffer_.size() * 2, size_ + bytes));
}

void FrameBuilder::end_section() {
  if (section_ == 0) return;
  const std::size_t body = section_ + section_numbers_bytes;
  Pen pen(buffer_.data() + section_);
  pen.fixed(current_.generation);
  pen.fixed(items_);
  pen.fixed(static_cast<std::uint32_t>(size_ - body));
}

void FrameBuilder::begin_section(const CollectionRef& collection) {
  check(!collection.name.empty() && collection.name.size() <= collection_name_bytes_max,
        "a collection in a log has a name within its bounds");
  end_section();
  current_ = collection;
  items_ = 0;
  Pen pen(buffer_.data() + size_);
  pen.fixed(static_cast<std::uint8_t>(collection.name.size()));
  pen.raw(collection.name);
  section_ = static_cast<std::size_t>(pen.at() - buffer_.data());
  size_ = section_ + section_numbers_bytes;
}

char* FrameBuilder::begin_item(const CollectionRef& collection, std::size_t bytes) {
  // Room for a section, too.
  const std::size_t wanted = bytes + 1 + collection.name.size() + section_numbers_bytes;
  if (buffer_.size() - size_ < wanted) [[unlikely]]
    grow(wanted);
  if (section_ == 0 || collection.generation != current_.generation ||
      collection.name != current_.name)
    begin_section(collection);
  ++items_;
  return buffer_.data() + size_;
}

void FrameBuilder::end_item(const char* end) {
  size_ = static_cast<std::size_t>(end - buffer_.data());
}

void FrameBuilder::add_record(const CollectionRef& collection, Bytes key, const RecordView& record,
                              bool joins_seen) {
  check(key.size() <= key_bytes_max && record.attributes.size() <= attributes_bytes_max &&
            record.value.size() <= value_bytes_ceiling && record.dot.sequence != 0,
        "a record in a log is within its bounds");
  const unsigned flags = flags_of(record, own_, joins_seen);
  Pen pen(begin_item(collection, log_record_bytes_max(key, record)));
  pen.fixed(kind::record);
  pen.fixed(static_cast<std::uint8_t>(flags));
  pen.fixed(record.version.hlc);
  pen.varint(record.dot.sequence);
  if ((flags & flag::foreign) != 0) {
    pen.fixed(record.dot.origin.node);
    pen.fixed(record.dot.origin.epoch);
    pen.fixed(record.dot.origin.loop);
  }
  if ((flags & flag::version_node) != 0) pen.fixed(record.version.node);
  if ((flags & flag::deadline) != 0) pen.fixed(record.deadline);
  if ((flags & flag::created) != 0) pen.fixed(record.created);
  if ((flags & flag::attributes) != 0) pen.bytes(record.attributes);
  pen.bytes(key);
  pen.bytes(record.value);
  end_item(pen.at());
}

void FrameBuilder::add_contexts(const CollectionRef& collection, const Context& seen,
                                const Context& flushed) {
  std::string of_seen;
  ByteWriter seen_writer(of_seen);
  encode(seen_writer, seen);
  std::string of_flushed;
  ByteWriter flushed_writer(of_flushed);
  encode(flushed_writer, flushed);
  Pen pen(begin_item(collection, 1 + 2 * varint_bytes_max + of_seen.size() + of_flushed.size()));
  pen.fixed(kind::contexts);
  pen.bytes(of_seen);
  pen.bytes(of_flushed);
  end_item(pen.at());
}

std::size_t log_contexts_bytes_max(const Context& seen, const Context& flushed) {
  // Of an origin its names and a count, of an interval two numbers.
  constexpr std::size_t origin_bytes = 8 + 4 + 2 + varint_bytes_max;
  std::size_t bytes = log_item_overhead_max;
  for (const Context* context : {&seen, &flushed}) {
    for (const auto& [origin, set] : context->origins())
      bytes += origin_bytes + 2 * varint_bytes_max * set.intervals().size();
  }
  return bytes;
}

void FrameBuilder::add_erase(const CollectionRef& collection) {
  Pen pen(begin_item(collection, 1));
  pen.fixed(kind::erase);
  end_item(pen.at());
}

void FrameBuilder::add_forgotten(const CollectionRef& collection, const Context& dots,
                                 std::uint64_t hlc) {
  std::string encoded;
  ByteWriter writer(encoded);
  encode(writer, dots);
  Pen pen(begin_item(collection, 1 + varint_bytes_max + encoded.size() + sizeof hlc));
  pen.fixed(kind::forgotten);
  pen.bytes(encoded);
  pen.fixed(hlc);
  end_item(pen.at());
}

Bytes FrameBuilder::finish(const FrameHead& head) {
  check(size_ <= log_frame_bytes_max, "a log frame is within its bounds");
  end_section();
  FrameHead full = head;
  full.body_bytes = static_cast<std::uint32_t>(size_ - log_frame_head_bytes);
  Pen pen(buffer_.data());
  write_head(pen, full);
  const Bytes frame = Bytes(buffer_).substr(0, size_);
  pen.fixed(checksum_of(frame, frame.substr(log_frame_head_bytes)));
  return frame;
}

// --- Reading.

namespace {

bool read_record(ByteReader& reader, const CollectionRef& collection, const Origin& own,
                 LogVisitor& visitor) {
  const unsigned flags = reader.u8();
  RecordView record;
  record.deleted = (flags & flag::deleted) != 0;
  record.damaged = (flags & flag::damaged) != 0;
  record.unseen = (flags & flag::joins_seen) == 0;
  record.version.hlc = reader.u64();
  record.dot.sequence = reader.varint();
  record.dot.origin = own;
  if ((flags & flag::foreign) != 0) {
    record.dot.origin.node = reader.u64();
    record.dot.origin.epoch = reader.u32();
    record.dot.origin.loop = reader.u16();
  }
  record.version.node = (flags & flag::version_node) != 0 ? reader.u64() : record.dot.origin.node;
  if ((flags & flag::deadline) != 0) record.deadline = reader.u64();
  if ((flags & flag::created) != 0) record.created = reader.u64();
  if ((flags & flag::attributes) != 0) record.attributes = reader.bytes(attributes_bytes_max);
  const Bytes key = reader.bytes(key_bytes_max);
  record.value = reader.bytes(value_bytes_ceiling);
  if (!reader.ok() || record.dot.sequence == 0) return false;
  visitor.record(collection, key, record, !record.unseen);
  return true;
}

// A context that takes all of its bytes.
std::optional<Context> read_context(ByteReader& reader) {
  ByteReader of_context(reader.bytes(log_frame_bytes_max));
  Context context = decode_context(of_context);
  if (!reader.ok() || !of_context.ok() || !of_context.empty()) return std::nullopt;
  return context;
}

bool read_contexts(ByteReader& reader, const CollectionRef& collection, LogVisitor& visitor) {
  const auto seen = read_context(reader);
  const auto flushed = read_context(reader);
  if (!seen || !flushed) return false;
  visitor.contexts(collection, *seen, *flushed);
  return true;
}

bool read_forgotten(ByteReader& reader, const CollectionRef& collection, LogVisitor& visitor) {
  const auto dots = read_context(reader);
  const std::uint64_t hlc = reader.u64();
  if (!dots || !reader.ok()) return false;
  visitor.forgotten(collection, *dots, hlc);
  return true;
}

bool read_item(ByteReader& reader, const CollectionRef& collection, const Origin& own,
               LogVisitor& visitor) {
  switch (reader.u8()) {
    case kind::record:
      return read_record(reader, collection, own, visitor);
    case kind::contexts:
      return read_contexts(reader, collection, visitor);
    case kind::erase:
      if (reader.ok()) visitor.erased(collection);
      return reader.ok();
    case kind::forgotten:
      return read_forgotten(reader, collection, visitor);
    default:
      return false;
  }
}

}  // namespace

Status visit_frame(Bytes body, const Origin& own, LogVisitor& visitor) {
  ByteReader reader(body);
  CollectionRef collection;
  while (!reader.empty()) {
    collection.name = reader.raw(reader.u8());
    collection.generation = reader.u32();
    const std::uint32_t items = reader.u32();
    ByteReader section(reader.raw(reader.u32()));
    if (!reader.ok()) return corrupt("a section is cut");
    if (collection.name.empty() || collection.name.size() > collection_name_bytes_max)
      return corrupt("a collection has a name of " + std::to_string(collection.name.size()) +
                     " bytes");
    for (std::uint32_t i = 0; i < items; ++i) {
      if (!read_item(section, collection, own, visitor))
        return corrupt("item " + std::to_string(i) + " of collection " + collection.name);
    }
    if (!section.empty()) return corrupt("collection " + collection.name + " has bytes left over");
  }
  return {};
}

}  // namespace dhrt
