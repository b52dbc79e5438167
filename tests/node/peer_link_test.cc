// What a link makes of the bytes that come in; they are handed to it, no socket is needed.
#include "node/peer_link.h"

#include <array>
#include <string>
#include <sys/socket.h>

#include <doctest/doctest.h>

#include "node/socket_handover.h"
#include "protocol/peer_codec.h"

using namespace dhrt;

namespace {

constexpr std::size_t step = PeerLink::coming_bytes_step;

class ScriptedLink final : PeerLink::Owner {
 public:
  ScriptedLink() { link_.greeted(); }

  void take(Bytes bytes) { link_.take(bytes); }
  // A message that nobody knows and everybody skips.
  static std::string frame(std::size_t payload_bytes) {
    std::string bytes;
    append_frame(bytes, {.type = 250, .flags = frame_optional}, std::string(payload_bytes, 'x'));
    return bytes;
  }

  int coming = 0;
  int malformed = 0;

 private:
  void link_ready(PeerLink&) override {}
  void link_refused(PeerLink&, LinkRefusal, bool) override {}
  void link_received(PeerLink&, Message) override {}
  void link_coming(PeerLink&) override { ++coming; }
  void link_ended(PeerLink&, const std::string&) override {}
  void link_malformed(PeerLink&, const std::string&) override { ++malformed; }

  EventLoop loop_;
  NodeFigures figures_;
  PeerLink link_{std::make_unique<StreamConnection>(loop_), {}, *this, figures_};
};

}  // namespace

TEST_CASE("peer link: a large message is told of while it comes, each 64 KiB of it once") {
  ScriptedLink link;
  const std::string bytes = ScriptedLink::frame(10 * step);
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 1000) {
    link.take(Bytes(bytes).substr(i, std::min<std::size_t>(1000, bytes.size() - 1 - i)));
    CHECK(link.coming <= static_cast<int>((i + 1000) / step));
  }
  CHECK(link.coming >= 9);  // Pieces that do not divide 64 KiB lose a little of each.
  CHECK(link.coming <= 10);
  const int before = link.coming;
  link.take(Bytes(bytes).substr(bytes.size() - 1));
  CHECK(link.coming == before);
  CHECK(link.malformed == 0);
}

TEST_CASE("peer link: small messages, and a few bytes of one, are no sign of a large one") {
  ScriptedLink link;
  const std::string whole = ScriptedLink::frame(step / 2);
  for (int i = 0; i < 10; ++i) {
    link.take(whole + whole.substr(0, 100));
    link.take(Bytes(whole).substr(100));
  }
  const std::string large = ScriptedLink::frame(2 * step);
  for (std::size_t i = 0; i < step - 1; i += 500)
    link.take(Bytes(large).substr(i, std::min<std::size_t>(500, step - 1 - i)));
  CHECK(link.coming == 0);
  link.take(Bytes(large).substr(step - 1, 1));
  CHECK(link.coming == 1);
  CHECK(link.malformed == 0);
}

TEST_CASE("peer link: each large message is counted from its own beginning") {
  ScriptedLink link;
  const std::string large = ScriptedLink::frame(2 * step);
  for (int i = 1; i <= 3; ++i) {
    link.take(Bytes(large).substr(0, step));
    CHECK(link.coming == i);
    link.take(Bytes(large).substr(step));
    CHECK(link.coming == i);
  }
  CHECK(link.malformed == 0);
}

// --- With a cluster key -----------------------------------------------------------------------

namespace {

const std::string the_key(32, 'k');
constexpr std::uint64_t many = 5;

// A link with a socket, whose other end is the test.
class KeyedLink final : PeerLink::Owner {
 public:
  explicit KeyedLink(const std::vector<std::string>& secrets, bool dialled = false)
      : keys_(*ClusterKeys::of(secrets)) {
    int sockets[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) == 0);
    other_end_ = FileDescriptor(sockets[1]);
    auto connection = adopt_socket(loop_, FileDescriptor(sockets[0]));
    REQUIRE(connection);
    link_.emplace(std::move(*connection),
                  PeerLink::Options{.id = 1,
                                    .dialled = dialled,
                                    .address = dialled ? "there:1" : "",
                                    .keys = keys_.none() ? nullptr : &keys_},
                  static_cast<PeerLink::Owner&>(*this), figures_);
    link_->start();
  }
  void take(Bytes bytes) { link_->take(bytes); }
  PeerLink& link() { return *link_; }
  const NodeFigures& figures() const { return figures_; }
  // What it has sent.
  std::string said() {
    char buffer[65536];
    const ssize_t count = ::recv(other_end_.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
    return {buffer, static_cast<std::size_t>(std::max<ssize_t>(count, 0))};
  }

  int ready = 0;
  std::vector<std::uint64_t> pings;  // By number.
  std::optional<LinkRefusal> refused;
  bool refused_by_us = false;
  std::string malformed;

 private:
  void link_ready(PeerLink&) override { ++ready; }
  void link_refused(PeerLink& link, LinkRefusal refusal, bool ours) override {
    refused = refusal;
    refused_by_us = ours;
    link.finish();
  }
  void link_received(PeerLink&, Message message) override {
    CHECK(ready == (keys_.none() ? 0 : 1));
    pings.push_back(std::get<Ping>(message).sequence);
  }
  void link_coming(PeerLink&) override {}
  void link_ended(PeerLink&, const std::string&) override {}
  void link_malformed(PeerLink& link, const std::string& reason) override {
    malformed = reason;
    link.finish();
  }

  EventLoop loop_;
  NodeFigures figures_;
  ClusterKeys keys_;
  FileDescriptor other_end_;
  std::optional<PeerLink> link_;
};

std::string ping_payload(std::uint64_t number) {
  return *encode_message(Ping{.sequence = number});
}

std::string ping(std::uint64_t number, FrameSeal& seal, std::uint64_t sequence) {
  std::string out;
  append_frame(out, {.type = static_cast<std::uint8_t>(MessageType::ping), .sequence = sequence},
               ping_payload(number), seal);
  return out;
}

Frame frame_in(FrameReader& reader, Bytes bytes) {
  reader.feed(bytes);
  const auto frame = reader.next();
  REQUIRE(frame);
  REQUIRE(*frame);
  return **frame;
}

// A caller of a link; it has the key.
class Caller {
 public:
  Caller() : keys_(*ClusterKeys::of({the_key})), handshake_(keys_, LinkClass::control, true) {}
  std::string challenge() { return handshake_.begin(); }
  // Its proof, and its seals are there.
  std::string prove(const std::string& answer) {
    FrameReader reader;
    const auto taken = handshake_.take(frame_in(reader, answer));
    REQUIRE(taken);
    REQUIRE(taken->done);
    seals = handshake_.make_seals();
    return taken->say;
  }
  // Comes to be linked.
  void link_with(KeyedLink& link) {
    link.take(challenge());
    link.take(prove(link.said()));
    REQUIRE(link.ready == 1);
  }

  PeerHandshake::Seals seals;

 private:
  ClusterKeys keys_;
  PeerHandshake handshake_;
};

}  // namespace

TEST_CASE("peer link: with a key, frames come through however the stream is cut") {
  // The proof and what is behind it is one stream, the challenge waits for its answer.
  const std::size_t bytes = [] {
    KeyedLink link({the_key});
    Caller caller;
    link.take(caller.challenge());
    std::string stream = caller.prove(link.said());
    for (std::uint64_t i = 1; i <= many; ++i)
      stream += ping(i, *caller.seals.sending, i);
    return stream.size();
  }();
  for (std::size_t split = 0; split <= bytes; ++split) {
    CAPTURE(split);
    KeyedLink link({the_key});
    Caller caller;
    const std::string challenge = caller.challenge();
    link.take(Bytes(challenge).substr(0, split % challenge.size()));
    link.take(Bytes(challenge).substr(split % challenge.size()));
    std::string stream = caller.prove(link.said());
    CHECK_FALSE(link.link().ready());
    for (std::uint64_t i = 1; i <= many; ++i)
      stream += ping(i, *caller.seals.sending, i);
    REQUIRE(stream.size() == bytes);
    link.take(Bytes(stream).substr(0, split));
    link.take(Bytes(stream).substr(split));
    CHECK(link.malformed == "");
    CHECK(link.pings == std::vector<std::uint64_t>{1, 2, 3, 4, 5});
    CHECK(link.ready == 1);
  }
}

TEST_CASE("peer link: what it says is sealed, frame after frame") {
  KeyedLink link({the_key});
  Caller caller;
  caller.link_with(link);
  link.link().send(MessageType::ping, 7, ping_payload(1));
  link.link().send(MessageType::ping, 7, ping_payload(2));
  FrameReader reader;
  reader.expect_sealed(std::move(caller.seals.receiving));
  const std::string said = link.said();
  CHECK(frame_in(reader, said).payload == ping_payload(1));
  CHECK(frame_in(reader, "").payload == ping_payload(2));
}

TEST_CASE("peer link: whatever is not the next frame of the peer ends the link") {
  struct Case {
    const char* why;
    std::function<std::string(Caller&, Caller& other, KeyedLink&)> bytes;
    const char* reason;
  };
  for (const Case& c : {
           Case{"repeated",
                [](Caller&caller, Caller&, KeyedLink&) {
                  return ping(1, *caller.seals.sending, 1) + ping(1, *caller.seals.sending, 1);
                },
                "repeated, lost"},
           Case{
               "left out",
               [](Caller&caller, Caller&, KeyedLink&) { return ping(2, *caller.seals.sending, 2); },
               "repeated, lost"},
           Case{"from another link",
                [](Caller&, Caller&other, KeyedLink&) { return ping(1, *other.seals.sending, 1); },
                "another link"},
           Case{"its own, sent back",
                [](Caller&, Caller&, KeyedLink&link) {
                  link.link().send(MessageType::ping, 0, ping_payload(1));
                  return link.said();
                },
                "not sealed by the peer"},
           Case{"without a seal",
                [](Caller&, Caller&, KeyedLink&) {
                  std::string out;
                  append_frame(
                      out, {.type = static_cast<std::uint8_t>(MessageType::ping), .sequence = 1},
                      ping_payload(1));
                  return out;
                },
                "not sealed by the peer"},
           Case{"garbage", [](Caller&, Caller&, KeyedLink&) { return std::string(1000, 'g'); },
                "out of step"},
           Case{"a second handshake",
                [](Caller&caller, Caller&, KeyedLink&) { return caller.challenge(); },
                "not sealed by the peer"},
       }) {
    CAPTURE(c.why);
    KeyedLink link({the_key});
    KeyedLink other_link({the_key});
    Caller caller;
    Caller other;
    caller.link_with(link);
    other.link_with(other_link);
    link.take(c.bytes(caller, other, link));
    CHECK(link.malformed.find(c.reason) != std::string::npos);
    CHECK(link.link().finished());
    const std::size_t before = link.pings.size();
    link.take(ping(9, *caller.seals.sending, before + 1));
    CHECK(link.pings.size() == before);
  }
}

TEST_CASE("peer link: a flipped bit anywhere in a sealed frame ends the link") {
  const std::size_t bits = [] {
    KeyedLink link({the_key});
    Caller caller;
    caller.link_with(link);
    return 8 * ping(1, *caller.seals.sending, 1).size();
  }();
  for (std::size_t bit = 0; bit < bits; bit += 3) {
    CAPTURE(bit);
    KeyedLink link({the_key});
    Caller caller;
    caller.link_with(link);
    std::string bad = ping(1, *caller.seals.sending, 1);
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << bit % 8));
    // A length that grew asks for more; of more than a greeting may have, nothing.
    link.take(bad + std::string(greeting_bytes_max + 100, '\0'));
    CHECK(link.malformed != "");
    CHECK(link.pings.empty());
  }
}

TEST_CASE("peer link: who shows no key, or another one, hears one frame and is not listened to") {
  const ClusterKeys foreign = *ClusterKeys::of({std::string(32, 'f')});
  std::string hello;
  append_frame(hello, {.type = static_cast<std::uint8_t>(MessageType::hello), .sequence = 1},
               std::string(500, 'h'));
  struct Case {
    std::string bytes;
    LinkRefusal refusal;
  };
  for (const Case& c :
       {Case{hello, LinkRefusal::key_wanted},
        Case{PeerHandshake(foreign, LinkClass::control, true).begin(), LinkRefusal::unknown_key}}) {
    KeyedLink link({the_key});
    link.take(c.bytes + c.bytes);
    CHECK(link.refused == c.refusal);
    CHECK(link.refused_by_us);
    CHECK(link.said() == refusal_frame(c.refusal));
    CHECK(link.ready == 0);
    CHECK(link.malformed == "");
  }
}

TEST_CASE("peer link: before it has shown a key nobody makes a link hold much, or say anything") {
  KeyedLink link({the_key});
  std::string large;
  append_frame(large, {.type = 1}, std::string(link_frame_bytes_max + 1, 'x'));
  link.take(Bytes(large).substr(0, frame_head_bytes));
  CHECK(link.malformed.find("over the limit") != std::string::npos);
  CHECK(link.said() == "");
  KeyedLink other({the_key});
  std::string refusal = refusal_frame(LinkRefusal::no_key);
  other.take(refusal);  // Only who was called may refuse.
  CHECK(other.malformed != "");
  CHECK_FALSE(other.refused);
  CHECK(other.said() == "");
}

TEST_CASE("peer link: without a key, who shows one is told so") {
  KeyedLink link({});
  Caller caller;
  link.take(caller.challenge());
  CHECK(link.refused == LinkRefusal::no_key);
  CHECK(link.refused_by_us);
  CHECK(link.said() == refusal_frame(LinkRefusal::no_key));
}

TEST_CASE("peer link: who was called may refuse, with a key or without one") {
  for (const bool keyed : {false, true}) {
    CAPTURE(keyed);
    KeyedLink link(keyed ? std::vector{the_key} : std::vector<std::string>{}, true);
    CHECK(link.said().size() == (keyed ? 7 + 22 + 42 + 16 : 7));
    const std::string refusal = refusal_frame(LinkRefusal::tls_wanted);
    for (const char& byte : refusal)
      link.take(Bytes(&byte, 1));
    CHECK(link.refused == LinkRefusal::tls_wanted);
    CHECK_FALSE(link.refused_by_us);
  }
}

TEST_CASE("peer link: one that is called, and pretends to have the key, is found out") {
  KeyedLink link({the_key}, true);
  const std::string challenge = link.said().substr(7);
  REQUIRE(challenge.size() == 22 + 42 + 16);
  std::string answer;
  append_link_frame(
      answer, LinkFrame::answer,
      to_payload(LinkAnswer{.proof = std::string(32, 'p'), .nonce = std::string(32, 'n')}));
  link.take(answer);
  CHECK(link.refused == LinkRefusal::unknown_key);
  CHECK(link.refused_by_us);
  CHECK(link.ready == 0);
  CHECK(link.said() == "");
}

// --- What a slow peer does not get ---------------------------------------------------------------

TEST_CASE("peer link: behind what a slow peer has not taken only what nobody repeats is kept") {
  KeyedLink keyed({});
  PeerLink& link = keyed.link();
  const std::string value(1000, 'v');
  const auto dropped = [&](MessageType type) {
    const std::uint64_t before = keyed.figures().replication_dropped_total;
    link.send(type, 0, value);
    return keyed.figures().replication_dropped_total - before;
  };
  const std::array with_values{MessageType::write,        MessageType::pull_reply,
                               MessageType::publish,      MessageType::read_reply,
                               MessageType::store_record, MessageType::durable_read_reply};
  for (const MessageType type : with_values)
    CHECK_MESSAGE(dropped(type) == 0, std::string(to_text(type)));
  link.send(MessageType::members, 0, std::string(2 * PeerLink::unsent_bytes_max, 'm'));
  for (const MessageType type : with_values)
    CHECK_MESSAGE(dropped(type) == 1, std::string(to_text(type)));
  for (const MessageType type : {MessageType::ping, MessageType::write_ack, MessageType::layout,
                                 MessageType::vote_request, MessageType::vote_reply})
    CHECK_MESSAGE(dropped(type) == 0, std::string(to_text(type)));
}
