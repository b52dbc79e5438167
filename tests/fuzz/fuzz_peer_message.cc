// The first byte is a message type, the rest a payload: what decodes can be sent on, and the
// records of a write can be put.
#include <variant>

#include "protocol/peer_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

void go_through(const RecordBatch& batch) {
  RecordBatch::Cursor cursor(batch);
  KeyedView view;
  std::size_t shown = 0;
  while (cursor.next(view))
    ++shown;
  check(shown == batch.count(), "every record that was read can be put");
  check(batch.records().size() == shown, "and can be copied");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto type = static_cast<MessageType>(data[0]);
  const auto message = decode_message(type, fuzz::bytes_of(data + 1, size - 1));
  if (!message) return 0;
  check(type_of(*message) == type, "a message has the type it came under");
  if (const auto* const write = std::get_if<Write>(&*message); write && write->records)
    go_through(*write->records);
  const auto payload = encode_message(*message);
  check(payload.has_value(), "what was read can be written");
  const auto again = decode_message(type, *payload);
  check(again.has_value(), "what is written is read back");
  check(*encode_message(*again) == *payload, "and is the same");
  return 0;
}
