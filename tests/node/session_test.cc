// One session on a loop that the test turns by hand, with a protocol of one letter per request.
#include "node/session.h"

#include <utility>

#include "node/listener.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

using Next = ReplyStream::Next;

// Gives one piece per call, the last one with what it ends with.
class ScriptedStream final : public ReplyStream {
 public:
  ScriptedStream(std::vector<std::string> pieces, Next last, Position promises)
      : pieces_(std::move(pieces)), last_(last), promises_(promises) {}
  Next produce(std::string& out, Position& promises) override {
    out += pieces_[given_++];
    if (given_ < pieces_.size()) return Next::piece;
    promises = promises_;
    return last_;
  }

 private:
  std::vector<std::string> pieces_;
  std::size_t given_ = 0;
  Next last_;
  Position promises_;
};

// The node of one session: "s" is answered by the stream, anything else by itself.
class Turns final : public SessionHost {
 public:
  explicit Turns(std::unique_ptr<ReplyStream> stream, Service service = Service::dhrt,
                 std::optional<Error> refused = std::nullopt)
      : stream_(std::move(stream)), service_(service), refused_(std::move(refused)) {
    auto listener =
        Listener::open(loop_, *parse_endpoint("dhrt://127.0.0.1:0"), [this](auto connection) {
          session_ =
              std::make_unique<Session>(std::move(connection),
                                        Session::Options{.id = 1,
                                                         .service = service_,
                                                         .output_buffer_max = std::size_t{1} << 20,
                                                         .refused = refused_,
                                                         .now = {}},
                                        *this);
          session_->start();
        });
    REQUIRE(listener.has_value());
    listener_ = std::move(*listener);
  }
  std::uint16_t port() const { return listener_->bound().address.port; }

  // One turn of the loop as Node makes it.
  void turn(Position durable) {
    uv_run(loop_.raw(), UV_RUN_NOWAIT);
    if (std::exchange(more_, false) && session_) session_->run();
    if (std::exchange(due_, false) && session_) session_->turn_end(durable);
    if (ended_) session_.reset();
    clock_.turn_over();
  }
  // Turns until the client has something to read, or for long enough.
  bool answers(TestClient& client, Position durable) {
    for (int i = 0; i < 1000; ++i) {
      turn(durable);
      if (client.anything_within(0)) return true;
    }
    return false;
  }
  bool more() const { return more_; }
  bool ended() const { return ended_; }
  const std::vector<std::string>& told_refused() const { return told_refused_; }
  Session* session(SessionId) override { return session_.get(); }

 private:
  class Letters final : public ClientProtocol {
   public:
    Letters(Turns& turns, Session& session) : turns_(turns), session_(session) {}
    Took take(Bytes input) override {
      if (input.front() == 'w') return {};  // Wants more, and never has enough.
      if (input.front() == 's')
        session_.stream(std::move(turns_.stream_));
      else if (input.front() != '\n')
        session_.reply(input.substr(0, 1), 0);
      return {1, 1};
    }
    void end_of_input(Bytes rest) override { session_.reply("(" + std::string(rest) + ")", 0); }
    void refuse(const Error& why) override { session_.reply(why.message, 0); }

   private:
    Turns& turns_;
    Session& session_;
  };
  TurnClock& clock() override { return clock_; }
  void reply_is_due(SessionId) override { due_ = true; }
  void has_more_to_do(SessionId) override { more_ = true; }
  void session_ended(SessionId) override { ended_ = true; }
  std::optional<std::string> refuse_peer(Session&) override { return std::nullopt; }
  void is_peer(Session&, LinkClass) override {}
  void tls_failed(Session&, const std::string&) override {}
  void slow_client(SessionId) override {}
  void client_refused(Session&, const Error& why) override { told_refused_.push_back(why.message); }
  std::unique_ptr<ClientProtocol> make_protocol(Dialect, Session& session) override {
    return std::make_unique<Letters>(*this, session);
  }
  std::unique_ptr<ClientProtocol> make_protocol_of(Service, Session& session) override {
    return std::make_unique<Letters>(*this, session);
  }

  EventLoop loop_;
  TurnClock clock_;
  std::unique_ptr<ReplyStream> stream_;
  Service service_;
  std::optional<Error> refused_;
  std::vector<std::string> told_refused_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Session> session_;
  bool due_ = false;
  bool more_ = false;
  bool ended_ = false;
};

std::unique_ptr<ReplyStream> stream_of(std::vector<std::string> pieces, Next last,
                                       Position promises) {
  return std::make_unique<ScriptedStream>(std::move(pieces), last, promises);
}

}  // namespace

TEST_CASE("session: a stream comes piece by piece, between the replies around it") {
  Turns turns(stream_of({"1", "2", "3"}, Next::end, 0));
  TestClient client(turns.port());
  client.send("asb\n");
  std::string received;
  while (received.size() < 5 && turns.answers(client, 0))
    received += client.receive(1);
  CHECK(received == "a123b");
}

// A node that comes to the same port is no client, and until a byte is there nobody knows.
TEST_CASE("session: its host hears of a client that is not served, when the client does") {
  Turns turns(nullptr, Service::dhrt, Error{ErrorCode::unavailable, "no"});
  TestClient client(turns.port());
  for (int i = 0; i < 10; ++i)
    turns.turn(0);
  CHECK(turns.told_refused().empty());
  client.send("ab\n");
  REQUIRE(turns.answers(client, 0));
  CHECK(client.receive(2) == "no");
  CHECK(turns.told_refused() == std::vector<std::string>{"no"});
}

TEST_CASE("session: what a client leaves unfinished at its end is shown to its protocol") {
  struct Case {
    const char* sent;
    const char* received;
  };
  for (const Case& c : {Case{"ab\n", "ab"}, Case{"aw\nb", "a(w\nb)"}, Case{"", ""}}) {
    CAPTURE(c.sent);
    Turns turns(nullptr);
    TestClient client(turns.port());
    client.send(c.sent);
    client.end_sending();
    for (int i = 0; i < 1000 && !turns.ended(); ++i)
      turns.turn(0);
    REQUIRE(turns.ended());
    turns.turn(0);
    CHECK(client.receive_all() == c.received);
  }
}

TEST_CASE("session: where the listener has a dialect, the first bytes do not choose one") {
  Turns turns(nullptr, Service::http);
  TestClient client(turns.port());
  client.send(std::string("\0dhrt\1\0\n", 8));
  std::string received;
  while (received.size() < 7 && turns.answers(client, 0))
    received += client.receive(1);
  CHECK(received == std::string("\0dhrt\1\0", 7));
}

TEST_CASE("session: a stream that breaks ends the connection, so that its list is not complete") {
  Turns turns(stream_of({"1", ""}, Next::broken, 0));
  TestClient client(turns.port());
  client.send("sb\n");
  for (int i = 0; i < 1000 && !turns.ended(); ++i)
    turns.turn(0);
  REQUIRE(turns.ended());
  turns.turn(0);
  CHECK(client.receive_all() == "1");
}

TEST_CASE("session: what the last piece promises waits for the store, without turning the loop") {
  Turns turns(stream_of({"done"}, Next::end, 5));
  TestClient client(turns.port());
  client.send("s\n");
  CHECK_FALSE(turns.answers(client, 4));
  CHECK_FALSE(turns.more());
  REQUIRE(turns.answers(client, 5));
  CHECK(client.receive(4) == "done");
}

TEST_CASE("session: a client that waits for a disk that failed is cut off, behind a stream, too") {
  Turns turns(stream_of({"done"}, Next::end, 5));
  TestClient client(turns.port());
  client.send("s\n");
  CHECK_FALSE(turns.answers(client, 4));
  REQUIRE(turns.session(1) != nullptr);
  turns.session(1)->store_failed();
  CHECK(turns.ended());
  turns.turn(4);
  turns.turn(4);
  CHECK(client.receive_all().empty());
}

}  // namespace dhrt
