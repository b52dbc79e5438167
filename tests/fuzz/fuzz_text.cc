// A line is the same however it arrives, and comes back when it is written.
#include "protocol/arguments.h"
#include "protocol/text.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  const ProtocolLimits limits{
      .value_bytes_max = 64, .line_bytes_max = 64, .arguments_max = 8, .header_bytes_max = 64};
  std::size_t searched = 0;
  const auto whole = text::parse_line(input, limits, searched);
  searched = 0;
  auto pieces = text::parse_line(input.substr(0, fuzz::split_of(input)), limits, searched);
  if (!pieces) pieces = text::parse_line(input, limits, searched);
  check(whole.has_value() == pieces.has_value(), "a split changes nothing");
  if (!whole) return 0;
  check(whole->tokens == pieces->tokens && whole->error == pieces->error, "nor what is read");
  check(whole->consumed <= input.size(), "only what has come is consumed");
  const auto arguments = split_arguments(
      whole->tokens, {.known = "ttl if-absent", .without_value = flags_without_value});
  if (arguments) check(arguments->words.size() <= whole->tokens.size(), "no word is made up");
  std::vector<text::Token> tokens = whole->tokens;
  for (text::Token& token : tokens)
    token.quoted = true;
  const auto again = text::tokenize(text::to_line(tokens), limits);
  check(again && *again == tokens, "what is written is read back");
  return 0;
}
