#include "protocol/peer_handshake.h"

#include <algorithm>

#include "storage/base/codec.h"

namespace dhrt {

namespace {

tl::unexpected<Error> too_short(const char* what) {
  return fail(ErrorCode::corrupt, std::string("the ") + what + " of a peer link is cut short");
}

}  // namespace

std::string_view explain(LinkRefusal refusal, bool ours) {
  switch (refusal) {
    case LinkRefusal::key_wanted:
      return ours ? "it shows no cluster key; start it with --cluster-key-file, as this node"
                  : "it asks for a cluster key; start this node with --cluster-key-file, as that "
                    "one";
    case LinkRefusal::no_key:
      return ours ? "it has a cluster key, this node has none; start this node with its "
                    "--cluster-key-file"
                  : "it has no cluster key, this node has one; start it with --cluster-key-file, "
                    "as this node";
    case LinkRefusal::unknown_key:
      return ours ? "its cluster key is not known here; give both nodes the same "
                    "--cluster-key-file, and dhrt reload where it was changed"
                  : "it does not know our cluster key; give both nodes the same "
                    "--cluster-key-file, and dhrt reload where it was changed";
    case LinkRefusal::tls_wanted:
      return ours ? "it came without TLS; start it with --peer-tls, as this node"
                  : "it takes nodes by TLS only; start this node with --peer-tls, as that one";
    case LinkRefusal::no_tls:
      return ours ? "it came by TLS; start this node with --peer-tls, too, or that one without"
                  : "it does not speak TLS with nodes; start it with --peer-tls, too, or this "
                    "node without";
    case LinkRefusal::protocol_version:
      break;
  }
  return "it speaks another version of the peer protocol; upgrade the older node";
}

void append_link_frame(std::string& out, LinkFrame type, Bytes payload) {
  append_frame(out, {.type = static_cast<std::uint8_t>(type)}, payload);
}

std::string refusal_frame(LinkRefusal refusal) {
  std::string out;
  append_link_frame(out, LinkFrame::refusal, std::string(1, static_cast<char>(refusal)));
  return out;
}

std::string to_payload(const LinkChallenge& challenge) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(challenge.protocol_min);
  writer.u8(challenge.protocol_max);
  writer.raw(challenge.nonce);
  writer.raw(challenge.key_id);
  return out;
}

std::string to_payload(const LinkAnswer& answer) {
  std::string out = answer.proof;
  ByteWriter writer(out);
  writer.u8(answer.protocol_min);
  writer.u8(answer.protocol_max);
  writer.raw(answer.nonce);
  return out;
}

Result<LinkChallenge> parse_challenge(Bytes payload) {
  ByteReader reader(payload);
  LinkChallenge challenge;
  challenge.protocol_min = reader.u8();
  challenge.protocol_max = reader.u8();
  challenge.nonce = reader.raw(link_nonce_bytes);
  challenge.key_id = reader.raw(link_key_id_bytes);
  if (!reader.ok()) return too_short("challenge");
  return challenge;
}

Result<LinkAnswer> parse_answer(Bytes payload) {
  ByteReader reader(payload);
  LinkAnswer answer;
  answer.proof = reader.raw(link_proof_bytes);
  answer.protocol_min = reader.u8();
  answer.protocol_max = reader.u8();
  answer.nonce = reader.raw(link_nonce_bytes);
  if (!reader.ok()) return too_short("answer");
  return answer;
}

Result<std::string> parse_proof(Bytes payload) {
  if (payload.size() < link_proof_bytes) return too_short("proof");
  return std::string(payload.substr(0, link_proof_bytes));
}

Result<LinkRefusal> parse_refusal(Bytes payload) {
  if (payload.empty()) return too_short("refusal");
  const auto reason = static_cast<std::uint8_t>(payload.front());
  if (reason == 0 || reason > link_refusals_max)
    return fail(ErrorCode::corrupt, "the peer refuses the link for reason " +
                                        std::to_string(reason) +
                                        ", which is unknown here; upgrade this node");
  return static_cast<LinkRefusal>(reason);
}

std::string link_transcript(LinkClass link_class, Bytes challenge_payload, Bytes answer_payload) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(static_cast<std::uint8_t>(link_class));
  writer.bytes(challenge_payload);
  // The answer's own proof, which stands first, is made over the rest.
  writer.bytes(answer_payload.substr(std::min(link_proof_bytes, answer_payload.size())));
  return out;
}

}  // namespace dhrt
