// A line is the same however it arrives, and comes back when it is written.
#include <memory>

#include "protocol/arguments.h"
#include "protocol/fast_text.h"
#include "protocol/text.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

// A recognised line means what its tokens say.
void check_recognised(Bytes input, const ProtocolLimits& limits, const text::Line& line) {
  const auto batch = std::make_unique<FastBatch>();
  text::recognise(input, limits, *batch);
  if (batch->empty()) return;
  const FastCommand& first = (*batch)[0];
  check(!line.error && first.end == line.consumed, "what is recognised is a good line");
  std::string words(first.kind == FastCommand::Kind::set ? "set" : "get");
  for (const Bytes word : {first.collection, first.key, first.value})
    if (!word.empty()) words += " " + std::string(word);
  std::string tokens;
  for (const text::Token& token : line.tokens) {
    check(!token.quoted, "without quotes");
    tokens += (tokens.empty() ? "" : " ") + token.text;
  }
  for (std::size_t i = 0; i < 3; ++i)
    tokens[i] = static_cast<char>(tokens[i] | 0x20);
  check(words == tokens, "word for word");
}

}  // namespace

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
  check_recognised(input, limits, *whole);
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
