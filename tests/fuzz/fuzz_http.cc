// The requests of a connection are the same however they arrive.
#include <string>

#include "protocol/fast_http.h"
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

// A recognised request is what the parser reads.
void check_recognised(Bytes input) {
  const auto fast = http::recognise(input, limits);
  if (!fast) return;
  http::Parser parser(limits);
  const http::Fed fed = parser.feed(input);
  check(fed.request && !fed.error && fed.consumed == fast->end, "it is a request, and that long");
  check(fed.request->method == (fast->puts ? "PUT" : "GET"), "of that method");
  std::string path = "/";
  if (!fast->collection.empty()) path.append(fast->collection).append("/");
  check(fed.request->target == path.append(fast->key), "for that path");
  check(fed.request->body == fast->body && fed.request->keep_alive, "with that body");
  check(fed.request->header("host") == fast->host, "to that host");
  check(fed.request->header("accept") == fast->accept, "that wants this");
  check(fed.request->header("content-type") == fast->content_type, "and gives that");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  check_recognised(input);
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
