// Requests are the same however they arrive, and a good one is made of the words of its line.
#include "protocol/hati_text.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

constexpr ProtocolLimits limits{
    .value_bytes_max = 64, .line_bytes_max = 64, .arguments_max = 8, .header_bytes_max = 64};

std::string told(const hati::Request& request) {
  std::string text = std::to_string(static_cast<int>(request.verb));
  for (const Bytes part : {request.type, request.key, request.value})
    text += ' ' + std::to_string(part.size()) + ':' + std::string(part);
  return text + ' ' + std::to_string(request.ttl_milliseconds) + '\n';
}

// Everything that is read when the bytes come in two pieces.
std::string read_all(Bytes input, std::size_t split) {
  hati::LineReader reader;
  std::string told_all;
  std::size_t used = 0;
  std::size_t come = split;
  for (;;) {
    const Bytes rest = input.substr(used, come - used);
    const hati::LineReader::Read read = reader.read(rest, limits);
    check(read.consumed <= rest.size(), "only what has come is consumed");
    used += read.consumed;
    if (read.complete) {
      const hati::Request& request = read.request;
      check(request.key.empty() || rest.find(request.key) != Bytes::npos, "a key that was sent");
      const bool is_set = request.verb == hati::Verb::set;
      check(!is_set || request.value.size() <= limits.value_bytes_max, "within the limit");
      told_all += told(request);
    } else if (come == input.size()) {
      return told_all;
    } else {
      come = input.size();
    }
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  check(read_all(input, fuzz::split_of(input)) == read_all(input, input.size()),
        "a split changes nothing");
  return 0;
}
