#include "protocol/peer_frame.h"

#include <vector>

#include <doctest/doctest.h>

#include "protocol/sniff.h"
#include "tests/protocol/peer_frames.h"

using namespace dhrt;
using namespace std::string_literals;

namespace {

constexpr PeerFrameHead head{.protocol = 1,
                             .type = 3,
                             .flags = frame_optional,
                             .cluster_tag = 0xcafe,
                             .sequence = 0x0102030405060708};

std::string frame(Bytes payload) {
  std::string out;
  append_frame(out, head, payload);
  return out;
}

// All of them have `head`.
std::vector<std::string> payloads(FrameReader& reader, Bytes bytes) {
  const test::ReadFrames read = test::read_frames(reader, bytes);
  for (const PeerFrameHead& one : read.heads)
    CHECK(one == head);
  return read.payloads;
}

}  // namespace

TEST_CASE("peer frame: the preface is what the dialects are told apart by") {
  std::string control;
  append_preface(control, LinkClass::control);
  CHECK(control.size() == peer_preface_bytes);
  CHECK(sniff(control).dialect == Dialect::peer_control);
  std::string bulk;
  append_preface(bulk, LinkClass::bulk);
  CHECK(sniff(bulk).dialect == Dialect::peer_bulk);
}

TEST_CASE("peer frame: the layout is fixed") {
  const std::string bytes = frame("ab");
  CHECK(bytes.size() == 2 + 1 + 1 + 2 + 4 + 4 + 8 + 2 + 16);
  CHECK(bytes.substr(0, frame_head_bytes + 2) ==
        "\x7a\xd4\x01\x03\x01\x00\x02\x00\x00\x00\xfe\xca\x00\x00\x08\x07\x06\x05\x04\x03\x02\x01"
        "ab"s);
}

TEST_CASE("peer frame: every split of a stream gives the same frames") {
  const std::string stream = frame("first") + frame("") + frame("third\0"s);
  const std::vector<std::string> expected{"first", "", "third\0"s};
  for (std::size_t split = 0; split <= stream.size(); ++split) {
    CAPTURE(split);
    FrameReader reader;
    auto got = payloads(reader, Bytes(stream).substr(0, split));
    for (auto& payload : payloads(reader, Bytes(stream).substr(split)))
      got.push_back(payload);
    CHECK(got == expected);
  }
}

TEST_CASE("peer frame: a stream that comes byte by byte") {
  const std::string stream = frame("first") + frame("second");
  FrameReader reader;
  std::vector<std::string> got;
  std::size_t unfinished = 0;
  for (const char& byte : stream) {
    ++unfinished;
    for (auto& payload : payloads(reader, Bytes(&byte, 1))) {
      got.push_back(payload);
      unfinished = 0;
    }
    CHECK(reader.unfinished_bytes() == unfinished);
  }
  CHECK(got == std::vector<std::string>{"first", "second"});
}

TEST_CASE("peer frame: a flipped bit is noticed, wherever it is") {
  const std::string good = frame("payload");
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    CAPTURE(bit);
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    // A length that grew asks for more bytes; they come, and the mac is wrong then.
    FrameReader reader(1 << 16);
    reader.feed(bad + std::string(1 << 17, '\0'));
    const auto next = reader.next();
    REQUIRE_FALSE(next);
    CHECK(next.error().code == ErrorCode::corrupt);
  }
}

TEST_CASE("peer frame: a payload of the limit is read, a longer one is refused at its head") {
  FrameReader fits(8);
  CHECK(payloads(fits, frame("12345678")) == std::vector<std::string>{"12345678"});
  FrameReader refuses(8);
  const auto got = payloads(refuses, Bytes(frame("123456789")).substr(0, frame_head_bytes));
  REQUIRE(got.size() == 1);
  CHECK(got[0].find("9 bytes is over the limit of 8") != std::string::npos);
}

TEST_CASE("peer frame: the largest value fits a frame") {
  CHECK(frame_bytes_max(value_bytes_ceiling) <= 0xffffffff);
  CHECK(frame_bytes_max(value_bytes_ceiling) > value_bytes_ceiling + key_bytes_max);
}

TEST_CASE("peer frame: nothing is read behind an error") {
  FrameReader reader;
  CHECK(payloads(reader, "not a frame at all, but long").size() == 1);
  CHECK(payloads(reader, frame("good")).front().find("error: ") == 0);
}
