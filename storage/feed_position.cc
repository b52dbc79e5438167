#include "storage/feed_position.h"

#include <array>
#include <limits>
#include <optional>

#include "storage/base/hash.h"

namespace dhrt {

namespace {

constexpr std::uint8_t version = 1;
constexpr std::size_t checksum_bytes = 8;
// RFC 4648, section 5: no byte of it has to be escaped in a line, a query or a header.
constexpr Bytes alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr unsigned bits_each = 6;

std::string base64url(Bytes bytes) {
  std::string text;
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (const char byte : bytes) {
    held = held << 8 | static_cast<unsigned char>(byte);
    for (bits += 8; bits >= bits_each; bits -= bits_each)
      text += alphabet[held >> (bits - bits_each) & 63U];
    held &= 255U;
  }
  if (bits > 0) text += alphabet[held << (bits_each - bits) & 63U];
  return text;
}

// Absent: some character is none of them, or the last one says more than there is.
std::optional<std::string> from_base64url(Bytes text) {
  std::string bytes;
  std::uint32_t held = 0;
  unsigned bits = 0;
  for (const char character : text) {
    const std::size_t value = alphabet.find(character);
    if (value == Bytes::npos) return std::nullopt;
    held = held << bits_each | static_cast<std::uint32_t>(value);
    bits += bits_each;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>(held >> bits & 255U);
    held &= (1U << bits) - 1;
  }
  if (held != 0 || bits >= bits_each) return std::nullopt;
  return bytes;
}

std::uint64_t checksum(Bytes payload, const FeedSubject& subject) {
  std::string all;
  ByteWriter writer(all);
  writer.bytes(subject.collection);
  writer.bytes(subject.prefix);
  writer.raw(payload);
  return hash64(all);
}

tl::unexpected<Error> bad_token(const std::string& why) {
  return fail(ErrorCode::invalid_argument,
              "the watch token " + why +
                  "; give one as this collection and prefix had it, 0 to begin with everything, or "
                  "none to begin with what changes from now on");
}

}  // namespace

std::string encode_feed_token(const FeedPosition& position, const FeedSubject& subject) {
  std::string payload;
  ByteWriter writer(payload);
  writer.u8(version);
  writer.varint(position.generation);
  writer.u64(position.flushed);
  writer.varint(position.told_until);
  encode(writer, position.seen);
  writer.u64(checksum(payload, subject));
  std::string token = base64url(payload);
  if (token.size() > feed_token_bytes_max) token.clear();
  return token;
}

Result<FeedPosition> decode_feed_token(Bytes token, const FeedSubject& subject) {
  if (token.size() > feed_token_bytes_max)
    return bad_token("is longer than " + std::to_string(feed_token_bytes_max) + " bytes");
  const auto bytes = from_base64url(token);
  if (!bytes || bytes->size() <= checksum_bytes) return bad_token("is none");
  ByteReader reader(*bytes);
  const std::uint8_t said = reader.u8();
  if (said != version)
    return bad_token("has the version " + std::to_string(said) + ", and this node knows " +
                     std::to_string(version));
  const Bytes payload = Bytes(*bytes).substr(0, bytes->size() - checksum_bytes);
  ByteReader end(Bytes(*bytes).substr(payload.size()));
  if (end.u64() != checksum(payload, subject))
    return bad_token("is damaged, or of another collection or prefix");
  FeedPosition position;
  ByteReader body(payload.substr(1));
  const std::uint64_t generation = body.varint();
  position.flushed = body.u64();
  position.told_until = body.varint();
  position.seen = decode_context(body);
  if (!body.ok() || !body.empty() || generation > std::numeric_limits<std::uint32_t>::max())
    return bad_token("is damaged");
  position.generation = static_cast<std::uint32_t>(generation);
  return position;
}

}  // namespace dhrt
