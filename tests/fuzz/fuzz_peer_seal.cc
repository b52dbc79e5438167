// Of a sealed stream that was changed on its way only what stands before the change comes through,
// however the stream arrives.
#include <string>
#include <vector>

#include "protocol/peer_frame.h"
#include "tests/fuzz/fuzz.h"

using namespace dhrt;

namespace {

constexpr std::size_t payload_bytes_max = 256;
constexpr std::size_t frames_max = 8;

class ToySeal final : public FrameSeal {
 public:
  explicit ToySeal(std::uint64_t secret) : secret_(std::to_string(secret)) {}
  Mac mac(std::uint64_t sequence, Bytes frame) override {
    const std::uint64_t hash =
        hash64(secret_ + ' ' + std::to_string(sequence) + std::string(frame));
    Mac out{};
    for (std::size_t i = 0; i < out.size(); ++i)
      out[i] = static_cast<char>(hash >> (8 * (i % 8)));
    return out;
  }
  bool matches(std::uint64_t sequence, Bytes frame, Bytes given) override {
    const Mac expected = mac(sequence, frame);
    return Bytes(expected.data(), expected.size()) == given;
  }

 private:
  const std::string secret_;
};

constexpr std::uint64_t our_secret = 1;

std::vector<std::string> read(Bytes stream, std::size_t split, std::uint64_t secret = our_secret) {
  FrameReader reader(payload_bytes_max);
  reader.expect_sealed(std::make_unique<ToySeal>(secret));
  std::vector<std::string> payloads;
  for (const Bytes piece : {stream.substr(0, split), stream.substr(split)}) {
    reader.feed(piece);
    for (;;) {
      const auto frame = reader.next();
      if (!frame || !*frame) break;
      payloads.emplace_back((*frame)->payload);
    }
  }
  return payloads;
}

std::string frame_of(std::uint64_t number, Bytes payload) {
  ToySeal seal(our_secret);
  std::string out;
  append_frame(out, {.type = 3, .sequence = number}, payload, seal);
  return out;
}

}  // namespace

// The first byte says how the stream is changed, the second one where; the rest is payloads.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Bytes input = fuzz::bytes_of(data, size);
  const std::size_t split = fuzz::split_of(input);
  // Whoever knows no secret makes nothing come through. The fuzzer sees what its bytes are compared
  // with: a secret that stays the same it does know.
  check(read(input, split, hash64(input)).empty(), "a stranger's frames are none");
  if (input.size() < 2) return 0;
  const std::size_t how = static_cast<unsigned char>(input[0]);
  const std::size_t where = static_cast<unsigned char>(input[1]);
  input.remove_prefix(2);

  std::vector<std::string> payloads;
  std::vector<std::string> frames;
  for (std::size_t i = 0; i < frames_max && (i == 0 || !input.empty()); ++i) {
    payloads.emplace_back(input.substr(0, payload_bytes_max));
    input.remove_prefix(payloads.back().size());
    frames.push_back(frame_of(i + 1, payloads.back()));
  }
  const std::size_t changed = where % frames.size();
  const std::string good = frames[changed];
  switch (how % 6) {
    case 0:
      break;
    case 1:
      frames[changed] += good;
      break;
    case 2:
      frames[changed].clear();
      break;
    case 3:
      std::swap(frames[changed], frames[(changed + 1) % frames.size()]);
      break;
    case 4:
      frames[changed].pop_back();
      break;
    default: {
      char& byte = frames[changed][(how * 7 + where) % good.size()];
      byte = static_cast<char>(byte ^ (1 << where % 8));
    }
  }
  std::string stream;
  for (const std::string& frame : frames)
    stream += frame;
  const auto got = read(stream, split % (stream.size() + 1));
  check(got == read(stream, stream.size()), "a split changes nothing");
  check(got.size() <= payloads.size(), "no more comes out than was put in");
  for (std::size_t i = 0; i < got.size(); ++i)
    check(got[i] == payloads[i], "what comes through is what was sent, in its order");
  if (how % 6 == 0) check(got.size() == payloads.size(), "an unchanged stream comes through");
  // A byte that is missing at the end is by chance the first one of the next frame.
  if (how % 6 == 4) check(got.size() <= changed + 1, "nothing comes through behind a cut");
  if (how % 6 == 5) check(got.size() == changed, "nothing comes through behind a change");
  return 0;
}
