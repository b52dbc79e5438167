// Frames behind a seal: what a stranger in the middle of a link can do to them, and what comes of
// it.
#include <map>
#include <vector>

#include <doctest/doctest.h>

#include "protocol/peer_frame.h"
#include "storage/base/hash.h"
#include "tests/protocol/peer_frames.h"

using namespace dhrt;
using namespace std::string_literals;

namespace {

// A seal that is easy to forge, and therefore no secret; what it is asked is what matters here.
class ToySeal final : public FrameSeal {
 public:
  explicit ToySeal(std::string secret) : secret_(std::move(secret)) {}
  Mac mac(std::uint64_t sequence, Bytes frame) override {
    const Hash128 hash = hash128(secret_ + std::to_string(sequence) + std::string(frame));
    Mac out{};
    for (std::size_t i = 0; i < 8; ++i) {
      out[i] = static_cast<char>(hash.low >> (8 * i));
      out[i + 8] = static_cast<char>(hash.high >> (8 * i));
    }
    return out;
  }
  bool matches(std::uint64_t sequence, Bytes frame, Bytes given) override {
    const Mac expected = mac(sequence, frame);
    return Bytes(expected.data(), expected.size()) == given;
  }

 private:
  std::string secret_;
};

std::string frame(std::uint64_t sequence, Bytes payload, const std::string& secret = "ours") {
  ToySeal seal(secret);
  std::string out;
  append_frame(out, {.type = 3, .sequence = sequence}, payload, seal);
  return out;
}

FrameReader reader_of(const std::string& secret = "ours") {
  FrameReader reader(1 << 16);
  reader.expect_sealed(std::make_unique<ToySeal>(secret));
  return reader;
}

std::vector<std::string> read(FrameReader& reader, Bytes bytes) {
  return test::read_frames(reader, bytes).payloads;
}

// Why the last frame of the stream is not taken; those before it have to be.
std::string refused(const std::string& stream, std::size_t good) {
  FrameReader reader = reader_of();
  const auto got = read(reader, stream);
  REQUIRE(got.size() == good + 1);
  CHECK(read(reader, frame(good + 1, "behind it")).front().starts_with("error: "));
  return got.back();
}

bool contains(const std::string& text, Bytes part) {
  return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("peer seal: frames come through, however the stream is cut") {
  const std::string stream = frame(1, "first") + frame(2, "") + frame(3, "third\0"s);
  const std::vector<std::string> expected{"first", "", "third\0"s};
  for (std::size_t split = 0; split <= stream.size(); ++split) {
    CAPTURE(split);
    FrameReader reader = reader_of();
    auto got = read(reader, Bytes(stream).substr(0, split));
    for (auto& payload : read(reader, Bytes(stream).substr(split)))
      got.push_back(payload);
    CHECK(got == expected);
  }
}

TEST_CASE("peer seal: a repeated frame ends the stream") {
  CHECK(contains(refused(frame(1, "a") + frame(1, "a"), 1), "number 1, not 2"));
  CHECK(contains(refused(frame(1, "a") + frame(2, "b") + frame(1, "a"), 2), "number 1, not 3"));
}

TEST_CASE("peer seal: a frame that is missing, or comes too early, ends the stream") {
  CHECK(contains(refused(frame(2, "b"), 0), "number 2, not 1"));
  CHECK(contains(refused(frame(1, "a") + frame(3, "c"), 1), "number 3, not 2"));
  CHECK(contains(refused(frame(1, "a") + frame(3, "c") + frame(2, "b"), 1), "number 3, not 2"));
  CHECK(contains(refused(frame(0, "zero"), 0), "number 0, not 1"));
}

TEST_CASE("peer seal: a frame of another link, or of the other direction, ends the stream") {
  CHECK(contains(refused(frame(1, "a") + frame(2, "b", "theirs"), 1), "another link"));
  CHECK(contains(refused(frame(1, "a", "theirs"), 0), "another link"));
}

TEST_CASE("peer seal: a frame without a seal ends the stream, and one with a seal an open one") {
  std::string open;
  append_frame(open, {.type = 3, .sequence = 1}, "open");
  CHECK(contains(refused(open, 0), "not sealed by the peer"));
  FrameReader reader(1 << 16);
  CHECK(contains(read(reader, frame(1, "sealed")).front(), "checksum"));
}

TEST_CASE("peer seal: a flipped bit is noticed, wherever it is") {
  const std::string good = frame(1, "payload");
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    CAPTURE(bit);
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    FrameReader reader = reader_of();
    const auto got = read(reader, bad + std::string(1 << 17, '\0'));
    REQUIRE(got.size() == 1);
    CHECK(got[0].starts_with("error: "));
  }
}

TEST_CASE("peer seal: a frame that is cut short is waited for, and what follows is no end of it") {
  const std::string good = frame(1, "payload");
  for (std::size_t bytes = 0; bytes < good.size(); ++bytes) {
    CAPTURE(bytes);
    FrameReader reader = reader_of();
    CHECK(read(reader, Bytes(good).substr(0, bytes)).empty());
    const auto got = read(reader, frame(1, "payload") + std::string(1 << 17, 'x'));
    REQUIRE(got.size() >= 1);
    CHECK((bytes == 0 || got[0].starts_with("error: ")));
  }
}

TEST_CASE("peer seal: numbers are counted from where the seal begins") {
  std::string stream;
  append_frame(stream, {.type = 200, .sequence = 77}, "before");
  FrameReader reader(1 << 16);
  CHECK(read(reader, stream) == std::vector<std::string>{"before"});
  reader.expect_sealed(std::make_unique<ToySeal>("ours"));
  CHECK(read(reader, frame(1, "a")) == std::vector<std::string>{"a"});
}
