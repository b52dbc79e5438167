#include "node/peer_handshake.h"

#include <utility>

namespace dhrt {

namespace {

constexpr Bytes key_id_label = "dhrt peer key 1";
constexpr Bytes dialler_label = "dhrt peer dialler 1";
constexpr Bytes acceptor_label = "dhrt peer acceptor 1";
constexpr Bytes seals_label = "dhrt peer seals 1";
constexpr std::size_t seal_key_bytes = 32;

std::string key_id(const ClusterKey& key, Bytes nonce) {
  return key.hmac(key_id_label, nonce).substr(0, link_key_id_bytes);
}

bool overlap(std::uint8_t protocol_min, std::uint8_t protocol_max) {
  return protocol_min <= protocol_version_max && protocol_max >= protocol_version_min;
}

}  // namespace

// Without random bytes the nonce is empty, and take() says so.
PeerHandshake::PeerHandshake(const ClusterKeys& keys, LinkClass link_class, bool dialled)
    : keys_(keys),
      link_class_(link_class),
      dialled_(dialled),
      own_nonce_(unforeseen_bytes(link_nonce_bytes).value_or("")) {}

std::string PeerHandshake::begin() {
  if (own_nonce_.empty()) return {};
  key_ = keys_.first();
  challenge_payload_ =
      to_payload(LinkChallenge{.nonce = own_nonce_, .key_id = key_id(*key_, own_nonce_)});
  std::string out;
  append_link_frame(out, LinkFrame::challenge, challenge_payload_);
  return out;
}

Result<PeerHandshake::Step> PeerHandshake::take(const Frame& frame) {
  if (own_nonce_.empty())
    return fail(ErrorCode::unavailable, "the system gives no random bytes for a peer link");
  const auto type = static_cast<LinkFrame>(frame.head.type);
  if (dialled_ && type == LinkFrame::answer) return take_answer(frame.payload);
  if (!dialled_ && !key_ && type == LinkFrame::challenge) return take_challenge(frame.payload);
  if (!dialled_ && key_ && type == LinkFrame::proof) return take_proof(frame.payload);
  if (!dialled_ && !key_ && frame.head.type == static_cast<std::uint8_t>(MessageType::hello))
    return refuse(LinkRefusal::key_wanted);
  return fail(ErrorCode::corrupt, "peer frame of type " + std::to_string(frame.head.type) +
                                      " is no part of a handshake");
}

Result<PeerHandshake::Step> PeerHandshake::take_challenge(Bytes payload) {
  const auto challenge = parse_challenge(payload);
  if (!challenge) return tl::unexpected(challenge.error());
  if (!overlap(challenge->protocol_min, challenge->protocol_max))
    return refuse(LinkRefusal::protocol_version);
  for (const ClusterKeys::Key& key : keys_.all()) {
    if (equal_in_constant_time(key_id(*key, challenge->nonce), challenge->key_id)) key_ = key;
  }
  if (!key_) return refuse(LinkRefusal::unknown_key);
  LinkAnswer answer{.proof = std::string(link_proof_bytes, '\0'), .nonce = own_nonce_};
  transcript_ = link_transcript(link_class_, payload, to_payload(answer));
  both_nonces_ = challenge->nonce + own_nonce_;
  answer.proof = proof_of(false);
  Step step;
  append_link_frame(step.say, LinkFrame::answer, to_payload(answer));
  return step;
}

Result<PeerHandshake::Step> PeerHandshake::take_answer(Bytes payload) {
  const auto answer = parse_answer(payload);
  if (!answer) return tl::unexpected(answer.error());
  transcript_ = link_transcript(link_class_, challenge_payload_, payload);
  both_nonces_ = own_nonce_ + answer->nonce;
  if (!equal_in_constant_time(proof_of(false), answer->proof))
    return Step{.refused = LinkRefusal::unknown_key};
  if (!overlap(answer->protocol_min, answer->protocol_max))
    return Step{.refused = LinkRefusal::protocol_version};
  Step step{.done = true};
  append_link_frame(step.say, LinkFrame::proof, proof_of(true));
  return step;
}

Result<PeerHandshake::Step> PeerHandshake::take_proof(Bytes payload) {
  const auto proof = parse_proof(payload);
  if (!proof) return tl::unexpected(proof.error());
  if (!equal_in_constant_time(proof_of(true), *proof))
    return Step{.refused = LinkRefusal::unknown_key};
  return Step{.done = true};
}

std::string PeerHandshake::proof_of(bool dialler) const {
  return key_->hmac(dialler ? dialler_label : acceptor_label, transcript_);
}

// The acceptor's proof stands for all that was said.
PeerHandshake::Seals PeerHandshake::make_seals() const {
  const std::string keys =
      key_->derive(both_nonces_, std::string(seals_label) + proof_of(false), 2 * seal_key_bytes);
  auto by_dialler = make_frame_seal(Bytes(keys).substr(0, seal_key_bytes));
  auto by_acceptor = make_frame_seal(Bytes(keys).substr(seal_key_bytes));
  if (dialled_) return {.sending = std::move(by_dialler), .receiving = std::move(by_acceptor)};
  return {.sending = std::move(by_acceptor), .receiving = std::move(by_dialler)};
}

}  // namespace dhrt
