#include "protocol/peer_handshake.h"

#include <doctest/doctest.h>

using namespace dhrt;

namespace {

const LinkChallenge challenge{
    .protocol_min = 1, .protocol_max = 3, .nonce = std::string(32, 'n'), .key_id = "key-id-8"};
const LinkAnswer answer{.proof = std::string(32, 'p'),
                        .protocol_min = 1,
                        .protocol_max = 2,
                        .nonce = std::string(32, 'm')};

}  // namespace

TEST_CASE("peer handshake bytes: the layout is fixed") {
  CHECK(to_payload(challenge) == "\x01\x03" + std::string(32, 'n') + "key-id-8");
  CHECK(to_payload(answer) == std::string(32, 'p') + "\x01\x02" + std::string(32, 'm'));
  CHECK(refusal_frame(LinkRefusal::no_key).substr(0, frame_head_bytes + 1) ==
        std::string("\x7a\xd4\x01\xf3\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02", 23));
}

TEST_CASE("peer handshake bytes: what is written is read, and may have grown at its end") {
  CHECK(*parse_challenge(to_payload(challenge)) == challenge);
  CHECK(*parse_challenge(to_payload(challenge) + "more") == challenge);
  CHECK(*parse_answer(to_payload(answer)) == answer);
  CHECK(*parse_answer(to_payload(answer) + "more") == answer);
  CHECK(*parse_proof(std::string(32, 'p') + "more") == std::string(32, 'p'));
  for (std::uint8_t reason = 1; reason <= link_refusals_max; ++reason) {
    const auto parsed = parse_refusal(std::string(1, static_cast<char>(reason)) + "more");
    REQUIRE(parsed);
    CHECK(static_cast<std::uint8_t>(*parsed) == reason);
  }
}

TEST_CASE("peer handshake bytes: what is cut short, or unknown, is an error") {
  const auto every_cut = [](const std::string& whole, auto parse) {
    for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
      const auto parsed = parse(Bytes(whole).substr(0, bytes));
      REQUIRE_FALSE(parsed);
      CHECK(parsed.error().code == ErrorCode::corrupt);
    }
  };
  every_cut(to_payload(challenge), parse_challenge);
  every_cut(to_payload(answer), parse_answer);
  every_cut(std::string(32, 'p'), parse_proof);
  every_cut("\x01", parse_refusal);
  for (const int reason : {0, link_refusals_max + 1, 255})
    CHECK_FALSE(parse_refusal(std::string(1, static_cast<char>(reason))));
}

TEST_CASE("peer handshake bytes: whatever differs makes another transcript") {
  const std::string first = to_payload(challenge);
  const std::string second = to_payload(answer);
  const std::string ours = link_transcript(LinkClass::control, first, second);
  CHECK(ours != link_transcript(LinkClass::bulk, first, second));
  for (std::size_t i = 0; i < first.size(); ++i) {
    std::string other = first;
    other[i] = static_cast<char>(other[i] ^ 1);
    CHECK(ours != link_transcript(LinkClass::control, other, second));
  }
  for (std::size_t i = 0; i < second.size(); ++i) {
    std::string other = second;
    other[i] = static_cast<char>(other[i] ^ 1);
    // The acceptor's proof is made over the rest.
    CHECK((ours != link_transcript(LinkClass::control, first, other)) == (i >= link_proof_bytes));
  }
  // Bytes do not wander from one end's words to the other's.
  CHECK(link_transcript(LinkClass::control, first + "x", second) !=
        link_transcript(LinkClass::control, first, second.substr(0, 32) + "x" + second.substr(32)));
  CHECK_FALSE(link_transcript(LinkClass::control, "", "").empty());
}

TEST_CASE("peer handshake bytes: every refusal says something to each end") {
  for (std::uint8_t reason = 1; reason <= link_refusals_max; ++reason) {
    CAPTURE(reason);
    const auto refusal = static_cast<LinkRefusal>(reason);
    CHECK(explain(refusal, true).size() > 20);
    CHECK(explain(refusal, false).size() > 20);
    CHECK((explain(refusal, true) != explain(refusal, false)) ==
          (refusal != LinkRefusal::protocol_version));
  }
}
