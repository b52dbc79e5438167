// A document that is read can be written and is a document again; base64 comes back.
#include "protocol/json.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  check(json::from_base64(json::base64(input)) == std::string(input), "base64 comes back");
  if (const auto bytes = json::from_base64(input))
    check(json::base64(*bytes) == input, "base64 has one text");
  const auto document = json::Document::parse(input);
  if (!document) return 0;
  const std::string text = document->root().text();
  check(json::is_utf8(text), "a document is UTF-8");
  const auto again = json::Document::parse(text);
  // Not the same: doubles may be off in their last digit.
  check(again.has_value(), "what is written is read back");
  return 0;
}
