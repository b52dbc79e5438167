// Frames are the same however they arrive, and what is framed comes back.
#include <string>

#include "protocol/peer_codec.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

constexpr std::size_t payload_bytes_max = 4096;

void feed(FrameReader& reader, Bytes bytes, std::string& seen) {
  reader.feed(bytes);
  for (;;) {
    const auto frame = reader.next();
    if (!frame || !*frame) return;
    seen += std::to_string((*frame)->head.type) + ":" + std::string((*frame)->payload) + "\n";
    (void)decode_message(**frame);
  }
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Bytes input = fuzz::bytes_of(data, size);
  const std::size_t split = fuzz::split_of(input);
  std::string whole;
  FrameReader at_once(payload_bytes_max);
  feed(at_once, input, whole);
  std::string pieces;
  FrameReader in_two(payload_bytes_max);
  feed(in_two, input.substr(0, split), pieces);
  feed(in_two, input.substr(split), pieces);
  check(whole == pieces, "a split changes nothing");

  std::string framed;
  append_frame(framed, {.type = 3}, input);
  std::string seen;
  FrameReader reader(size);
  feed(reader, framed, seen);
  check(seen == "3:" + std::string(input) + "\n", "what is framed comes back");
  return 0;
}
