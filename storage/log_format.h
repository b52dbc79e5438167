// The write-ahead log as bytes. No files here.
//
// segment := header (64 bytes), frame*
// header  := magic u64, format u32, loop u16, zero u16, run u32, zero u32, segment u64,
//            salt u64, node u64, reserved, checksum u64
// frame   := magic u32, body bytes u32, run u32, loop u16, zero u16, segment u64, salt u64,
//            position u64, previous position u64, synced_upto u64, checksum u64, body
//            (checksum: xxh3_64 over the head, with xxh3_64 over the body in the checksum's place)
// body    := section*
// section := collection name bytes u8, name, generation u32, items u32, bytes u32, item*
// item    := kind u8: 1 record, 2 contexts, 3 erase, 4 forgotten
// record  := flags u8, hlc u64, varint sequence, [node u64, epoch u32, loop u16: a foreign origin],
//            [version node u64], [deadline u64], [created u64], [varint bytes, attributes],
//            varint bytes, key, varint bytes, value
// flags   := 1 deleted, 2 damaged, 4 joins seen, 8 foreign origin, 16 version node (not the dot's),
//            32 deadline, 64 created, 128 attributes
// contexts:= varint bytes, seen context, varint bytes, flushed context (storage/context.h)
// erase   := nothing: the collection of the section, up to its generation, is gone
// forgotten := varint bytes, context, hlc u64: what another node has forgotten (storage/store.h)
//
// A frame is all there or not at all. A record without a foreign origin is of the log's own
// (node, run, loop). Segments are used again: run, segment and salt in every frame tell it apart
// from what was there before. The salt is a random number that a segment gets anew each time, on
// the disk before its first frame: values hold what clients like, and with it none can hold what
// passes for a frame. Positions grow, not always by one: each frame names the one before it, so
// that a frame which is missing is noticed.
//
// Units: bytes; little endian. Errors: corrupt. Every decoder is total.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/function_ref.h"
#include "storage/base/result.h"
#include "storage/context.h"
#include "storage/record.h"
#include "storage/store.h"

namespace dhrt {

inline constexpr std::uint32_t log_format_version = 1;
inline constexpr std::size_t log_header_bytes = 64;
inline constexpr std::size_t log_frame_head_bytes = 64;
// A turn may not bring more: one frame with the largest value still fits.
inline constexpr std::size_t log_frame_bytes_max = std::size_t{1} << 30;

// Which log: one per event loop and start.
struct LogId {
  std::uint32_t run = 0;  // Counts starts: the epoch of the node.
  std::uint16_t loop = 0;

  auto operator<=>(const LogId&) const = default;
};

struct SegmentHeader {
  LogId log;
  NodeId node = 0;
  std::uint64_t segment = 0;
  std::uint64_t salt = 0;
};
std::string encode_segment_header(const SegmentHeader& header);
// precondition: it is of a format that this program does not know. corrupt: it is no header.
Result<SegmentHeader> decode_segment_header(Bytes bytes);

struct FrameHead {
  LogId log;
  std::uint64_t segment = 0;
  std::uint64_t salt = 0;
  Position position = 0;
  Position previous = 0;  // Of the frame before, in this segment or an earlier one; 0 = none.
  Position synced_upto = 0;
  std::uint32_t body_bytes = 0;
  std::uint64_t checksum = 0;

  std::size_t frame_bytes() const { return log_frame_head_bytes + body_bytes; }
  bool operator==(const FrameHead&) const = default;
};
// Absent: no frame starts here.
std::optional<FrameHead> decode_frame_head(Bytes bytes);
// `frame`: head and body, exactly.
bool frame_is_intact(Bytes frame);
// Where the first head of a frame of this log and segment is, at or behind `from`; of any salt if
// it is not known. Whether the frame is intact remains to be seen. Absent: nowhere.
std::optional<std::size_t> find_frame_head(Bytes bytes, std::size_t from, LogId log,
                                           std::uint64_t segment,
                                           std::optional<std::uint64_t> salt);

// At most so many bytes are added to a frame by one record; for LogWriter::reserve().
inline constexpr std::size_t log_item_overhead_max = 192;
inline std::size_t log_record_bytes_max(Bytes key, const RecordView& record) {
  return log_item_overhead_max + key.size() + record.attributes.size() + record.value.size();
}

std::size_t log_contexts_bytes_max(const Context& seen, const Context& flushed);

// Collects what a turn writes, section by section, into one frame. Reused from turn to turn: its
// memory is kept, unless one turn was very large.
class FrameBuilder {
 public:
  explicit FrameBuilder(const Origin& own) : own_(own) { clear(); }

  // `joins_seen`: the dot joins the seen context when the record is replayed.
  // Key and attributes are within their bounds (storage/record.h), the dot is one.
  void add_record(const CollectionRef& collection, Bytes key, const RecordView& record,
                  bool joins_seen);
  void add_contexts(const CollectionRef& collection, const Context& seen, const Context& flushed);
  void add_erase(const CollectionRef& collection);
  void add_forgotten(const CollectionRef& collection, const Context& dots, std::uint64_t hlc);
  bool empty() const { return size_ == log_frame_head_bytes; }
  std::size_t bytes() const { return size_; }
  // Fills in the head: `head` but for body bytes and checksum, which are reckoned here. The frame
  // is valid until the next change.
  Bytes finish(const FrameHead& head);
  void clear();

 private:
  // Room for `bytes` more, in the section of the collection. The item begins where it points.
  char* begin_item(const CollectionRef& collection, std::size_t bytes);
  void end_item(const char* end);
  void begin_section(const CollectionRef& collection);
  void end_section();
  void grow(std::size_t bytes);

  Origin own_;
  std::string buffer_;  // Its first size_ bytes are used.
  std::size_t size_ = 0;
  std::size_t section_ = 0;  // Where the numbers of the current section are; 0 = none.
  std::uint32_t items_ = 0;  // In the current section.
  CollectionRef current_;
};

// What a frame says, item by item; views into the frame.
class LogVisitor {
 public:
  LogVisitor() = default;
  LogVisitor(const LogVisitor&) = delete;
  LogVisitor& operator=(const LogVisitor&) = delete;
  virtual ~LogVisitor() = default;
  // All arguments are valid within the call. `record.unseen` is the opposite of `joins_seen`.
  virtual void record(const CollectionRef& collection, Bytes key, const RecordView& record,
                      bool joins_seen) = 0;
  virtual void contexts(const CollectionRef& collection, const Context& seen,
                        const Context& flushed) = 0;
  virtual void erased(const CollectionRef& collection) = 0;
  virtual void forgotten(const CollectionRef& collection, const Context& dots,
                         std::uint64_t hlc) = 0;
};
// `own`: the origin of the log. Corrupt if the body does not decode; some items may have been
// visited then.
Status visit_frame(Bytes body, const Origin& own, LogVisitor& visitor);

}  // namespace dhrt
