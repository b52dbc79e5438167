// A watch token that decodes is the one that its position is written as, and no other subject's.
#include "storage/feed_position.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  const FeedSubject subject{.collection = "users", .prefix = "u:"};
  // A fuzzer does not find a checksum: what it changes in a payload is given the right one.
  ByteReader reader(input);
  FeedPosition position{
      .generation = reader.u32(), .flushed = reader.u64(), .told_until = reader.varint()};
  position.seen = decode_context(reader);
  if (reader.ok()) {
    const std::string token = encode_feed_token(position, subject);
    check(token.size() <= feed_token_bytes_max, "a token is bounded");
    const auto read = decode_feed_token(token, subject);
    check(token.empty() || (read && *read == position), "what is written is read back");
    check(token.empty() || !decode_feed_token(token, {.collection = "users", .prefix = ""}),
          "it is for its subject alone");
  }
  if (const auto read = decode_feed_token(input, subject)) {
    const auto again = decode_feed_token(encode_feed_token(*read, subject), subject);
    check(again && *again == *read, "what is read can be written");
  }
  return 0;
}
