// Both ends of a peer link show that they have a cluster key: a challenge, an answer, a proof
// (protocol/peer_handshake.h has the bytes). Pure: frames in, frames out.
//
// Proofs are HMACs by the key over everything that both ends have said and the class of the link,
// under a label for each end: none can be sent back to its sender, shown on another link, or kept
// for a later one, since each end puts 32 random bytes in. The seals of the two directions have
// keys by HKDF, salted with these bytes.
//
// Who has no key learns nothing: it cannot name one, so it gets a refusal and nothing else. Who
// repeats the challenge of another gets an answer that only its first sender could go on with.
//
// Errors: corrupt: what came is no such frame. Threads: loop thread only.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "node/cluster_keys.h"
#include "protocol/peer_handshake.h"

namespace dhrt {

class PeerHandshake {
 public:
  // `keys` has one, and outlives the handshake. Takes the random bytes of this end.
  PeerHandshake(const ClusterKeys& keys, LinkClass link_class, bool dialled);

  // What a dialler says first.
  std::string begin();

  struct Step {
    std::string say;  // Frames to be sent, before anything sealed.
    bool done = false;
    // The link is not to be; if `say` has a frame, that one tells the peer.
    std::optional<LinkRefusal> refused;
  };
  Step refuse(LinkRefusal refusal) const {
    return {.say = refusal_frame(refusal), .refused = refusal};
  }
  Result<Step> take(const Frame& frame);

  // --- When it is done.
  struct Seals {
    std::unique_ptr<FrameSeal> sending;
    std::unique_ptr<FrameSeal> receiving;
  };
  Seals make_seals() const;
  // By which key.
  const ClusterKeys::Key& key() const { return key_; }

 private:
  Result<Step> take_challenge(Bytes payload);
  Result<Step> take_answer(Bytes payload);
  Result<Step> take_proof(Bytes payload);
  std::string proof_of(bool dialler) const;

  const ClusterKeys& keys_;
  const LinkClass link_class_;
  const bool dialled_;
  const std::string own_nonce_;
  std::string challenge_payload_;  // Of a dialler: its own.
  ClusterKeys::Key key_;
  std::string transcript_;
  std::string both_nonces_;  // The dialler's first.
};

}  // namespace dhrt
