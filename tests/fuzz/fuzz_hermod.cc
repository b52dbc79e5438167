// Messages are the same however they arrive, and a request is made of the bytes of its message.
#include "protocol/hermod.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;
using Outcome = hermod::Reader::Read::Outcome;

namespace {

constexpr ProtocolLimits limits{
    .value_bytes_max = 64, .line_bytes_max = 64, .arguments_max = 8, .header_bytes_max = 64};

void check_request(Bytes message) {
  const hermod::Request request = hermod::parse_request(message);
  for (const Bytes part : {request.key, request.table, request.data})
    check(message.find(part) != Bytes::npos, "what was sent");
  const bool is_keyed = request.verb == hermod::Verb::get || request.verb == hermod::Verb::set ||
                        request.verb == hermod::Verb::remove;
  check(is_keyed == !request.key.empty(), "a key where one is needed");
  check(request.table.find(' ') == Bytes::npos, "a table is one word");
}

std::string told(const hermod::Reader::Read& read) {
  std::string text = std::to_string(static_cast<int>(read.outcome)) + '.' +
                     std::to_string(static_cast<int>(read.api)) + ':' + std::string(read.message);
  return text + (read.token ? '"' + std::string(*read.token) : "") + '\n';
}

// Everything that is read when the bytes come in two pieces.
std::string read_all(Bytes input, std::size_t split) {
  hermod::Reader reader;
  std::string told_all;
  std::size_t used = 0;
  std::size_t come = split;
  for (;;) {
    const Bytes rest = input.substr(used, come - used);
    const hermod::Reader::Read read = reader.read(rest, limits);
    check(read.consumed <= rest.size(), "only what has come is consumed");
    used += read.consumed;
    if (read.outcome != Outcome::need_more) {
      told_all += told(read);
      if (read.outcome == Outcome::message) check_request(read.message);
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
