// A reply that is read can be written, and is then read as the same.
#include "protocol/resp.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  const auto parsed = resp::parse_reply(input);
  if (!parsed || !*parsed) return 0;
  const std::size_t consumed = (*parsed)->consumed;
  check(consumed <= input.size(), "only what has come is consumed");
  const auto shorter = resp::parse_reply(input.substr(0, consumed - 1));
  check(shorter && !*shorter, "a reply without its last byte needs more");
  std::string written;
  resp::append_reply(written, (*parsed)->reply);
  const auto again = resp::parse_reply(written);
  check(again && *again && (*again)->consumed == written.size(), "what is written is a reply");
  std::string rewritten;
  resp::append_reply(rewritten, (*again)->reply);
  check(written == rewritten, "what is written is read back");
  return 0;
}
