// An answer is the same however it arrives, and within its bounds.
#include <string>

#include "protocol/http_answer.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

constexpr std::size_t body_bytes_max = 64;

void tell(const http::Answer& answer, std::string& seen) {
  check(answer.body.size() <= body_bytes_max, "the body has a limit");
  std::size_t head = 0;
  seen += std::to_string(answer.status) + "\n";
  for (const auto& [name, value] : answer.headers) {
    head += name.size() + value.size();
    seen.append(name).append(": ").append(value).append("\n");
  }
  check(head <= http::AnswerParser::head_bytes_max, "so has the head");
  seen += answer.body;
}

// True: there will be no more.
bool feed(http::AnswerParser& parser, Bytes input, std::string& seen) {
  const auto fed = parser.feed(input);
  if (!fed) seen += "error";
  if (fed && *fed) tell(**fed, seen);
  return !fed || *fed;
}

void finish(http::AnswerParser& parser, std::string& seen) {
  const auto answer = parser.finish();
  if (answer)
    tell(*answer, seen);
  else
    seen += "error";
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  std::string whole;
  http::AnswerParser at_once(body_bytes_max);
  if (!feed(at_once, input, whole)) finish(at_once, whole);
  std::string pieces;
  http::AnswerParser in_two(body_bytes_max);
  const std::size_t split = fuzz::split_of(input);
  if (!feed(in_two, input.substr(0, split), pieces) && !feed(in_two, input.substr(split), pieces))
    finish(in_two, pieces);
  check(whole == pieces, "the pieces make no difference");
  return 0;
}
