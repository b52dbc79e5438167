// The frames of a peer link: a preface once, then frames back to back.
//
// preface := 00 'd' 'h' 'r' 't', version u8, link class u8
// frame   := magic u16 = D47A, protocol u8, type u8, flags u16, length u32, cluster tag u32,
//            sequence u64, payload (length bytes), mac (16 bytes)
// All numbers are little endian. The mac is xxh3-128 (low half, high half) over all before it.
// Where both ends have shown that they have the cluster key (peer_handshake.h) a FrameSeal makes it
// instead, and sequence numbers go up by one from 1.
//
// Errors (corrupt): another magic, a length over the limit, a wrong mac; behind a seal also a frame
// that is not the next one. A stream cannot be read on behind one; the link ends.
// Bounds: a reader holds one frame and what was fed at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
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

// Macs by a secret that both ends of a link have, for one direction of it.
class FrameSeal {
 public:
  using Mac = std::array<char, frame_mac_bytes>;
  FrameSeal() = default;
  FrameSeal(const FrameSeal&) = delete;
  FrameSeal& operator=(const FrameSeal&) = delete;
  virtual ~FrameSeal() = default;
  // `frame` is all before the mac. A sender gives each number to one frame.
  virtual Mac mac(std::uint64_t sequence, Bytes frame) = 0;
  // In a time that does not depend on the bytes of `mac`, which are frame_mac_bytes.
  virtual bool matches(std::uint64_t sequence, Bytes frame, Bytes mac) = 0;
};

void append_preface(std::string& out, LinkClass link_class);
// `payload` is at most frame_bytes_max(value_bytes_ceiling), which check() holds us to.
void append_frame(std::string& out, const PeerFrameHead& head, Bytes payload);
void append_frame(std::string& out, const PeerFrameHead& head, Bytes payload, FrameSeal& seal);

// Bytes of a link behind its preface, in pieces of any size: feed, then next() until it is
// absent.
class FrameReader {
 public:
  explicit FrameReader(
      std::size_t payload_bytes_max = frame_bytes_max(ProtocolLimits{}.value_bytes_max))
      : payload_bytes_max_(payload_bytes_max) {}

  // Holds from the next frame on.
  void set_payload_bytes_max(std::size_t bytes) { payload_bytes_max_ = bytes; }
  // The same. Numbers are counted from here.
  void expect_sealed(std::unique_ptr<FrameSeal> seal);
  void feed(Bytes bytes);
  // Absent: more bytes are needed. After an error every call gives it again.
  Result<std::optional<Frame>> next();
  // What has come behind the last frame that was given.
  std::size_t unfinished_bytes() const { return buffer_.size() - used_; }

 private:
  // Absent: the frame at the front is not complete.
  Result<std::optional<Frame>> read(Bytes input);
  Status check_mac(const Frame& frame, Bytes sealed, Bytes mac);

  std::size_t payload_bytes_max_;
  std::unique_ptr<FrameSeal> seal_;  // Null: whoever writes frames may make macs.
  std::uint64_t sequence_next_ = 1;  // Behind a seal.
  std::string buffer_;
  std::size_t used_ = 0;  // Of the buffer, by frames already given.
  std::optional<Error> error_;
};

}  // namespace dhrt
