#include "protocol/peer_frame.h"

#include <utility>

#include "protocol/sniff.h"
#include "storage/base/check.h"
#include "storage/base/codec.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

// A buffer that one huge record has blown up is given back when it is empty.
constexpr std::size_t buffer_kept_bytes_max = std::size_t{1} << 20;

std::string mac_of(Bytes bytes) {
  const Hash128 hash = hash128(bytes);
  std::string mac;
  ByteWriter writer(mac);
  writer.u64(hash.low);
  writer.u64(hash.high);
  return mac;
}

void append_unsealed(std::string& out, const PeerFrameHead& head, Bytes payload) {
  check(payload.size() <= frame_bytes_max(value_bytes_ceiling), "a frame fits its length field");
  out.reserve(out.size() + frame_head_bytes + payload.size() + frame_mac_bytes);
  ByteWriter writer(out);
  writer.u16(frame_magic);
  writer.u8(head.protocol);
  writer.u8(head.type);
  writer.u16(head.flags);
  writer.u32(static_cast<std::uint32_t>(payload.size()));
  writer.u32(head.cluster_tag);
  writer.u64(head.sequence);
  writer.raw(payload);
}

}  // namespace

void append_preface(std::string& out, LinkClass link_class) {
  out += peer_magic;
  out += static_cast<char>(protocol_version_max);
  out += static_cast<char>(link_class);
}

void append_frame(std::string& out, const PeerFrameHead& head, Bytes payload) {
  const std::size_t start = out.size();
  append_unsealed(out, head, payload);
  out += mac_of(Bytes(out).substr(start));
}

void append_frame(std::string& out, const PeerFrameHead& head, Bytes payload, FrameSeal& seal) {
  const std::size_t start = out.size();
  append_unsealed(out, head, payload);
  const FrameSeal::Mac mac = seal.mac(head.sequence, Bytes(out).substr(start));
  out.append(mac.data(), mac.size());
}

void FrameReader::expect_sealed(std::unique_ptr<FrameSeal> seal) {
  seal_ = std::move(seal);
  sequence_next_ = 1;
}

void FrameReader::feed(Bytes bytes) {
  if (error_) return;
  buffer_.erase(0, used_);
  used_ = 0;
  if (buffer_.empty() && buffer_.capacity() > buffer_kept_bytes_max) buffer_ = std::string();
  buffer_ += bytes;
}

Result<std::optional<Frame>> FrameReader::next() {
  if (error_) return tl::unexpected(*error_);
  auto frame = read(Bytes(buffer_).substr(used_));
  if (!frame) {
    error_ = frame.error();
    buffer_ = std::string();
    used_ = 0;
  } else if (*frame) {
    used_ += frame_head_bytes + (*frame)->payload.size() + frame_mac_bytes;
  }
  return frame;
}

Result<std::optional<Frame>> FrameReader::read(Bytes input) {
  if (input.size() < frame_head_bytes) return std::optional<Frame>();
  ByteReader reader(input);
  if (const std::uint16_t magic = reader.u16(); magic != frame_magic)
    return fail(ErrorCode::corrupt, "peer frame begins with " + std::to_string(magic) + ", not " +
                                        std::to_string(frame_magic) + "; the link is out of step");
  Frame frame;
  frame.head.protocol = reader.u8();
  frame.head.type = reader.u8();
  frame.head.flags = reader.u16();
  const std::size_t length = reader.u32();
  frame.head.cluster_tag = reader.u32();
  frame.head.sequence = reader.u64();
  if (length > payload_bytes_max_)
    return fail(ErrorCode::corrupt, "peer frame of " + std::to_string(length) +
                                        " bytes is over the limit of " +
                                        std::to_string(payload_bytes_max_) + "; no node sends one");
  frame.payload = reader.raw(length);
  const Bytes mac = reader.raw(frame_mac_bytes);
  if (!reader.ok()) return std::optional<Frame>();
  if (Status status = check_mac(frame, input.substr(0, frame_head_bytes + length), mac); !status)
    return tl::unexpected(status.error());
  return std::optional<Frame>(frame);
}

Status FrameReader::check_mac(const Frame& frame, Bytes sealed, Bytes mac) {
  const std::uint64_t sequence = frame.head.sequence;
  const auto refused = [&](const std::string& why) {
    return fail(ErrorCode::corrupt,
                "peer frame of type " + std::to_string(frame.head.type) + " " + why);
  };
  if (!seal_) return mac == mac_of(sealed) ? Status{} : refused("does not match its checksum");
  if (!seal_->matches(sequence, sealed, mac))
    return refused(
        "was not sealed by the peer: it was changed on its way, or belongs to another link");
  if (sequence != sequence_next_)
    return refused("has number " + std::to_string(sequence) + ", not " +
                   std::to_string(sequence_next_) +
                   ": frames were repeated, lost or put in another order");
  ++sequence_next_;
  return {};
}

}  // namespace dhrt
