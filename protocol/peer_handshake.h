// What two ends of a peer link say to each other before the first message, where a cluster key is
// set: each shows that it has the key, and neither shows the key.
//
// The dialler's preface is followed by its challenge; the acceptor answers and proves; the dialler
// proves; from then on frames are sealed (peer_frame.h). What is proven, and how, is in
// node/peer_handshake.h; here are the bytes. These frames have number 0 and an unkeyed mac.
//
// challenge := protocol min u8, protocol max u8, nonce (32 bytes), key id (8 bytes)
// answer    := proof (32 bytes), protocol min u8, protocol max u8, nonce (32 bytes)
// proof     := proof (32 bytes)
// refusal   := reason u8; instead of an answer, and the last frame of its sender
// A challenge and an answer may grow at their ends; proofs are over all of them.
//
// Errors (corrupt): too short. Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/peer_frame.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace dhrt {

// Types of frames of the link itself, beside the MessageTypes; the core never sees one.
enum class LinkFrame : std::uint8_t { challenge = 240, answer = 241, proof = 242, refusal = 243 };

inline constexpr std::size_t link_nonce_bytes = 32;
inline constexpr std::size_t link_key_id_bytes = 8;
inline constexpr std::size_t link_proof_bytes = 32;
// Of a frame from somebody who has proven nothing; a greeting without a key fits, too, so that its
// sender is told what is missing.
inline constexpr std::size_t link_frame_bytes_max = 4096;

struct LinkChallenge {
  std::uint8_t protocol_min = protocol_version_min;
  std::uint8_t protocol_max = protocol_version_max;
  std::string nonce;
  std::string key_id;  // Which key is meant; tells nothing to who does not have it.

  bool operator==(const LinkChallenge&) const = default;
};

struct LinkAnswer {
  std::string proof;
  std::uint8_t protocol_min = protocol_version_min;
  std::uint8_t protocol_max = protocol_version_max;
  std::string nonce;

  bool operator==(const LinkAnswer&) const = default;
};

// Why an end wants no link.
enum class LinkRefusal : std::uint8_t {
  key_wanted = 1,   // The caller shows no key, and one is asked for.
  no_key = 2,       // The caller shows a key, and there is none here.
  unknown_key = 3,  // The caller's key is none of those here.
  tls_wanted = 4,   // The caller came without TLS.
  no_tls = 5,       // The caller came by TLS, and nodes speak none here.
  protocol_version = 6,
};
inline constexpr std::uint8_t link_refusals_max = 6;

// What is the matter, and what to do about it, as the one sees it that was called (`ours`: this
// node refused the peer), or as the caller does.
std::string_view explain(LinkRefusal refusal, bool ours);

void append_link_frame(std::string& out, LinkFrame type, Bytes payload);
std::string refusal_frame(LinkRefusal refusal);

std::string to_payload(const LinkChallenge& challenge);
std::string to_payload(const LinkAnswer& answer);
Result<LinkChallenge> parse_challenge(Bytes payload);
Result<LinkAnswer> parse_answer(Bytes payload);
Result<std::string> parse_proof(Bytes payload);
// A reason that this version does not know is corrupt.
Result<LinkRefusal> parse_refusal(Bytes payload);

// What proofs are made over: everything that both ends have said, and the class of the link.
std::string link_transcript(LinkClass link_class, Bytes challenge_payload, Bytes answer_payload);

}  // namespace dhrt
