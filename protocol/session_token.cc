#include "protocol/session_token.h"

#include <algorithm>
#include <limits>

#include "protocol/json.h"
#include "storage/base/codec.h"
#include "storage/base/hash.h"

namespace dhrt {

namespace {

constexpr std::uint8_t format = 1;
constexpr std::size_t head_bytes = 5;  // The format and the checksum.
constexpr std::size_t collection_bytes_min = 3;
constexpr std::size_t origin_bytes_min = 11;

std::uint32_t checksum(Bytes bytes) {
  return static_cast<std::uint32_t>(hash64(bytes));
}

Error malformed() {
  return {ErrorCode::invalid_argument,
          "X-Dhrt-Session is no token of a session; send the one that the last answer brought, or "
          "an empty one to begin"};
}

Error too_large() {
  return {ErrorCode::invalid_argument,
          "the session has seen writes of more than " + std::to_string(session_origins_max) +
              " origins, counted by collection, which is all that a token holds; begin a new one "
              "with an empty X-Dhrt-Session"};
}

template <typename Number>
Number limited(ByteReader& reader) {
  const std::uint64_t value = reader.varint();
  if (value > std::numeric_limits<Number>::max()) reader.fail();
  return static_cast<Number>(value);
}

}  // namespace

void SessionToken::saw(const CollectionRef& collection, const Dot& dot) {
  if (dot.sequence == 0) return;
  const auto later = [&](const auto& entry) {
    return entry.first.name == collection.name && entry.first.generation > collection.generation;
  };
  if (std::ranges::any_of(seen_, later)) return;
  std::erase_if(seen_, [&](const auto& entry) {
    return entry.first.name == collection.name && entry.first.generation < collection.generation;
  });
  std::uint64_t& tip = seen_[collection][dot.origin];
  tip = std::max(tip, dot.sequence);
}

std::string SessionToken::text() const {
  std::string seen;
  ByteWriter writer(seen);
  writer.varint(seen_.size());
  for (const auto& [collection, tips] : seen_) {
    writer.bytes(collection.name);
    writer.varint(collection.generation);
    writer.varint(tips.size());
    for (const auto& [origin, sequence] : tips) {
      writer.u64(origin.node);
      writer.varint(origin.epoch);
      writer.varint(origin.loop);
      writer.varint(sequence);
    }
  }
  std::string token;
  ByteWriter head(token);
  head.u8(format);
  head.u32(checksum(seen));
  return json::base64(token + seen);
}

Result<SessionToken> SessionToken::parse(Bytes text) {
  if (text.empty()) return SessionToken();
  const auto token = json::from_base64(text);
  if (!token || token->size() < head_bytes) return tl::unexpected(malformed());
  ByteReader reader(*token);
  const bool known = reader.u8() == format;
  if (!known || reader.u32() != checksum(reader.rest())) return tl::unexpected(malformed());
  SessionToken session;
  std::size_t origins_all = 0;
  for (std::size_t left = reader.count(collection_bytes_min); left > 0 && reader.ok(); --left) {
    CollectionRef collection{.name = std::string(reader.bytes(collection_name_bytes_max))};
    collection.generation = limited<std::uint32_t>(reader);
    const std::size_t origins = reader.count(origin_bytes_min);
    origins_all += origins;
    if (origins_all > session_origins_max) return tl::unexpected(too_large());
    for (std::size_t i = 0; i < origins && reader.ok(); ++i) {
      Dot dot{.origin = {.node = reader.u64()}};
      dot.origin.epoch = limited<std::uint32_t>(reader);
      dot.origin.loop = limited<std::uint16_t>(reader);
      dot.sequence = reader.varint();
      session.saw(collection, dot);
    }
  }
  if (!reader.ok() || !reader.empty()) return tl::unexpected(malformed());
  return session;
}

}  // namespace dhrt
