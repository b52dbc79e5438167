// The requests of a connection are the same however they arrive.
#include <string>

#include "protocol/http.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

constexpr ProtocolLimits limits{
    .value_bytes_max = 64, .line_bytes_max = 64, .arguments_max = 8, .header_bytes_max = 256};

// False: the connection ends.
bool feed(http::Parser& parser, Bytes input, std::string& seen) {
  for (;;) {
    const http::Fed fed = parser.feed(input);
    check(fed.consumed <= input.size(), "only what has come is consumed");
    input.remove_prefix(fed.consumed);
    if (fed.error) seen += "error " + std::to_string(fed.error->status);
    if (fed.error || !fed.request) return !fed.error;
    const http::Request& request = *fed.request;
    check(request.body.size() <= limits.value_bytes_max, "the body has a limit");
    seen += request.method + " " + request.target + "\n";
    for (const auto& [name, value] : request.headers)
      seen.append(name).append(": ").append(value).append("\n");
    seen += request.body;
    (void)http::path_segments(request.path);
    (void)http::query_fields(request.query);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  std::string whole;
  http::Parser at_once(limits);
  feed(at_once, input, whole);
  std::string pieces;
  http::Parser in_two(limits);
  const std::size_t split = fuzz::split_of(input);
  if (feed(in_two, input.substr(0, split), pieces)) feed(in_two, input.substr(split), pieces);
  check(whole == pieces, "a split changes nothing");
  return 0;
}
