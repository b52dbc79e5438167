// A session token that decodes is written as it was read, or shorter, and read again as it was.
#include "protocol/json.h"
#include "protocol/session_token.h"
#include "storage/base/codec.h"
#include "storage/base/hash.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  static_cast<void>(SessionToken::parse(input));
  // A fuzzer does not find a checksum: its input is given the right one.
  std::string token;
  ByteWriter head(token);
  head.u8(1);
  head.u32(static_cast<std::uint32_t>(hash64(input)));
  const std::string text = json::base64(token + std::string(input));
  if (const auto read = SessionToken::parse(text)) {
    const auto again = SessionToken::parse(read->text());
    check(again && *again == *read, "what is read can be written");
    check(read->text().size() <= text.size(), "what is written is no longer than what was read");
  }
  return 0;
}
