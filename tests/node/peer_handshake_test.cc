// Two ends of a link show each other that they have the cluster key; and what others can do about
// it.
#include "node/peer_handshake.h"

#include <doctest/doctest.h>

namespace dhrt {

namespace {

using Step = PeerHandshake::Step;

const std::string key_one(32, '1');
const std::string key_two(32, '2');

ClusterKeys keys(const std::vector<std::string>& secrets) {
  auto made = ClusterKeys::of(secrets);
  REQUIRE(made);
  return *std::move(made);
}

// Takes the frames of `said`; the step after the last one, or the error.
Result<Step> take(PeerHandshake& end, Bytes said) {
  FrameReader reader(link_frame_bytes_max);
  reader.feed(said);
  Step last;
  for (;;) {
    const auto frame = reader.next();
    if (!frame) return tl::unexpected(frame.error());
    if (!*frame) return last;
    auto step = end.take(**frame);
    if (!step) return step;
    last = *std::move(step);
  }
}

Step good(Result<Step> step) {
  REQUIRE(step);
  REQUIRE_FALSE(step->refused);
  return *std::move(step);
}

std::string frame_of(LinkFrame type, Bytes payload) {
  std::string out;
  append_link_frame(out, type, payload);
  return out;
}

std::string payload_of(const std::string& frame) {
  return frame.substr(frame_head_bytes, frame.size() - frame_head_bytes - frame_mac_bytes);
}

struct Ends {
  explicit Ends(const std::vector<std::string>& diallers, const std::vector<std::string>& acceptors,
                LinkClass acceptors_class = LinkClass::control)
      : dialler_keys(keys(diallers)),
        acceptor_keys(keys(acceptors)),
        dialler(dialler_keys, LinkClass::control, true),
        acceptor(acceptor_keys, acceptors_class, false) {}
  // As far as the first error or refusal, whose end it is of.
  Result<Step> meet() {
    auto answer = take(acceptor, dialler.begin());
    if (!answer || answer->refused) return answer;
    auto proof = take(dialler, answer->say);
    if (!proof || proof->refused) return proof;
    CHECK(proof->done);
    return take(acceptor, proof->say);
  }

  ClusterKeys dialler_keys;
  ClusterKeys acceptor_keys;
  PeerHandshake dialler;
  PeerHandshake acceptor;
};

bool fits(FrameSeal& sending, FrameSeal& receiving) {
  const FrameSeal::Mac mac = sending.mac(1, "frame");
  return receiving.matches(1, "frame", {mac.data(), mac.size()});
}

}  // namespace

TEST_CASE("peer handshake: two ends with one key get seals that fit, one for each direction") {
  Ends ends({key_one}, {key_one});
  CHECK(good(ends.meet()).done);
  auto theirs = ends.dialler.make_seals();
  auto ours = ends.acceptor.make_seals();
  CHECK(fits(*theirs.sending, *ours.receiving));
  CHECK(fits(*ours.sending, *theirs.receiving));
  // What one end says cannot be sent back to it.
  CHECK_FALSE(fits(*theirs.sending, *theirs.receiving));
  CHECK_FALSE(fits(*ours.sending, *ours.receiving));
}

TEST_CASE("peer handshake: the seals of two links between the same ends do not fit") {
  Ends first({key_one}, {key_one});
  Ends second({key_one}, {key_one});
  CHECK(good(first.meet()).done);
  CHECK(good(second.meet()).done);
  CHECK_FALSE(fits(*first.dialler.make_seals().sending, *second.acceptor.make_seals().receiving));
}

TEST_CASE("peer handshake: the first key is shown, each is taken") {
  struct Case {
    const char* why;
    std::vector<std::string> dialler, acceptor;
    bool meet;
  };
  for (const Case& c : {
           Case{"before", {key_one}, {key_one}, true},
           Case{"the acceptor has the new one, too", {key_one}, {key_one, key_two}, true},
           Case{"the dialler has the new one, too", {key_one, key_two}, {key_one}, true},
           Case{"the dialler shows the new one", {key_two, key_one}, {key_one, key_two}, true},
           Case{"the acceptor has the new one only", {key_two, key_one}, {key_two}, true},
           Case{"the dialler has the new one only", {key_two}, {key_two, key_one}, true},
           Case{"shown too early", {key_two, key_one}, {key_one}, false},
           Case{"given up too early", {key_one, key_two}, {key_two}, false},
       }) {
    CAPTURE(c.why);
    Ends ends(c.dialler, c.acceptor);
    const auto step = ends.meet();
    REQUIRE(step);
    CHECK(step->done == c.meet);
    CHECK((step->refused == LinkRefusal::unknown_key) == !c.meet);
    if (c.meet) CHECK(ends.acceptor.key()->same_as(*ends.dialler.key()));
  }
}

TEST_CASE("peer handshake: who has no key hears one frame, which says so, and nothing else") {
  Ends ends({key_two}, {key_one});
  const auto step = ends.meet();
  REQUIRE(step);
  CHECK(step->refused == LinkRefusal::unknown_key);
  CHECK(step->say == refusal_frame(LinkRefusal::unknown_key));
  std::string hello;
  append_frame(hello, {.type = static_cast<std::uint8_t>(MessageType::hello), .sequence = 1},
               std::string(300, 'h'));
  const auto greeted = take(ends.acceptor, hello);
  REQUIRE(greeted);
  CHECK(greeted->refused == LinkRefusal::key_wanted);
  CHECK(greeted->say == refusal_frame(LinkRefusal::key_wanted));
}

TEST_CASE("peer handshake: a changed bit in any of its frames ends it") {
  const auto flipped = [](std::string payload, std::size_t bit) {
    payload[bit / 8] = static_cast<char>(payload[bit / 8] ^ (1 << bit % 8));
    return payload;
  };
  const std::size_t challenge_bits = 8 * (2 + link_nonce_bytes + link_key_id_bytes);
  const std::size_t answer_bits = 8 * (2 + link_nonce_bytes + link_proof_bytes);
  for (std::size_t bit = 0; bit < challenge_bits; ++bit) {
    CAPTURE(bit);
    Ends ends({key_one}, {key_one});
    const std::string challenge = payload_of(ends.dialler.begin());
    const auto answer =
        take(ends.acceptor, frame_of(LinkFrame::challenge, flipped(challenge, bit)));
    REQUIRE(answer);
    // The range of versions is not looked up, but it is proven as all else.
    if (answer->refused) continue;
    CHECK(take(ends.dialler, answer->say)->refused == LinkRefusal::unknown_key);
  }
  for (std::size_t bit = 0; bit < answer_bits; ++bit) {
    CAPTURE(bit);
    Ends ends({key_one}, {key_one});
    const std::string answer = payload_of(good(take(ends.acceptor, ends.dialler.begin())).say);
    const auto proof = take(ends.dialler, frame_of(LinkFrame::answer, flipped(answer, bit)));
    REQUIRE(proof);
    CHECK(proof->refused == LinkRefusal::unknown_key);
    CHECK(proof->say.empty());
  }
  for (std::size_t bit = 0; bit < 8 * link_proof_bytes; ++bit) {
    CAPTURE(bit);
    Ends ends({key_one}, {key_one});
    const auto answer = good(take(ends.acceptor, ends.dialler.begin()));
    const std::string proof = payload_of(good(take(ends.dialler, answer.say)).say);
    const auto end = take(ends.acceptor, frame_of(LinkFrame::proof, flipped(proof, bit)));
    REQUIRE(end);
    CHECK(end->refused == LinkRefusal::unknown_key);
    CHECK_FALSE(end->done);
  }
}

TEST_CASE("peer handshake: a longer challenge or answer is proven, too") {
  Ends ends({key_one}, {key_one});
  const std::string challenge = payload_of(ends.dialler.begin());
  const auto answer = good(take(ends.acceptor, frame_of(LinkFrame::challenge, challenge + "x")));
  CHECK(take(ends.dialler, answer.say)->refused == LinkRefusal::unknown_key);
  Ends others({key_one}, {key_one});
  const auto told = good(take(others.acceptor, others.dialler.begin()));
  CHECK(take(others.dialler, frame_of(LinkFrame::answer, payload_of(told.say) + "x"))->refused ==
        LinkRefusal::unknown_key);
}

TEST_CASE("peer handshake: what was recorded is of no use") {
  Ends ends({key_one}, {key_one});
  const std::string challenge = ends.dialler.begin();
  const auto answer = good(take(ends.acceptor, challenge));
  const auto proof = good(take(ends.dialler, answer.say));
  // To another acceptor: it answers, and what was proven to the first one proves nothing to it.
  PeerHandshake again(ends.acceptor_keys, LinkClass::control, false);
  CHECK(good(take(again, challenge)).say != answer.say);
  CHECK(take(again, proof.say)->refused == LinkRefusal::unknown_key);
  // To another dialler.
  PeerHandshake caller(ends.dialler_keys, LinkClass::control, true);
  CHECK(caller.begin() != challenge);
  CHECK(take(caller, answer.say)->refused == LinkRefusal::unknown_key);
}

TEST_CASE("peer handshake: what an end says cannot be shown to itself") {
  const ClusterKeys ours = keys({key_one});
  // A stranger takes a node's challenge to the same node, as a caller, and its answer back.
  PeerHandshake calls(ours, LinkClass::control, true);
  PeerHandshake is_called(ours, LinkClass::control, false);
  const auto answer = good(take(is_called, calls.begin()));
  const std::string proof = payload_of(answer.say).substr(0, link_proof_bytes);
  // The acceptor's proof is none of a dialler.
  CHECK(take(is_called, frame_of(LinkFrame::proof, proof))->refused == LinkRefusal::unknown_key);
}

TEST_CASE("peer handshake: a link of one class is none of the other") {
  Ends ends({key_one}, {key_one}, LinkClass::bulk);
  const auto step = ends.meet();
  REQUIRE(step);
  CHECK(step->refused == LinkRefusal::unknown_key);
}

TEST_CASE("peer handshake: an end of another version of the protocol is refused") {
  const ClusterKeys ours = keys({key_one});
  PeerHandshake acceptor(ours, LinkClass::control, false);
  LinkChallenge challenge{.protocol_min = protocol_version_max + 1,
                          .protocol_max = protocol_version_max + 1,
                          .nonce = std::string(link_nonce_bytes, 'n'),
                          .key_id = std::string(link_key_id_bytes, 'k')};
  const auto step = take(acceptor, frame_of(LinkFrame::challenge, to_payload(challenge)));
  REQUIRE(step);
  CHECK(step->refused == LinkRefusal::protocol_version);
}

TEST_CASE("peer handshake: frames out of turn, and what is none of them, are errors") {
  for (const LinkFrame type :
       {LinkFrame::challenge, LinkFrame::answer, LinkFrame::proof, LinkFrame::refusal}) {
    CAPTURE(static_cast<int>(type));
    const std::string frame = frame_of(type, std::string(100, 'x'));
    Ends ends({key_one}, {key_one});
    if (type != LinkFrame::challenge) CHECK_FALSE(take(ends.acceptor, frame));
    REQUIRE_FALSE(ends.dialler.begin().empty());
    if (type != LinkFrame::answer) CHECK_FALSE(take(ends.dialler, frame));
    CHECK_FALSE(take(ends.acceptor, frame_of(type, "short")));
  }
  Ends ends({key_one}, {key_one});
  const std::string challenge = ends.dialler.begin();
  CHECK(good(take(ends.acceptor, challenge)).say.size() > 0);
  CHECK_FALSE(take(ends.acceptor, challenge));
  std::string ping;
  append_frame(ping, {.type = static_cast<std::uint8_t>(MessageType::ping)}, "ping");
  CHECK_FALSE(take(ends.acceptor, ping));
  CHECK_FALSE(take(ends.dialler, ping));
}

TEST_CASE("peer handshake: a key that is taken away meanwhile does not disturb it") {
  Ends ends({key_one}, {key_one});
  const auto answer = good(take(ends.acceptor, ends.dialler.begin()));
  ends.dialler_keys = keys({key_two});
  ends.acceptor_keys = keys({key_two});
  const auto proof = good(take(ends.dialler, answer.say));
  CHECK(good(take(ends.acceptor, proof.say)).done);
  CHECK_FALSE(ends.acceptor_keys.have(*ends.acceptor.key()));
}

}  // namespace dhrt
