#include "cluster/message.h"

#include <array>

namespace dhrt {

MessageType type_of(const Message& message) {
  // In the order of the variant.
  constexpr std::array types{
      MessageType::hello,         MessageType::hello_ack,    MessageType::ping,
      MessageType::ack,           MessageType::ping_request, MessageType::nack,
      MessageType::members,       MessageType::join,         MessageType::welcome,
      MessageType::leave,         MessageType::resynced,     MessageType::write,
      MessageType::write_ack,     MessageType::read,         MessageType::read_reply,
      MessageType::pull,          MessageType::pull_reply,   MessageType::summary,
      MessageType::summary_reply, MessageType::publish,      MessageType::accuse};
  static_assert(types.size() == std::variant_size_v<Message>);
  return types[message.index()];
}

bool is_optional(MessageType type) {
  return type == MessageType::accuse;
}

std::string_view to_text(MessageType type) {
  constexpr std::array<std::string_view, 30> names{"",
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
                                                   "range",
                                                   "range_reply",
                                                   "forward",
                                                   "forward_reply",
                                                   "config",
                                                   "summary",
                                                   "summary_reply",
                                                   "publish",
                                                   "accuse"};
  const auto index = static_cast<std::size_t>(type);
  return index < names.size() ? names[index] : std::string_view("unknown");
}

}  // namespace dhrt
