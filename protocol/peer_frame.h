// The frames of a peer link: a preface once, then frames back to back.
//
// preface := 00 'd' 'h' 'r' 't', version u8, link class u8
// frame   := magic u16 = D47A, protocol u8, type u8, flags u16, length u32, cluster tag u32,
//            sequence u64, payload (length bytes), mac (16 bytes)
// All numbers are little endian. The mac is xxh3-128 (low half, high half) over all before it;
// a keyed one takes its place, at the same size, once a cluster key is set.
//
// Errors (corrupt): another magic, a length over the limit, a wrong mac. A stream cannot be read
// on behind one; the link ends. Bounds: a reader holds one frame and what was fed at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "cluster/message.h"
#include "protocol/limits.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

inline constexpr std::uint16_t frame_magic = 0xd47a;
inline constexpr std::size_t frame_head_bytes = 22;
inline constexpr std::size_t frame_mac_bytes = 16;
// Bit 0: a receiver that does not know the type skips the frame.
inline constexpr std::uint16_t frame_optional = 1;

// A slice of records, which ends behind the record that fills it: 16 MiB, and one value more.
// 64 KiB are for keys, attributes and what stands around them.
constexpr std::size_t frame_bytes_max(std::size_t value_bytes_max) {
  return (std::size_t{16} << 20) + (std::size_t{64} << 10) + value_bytes_max;
}

// Of a caller that has not greeted yet: a greeting is a few hundred bytes, and a stranger must not
// make a node hold more.
inline constexpr std::size_t greeting_bytes_max = std::size_t{64} << 10;

struct PeerFrameHead {
  std::uint8_t protocol = protocol_version_max;
  std::uint8_t type = 0;  // A MessageType, known or not.
  std::uint16_t flags = 0;
  std::uint32_t cluster_tag = 0;
  std::uint64_t sequence = 0;

  bool operator==(const PeerFrameHead&) const = default;
};

struct Frame {
  PeerFrameHead head;
  Bytes payload;  // Valid until the reader is fed again or moved.
};

void append_preface(std::string& out, LinkClass link_class);
// `payload` is at most frame_bytes_max(value_bytes_ceiling), which check() holds us to.
void append_frame(std::string& out, const PeerFrameHead& head, Bytes payload);

// Bytes of a link behind its preface, in pieces of any size: feed, then next() until it is
// absent.
class FrameReader {
 public:
  explicit FrameReader(
      std::size_t payload_bytes_max = frame_bytes_max(ProtocolLimits{}.value_bytes_max))
      : payload_bytes_max_(payload_bytes_max) {}

  // Holds from the next frame on.
  void set_payload_bytes_max(std::size_t bytes) { payload_bytes_max_ = bytes; }
  void feed(Bytes bytes);
  // Absent: more bytes are needed. After an error every call gives it again.
  Result<std::optional<Frame>> next();
  // What has come behind the last frame that was given.
  std::size_t unfinished_bytes() const { return buffer_.size() - used_; }

 private:
  // Absent: the frame at the front is not complete.
  Result<std::optional<Frame>> read(Bytes input);

  std::size_t payload_bytes_max_;
  std::string buffer_;
  std::size_t used_ = 0;  // Of the buffer, by frames already given.
  std::optional<Error> error_;
};

}  // namespace dhrt
