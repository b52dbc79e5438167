// A line is the same however it arrives, and what was read can be written and read again.
#include "protocol/resp_inline.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

std::string read_all(Bytes input, std::size_t split) {
  std::string told;
  std::size_t used = 0;
  std::size_t searched = 0;
  std::size_t come = split;
  for (;;) {
    const auto line = resp::read_inline(input.substr(used, come - used), searched);
    if (!line) {
      if (come == input.size()) return told;
      come = input.size();
      continue;
    }
    check(line->consumed > 0 && line->consumed <= come - used, "only what has come is consumed");
    check(line->error.empty() || line->words.empty(), "a bad line has no words");
    used += line->consumed;
    told += line->error + '\n';
    for (const std::string& word : line->words)
      told += std::to_string(word.size()) + ':' + word;
    if (!line->error.empty()) return told;
    for (const std::string& word : line->words) {
      std::string quoted = "\"";
      for (const char c : word) {
        constexpr Bytes digits = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(c);
        ((quoted += "\\x") += digits[byte >> 4]) += digits[byte & 15U];
      }
      const auto again = resp::split_inline(quoted + '"');
      check(again && again->size() == 1 && again->front() == word, "a quoted word is the same");
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  // Too long a line takes all with it that has come.
  if (size > resp::inline_bytes_max) return 0;
  check(read_all(input, fuzz::split_of(input)) == read_all(input, input.size()),
        "a split changes nothing");
  return 0;
}
