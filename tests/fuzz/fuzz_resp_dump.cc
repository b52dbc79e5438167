// No dump makes more than it may, and what is dumped comes back.
#include "protocol/resp_dump.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;
using Outcome = resp::Restored::Outcome;

namespace {

constexpr std::size_t value_bytes_max = 4096;

void check_bound(Bytes dump) {
  const resp::Restored restored = resp::restore(dump, value_bytes_max);
  if (restored.outcome != Outcome::value) return;
  check(restored.value.size() <= value_bytes_max, "a value is not above the limit");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  check_bound(input);
  // The same as a body: a checksum of zero was left out.
  check_bound(std::string(input) + std::string(10, '\0'));
  const resp::Restored back = resp::restore(resp::dump_of(input), size);
  check(back.outcome == Outcome::value && back.value == input, "a value comes back as it was");
  return 0;
}
