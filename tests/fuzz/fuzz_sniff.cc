// A decision never changes when more bytes come.
#include "protocol/sniff.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  const Sniffed whole = sniff(input);
  check(whole.skipped <= input.size(), "only what has come is skipped");
  bool decided = false;
  const Http http = begins_with_http(input);
  for (std::size_t length = 0; length < input.size() && length < 256; ++length) {
    const Sniffed sniffed = sniff(input.substr(0, length));
    check(!decided || sniffed.dialect == whole.dialect, "a decision stays");
    decided = sniffed.dialect != Dialect::undecided;
    check(!decided || sniffed.dialect == whole.dialect, "a beginning decides as the whole");
    const Http so_far = begins_with_http(input.substr(0, length));
    check(so_far == Http::undecided || so_far == http, "so it does of HTTP elsewhere");
  }
  return 0;
}
