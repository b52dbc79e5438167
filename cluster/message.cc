#include "cluster/message.h"

#include <array>

#include "storage/base/codec.h"
#include "storage/base/hash.h"

namespace dhrt {

MessageType type_of(const Message& message) {
  // In the order of the variant.
  constexpr std::array types{MessageType::hello,
                             MessageType::hello_ack,
                             MessageType::ping,
                             MessageType::ack,
                             MessageType::ping_request,
                             MessageType::nack,
                             MessageType::members,
                             MessageType::join,
                             MessageType::welcome,
                             MessageType::leave,
                             MessageType::resynced,
                             MessageType::write,
                             MessageType::write_ack,
                             MessageType::read,
                             MessageType::read_reply,
                             MessageType::pull,
                             MessageType::pull_reply,
                             MessageType::summary,
                             MessageType::summary_reply,
                             MessageType::publish,
                             MessageType::accuse,
                             MessageType::audit,
                             MessageType::audit_reply,
                             MessageType::fetch,
                             MessageType::fetch_reply,
                             MessageType::mend,
                             MessageType::mended,
                             MessageType::compared,
                             MessageType::report,
                             MessageType::durable_read,
                             MessageType::durable_read_reply,
                             MessageType::store_record,
                             MessageType::store_reply,
                             MessageType::layout,
                             MessageType::vote_request,
                             MessageType::vote_reply};
  static_assert(types.size() == std::variant_size_v<Message>);
  return types[message.index()];
}

bool is_optional(MessageType type) {
  return (type >= MessageType::accuse && type <= MessageType::store_reply) ||
         (type >= MessageType::report && type <= MessageType::vote_reply);
}

// A sum, so that order does not matter, and no table of what was added is needed.
void Fingerprint::add(const KeyedRecord& entry) {
  std::string bytes;
  ByteWriter writer(bytes);
  writer.bytes(entry.key);
  const Dot& dot = entry.record.dot;
  writer.u64(dot.origin.node);
  writer.u32(dot.origin.epoch);
  writer.u16(dot.origin.loop);
  writer.u64(dot.sequence);
  const Hash128 hash = hash128(bytes);
  ++count;
  sum_low += hash.low;
  sum_high += hash.high + (sum_low < hash.low ? 1 : 0);
}

std::string_view to_text(MessageType type) {
  constexpr std::array<std::string_view, 41> names{"",
                                                   "hello",
                                                   "hello_ack",
                                                   "ping",
                                                   "ack",
                                                   "ping_request",
                                                   "nack",
                                                   "members",
                                                   "join",
                                                   "welcome",
                                                   "leave",
                                                   "resynced",
                                                   "write",
                                                   "write_ack",
                                                   "read",
                                                   "read_reply",
                                                   "pull",
                                                   "pull_reply",
                                                   "audit",
                                                   "audit_reply",
                                                   "hot",
                                                   "fetch",
                                                   "fetch_reply",
                                                   "forward",
                                                   "forward_reply",
                                                   "config",
                                                   "summary",
                                                   "summary_reply",
                                                   "publish",
                                                   "accuse",
                                                   "durable_read",
                                                   "durable_read_reply",
                                                   "store_record",
                                                   "store_reply",
                                                   "mend",
                                                   "mended",
                                                   "compared",
                                                   "report",
                                                   "layout",
                                                   "vote_request",
                                                   "vote_reply"};
  const auto index = static_cast<std::size_t>(type);
  return index < names.size() ? names[index] : std::string_view("unknown");
}

}  // namespace dhrt
