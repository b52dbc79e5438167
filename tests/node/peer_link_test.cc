// What a link makes of the bytes that come in; they are handed to it, no socket is needed.
#include "node/peer_link.h"

#include <string>

#include <doctest/doctest.h>

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
