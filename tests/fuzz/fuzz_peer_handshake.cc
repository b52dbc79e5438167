// Whatever frames somebody sends who has not the key: neither end of a link takes them for one who
// has, and who was called says no more than one frame.
#include <string>

#include "node/peer_handshake.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

// The input is frames: a type, a length, so many bytes.
void meet(PeerHandshake& end, Bytes input, std::size_t words_max) {
  std::size_t words = 0;
  while (input.size() >= 2) {
    const auto type = static_cast<std::uint8_t>(input[0]);
    const std::size_t bytes = static_cast<unsigned char>(input[1]);
    const Bytes payload = input.substr(2, bytes);
    input.remove_prefix(2 + payload.size());
    const auto step = end.take({.head = {.type = type}, .payload = payload});
    if (!step) return;
    check(!step->done, "a stranger does not come through");
    if (!step->say.empty()) ++words;
    check(words <= words_max, "a stranger is told one thing");
    if (step->refused) return;
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  static const ClusterKeys keys =
      *ClusterKeys::of({std::string(32, '1'), std::string(cluster_key_bytes_max, '2')});
  PeerHandshake called(keys, LinkClass::control, false);
  meet(called, input, 1);
  PeerHandshake calls(keys, LinkClass::bulk, true);
  check(!calls.begin().empty(), "a caller begins");
  meet(calls, input, 0);
  (void)parse_challenge(input);
  (void)parse_answer(input);
  (void)parse_proof(input);
  (void)parse_refusal(input);
  return 0;
}
