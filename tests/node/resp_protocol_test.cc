// A session of nothing but Redis commands, as arrays and as lines.
#include <functional>
#include <utility>

#include "node/listener.h"
#include "node/redis_delays.h"
#include "node/redis_listeners.h"
#include "node/redis_protocol.h"
#include "node/redis_shared.h"
#include "tests/node/node_fixture.h"

namespace dhrt {

namespace {

// What a session of one loop needs, on a loop that the test turns by hand; everything is in memory.
class RespLoop final : public SessionHost {
 public:
  RespLoop() {
    EngineOptions options{.node = 1};
    options.wake.emplace_back([] {});
    auto opened = Engine::open(options);
    REQUIRE(opened.has_value());
    engine_ = std::move(*opened);
    store_ = &engine_->store(0);
    writer_.emplace(*store_, clock_, Origin{1, 1, 0});
    catalog_.emplace(*store_, *writer_, CatalogOptions{.memory = true});
    REQUIRE(catalog_->load(wall_now()).has_value());
    driver_.emplace(*store_, *catalog_, *writer_, StoreDriverOptions{});
    view_.belongs.set(true);
    view_.healthy.set(true);
    view_.alone.set(true);
    events_.emplace(shared_.settings.events, KeyEvents::Hooks{[](const std::string&, Bytes) {},
                                                              [](const std::string&, Bytes) {}});
    database_.emplace(Database::Parts{*store_, *catalog_, *writer_, *driver_, view_, turn_clock_,
                                      figures_, true, &*events_},
                      "", [](const FanoutRead&) {});
    backups_.emplace(*engine_, "");
    report_.emplace(NodeReport::Node{.cluster = board_,
                                     .view = view_,
                                     .engine = *engine_,
                                     .backups = *backups_,
                                     .figures = {&figures_},
                                     .options = options_,
                                     .started = monotonic_now()},
                    *store_, *catalog_, nullptr);
    listeners_.emplace(channels_, 0, RedisListeners::Hooks{});
    server_.emplace(CommandServer{.database = *database_,
                                  .report = *report_,
                                  .figures = figures_,
                                  .limits = {},
                                  .output_buffer_max = std::size_t{1} << 20,
                                  .listeners = &*listeners_,
                                  .redis = &shared_,
                                  .options = &options_,
                                  .loops = {.own = 0, .count = 1, .post = {}}});
    auto listener = Listener::open(loop_, *parse_address("127.0.0.1:0"), [this](auto connection) {
      session_ = std::make_unique<Session>(
          std::move(connection),
          Session::Options{.id = 1, .output_buffer_max = std::size_t{1} << 20, .now = {}}, *this);
      session_->start();
    });
    REQUIRE(listener.has_value());
    listener_ = std::move(*listener);
  }
  ~RespLoop() override { session_.reset(); }

  // Sends the bytes in pieces; what is answered to them.
  std::string answers(const std::vector<std::string>& pieces, std::size_t bytes) {
    TestClient client(listener_->bound().port);
    std::string received;
    for (const std::string& piece : pieces) {
      client.send(piece);
      for (int i = 0; i < 5; ++i)
        turn();
    }
    for (int i = 0; i < 2000 && received.size() < bytes; ++i) {
      turn();
      if (client.anything_within(0)) received += client.receive(1);
    }
    session_.reset();
    return received;
  }

 private:
  void turn() {
    uv_run(loop_.raw(), UV_RUN_NOWAIT);
    if (std::exchange(more_, false) && session_) session_->run();
    database_->publish();
    store_->commit();
    store_->collect();
    if (std::exchange(due_, false) && session_) session_->turn_end(~Position{0});
    turn_clock_.turn_over();
  }
  TurnClock& clock() override { return turn_clock_; }
  Session* session(SessionId) override { return session_.get(); }
  void reply_is_due(SessionId) override { due_ = true; }
  void has_more_to_do(SessionId) override { more_ = true; }
  void session_ended(SessionId) override {}
  void is_peer(Session&, LinkClass) override {}
  void slow_client(SessionId) override {}
  std::unique_ptr<ClientProtocol> make_protocol(Dialect, Session& session) override {
    return std::make_unique<RespProtocol>(*server_, session);
  }

  EventLoop loop_;
  TurnClock turn_clock_;
  NodeOptions options_;
  NodeFigures figures_;
  ClusterView view_;
  ClusterBoard board_;
  RedisShared shared_{1};
  RedisChannels channels_;
  HybridClock clock_;
  std::unique_ptr<Engine> engine_;
  Store* store_ = nullptr;
  std::optional<RecordWriter> writer_;
  std::optional<Catalog> catalog_;
  std::optional<StoreDriver> driver_;
  std::optional<KeyEvents> events_;
  std::optional<Database> database_;
  std::optional<Backups> backups_;
  std::optional<NodeReport> report_;
  std::optional<RedisListeners> listeners_;
  std::optional<CommandServer> server_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Session> session_;
  bool due_ = false;
  bool more_ = false;
};

}  // namespace

TEST_CASE("inline commands: lines and arrays are Redis commands, cut wherever they are") {
  const std::string input =
      "PING\r\nset k \"a b\"\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\nget k\r\nSTRLEN k\nset k 'c'\nGET "
      "k\r\n";
  const std::string expected = "+PONG\r\n+OK\r\n$3\r\na b\r\n$3\r\na b\r\n:3\r\n+OK\r\n$1\r\nc\r\n";
  RespLoop loop;
  CHECK(loop.answers({input}, expected.size()) == expected);
  for (std::size_t cut = 1; cut < input.size(); ++cut) {
    CAPTURE(cut);
    CHECK(loop.answers({input.substr(0, cut), input.substr(cut)}, expected.size()) == expected);
  }
}

TEST_CASE("inline commands: native text means nothing there, and errors are those of Redis") {
  RespLoop loop;
  const std::string unknown = "-ERR unknown command 'collections', with args beginning with: \r\n";
  CHECK(loop.answers({"collections\r\n"}, unknown.size()) == unknown);
  const std::string unbalanced = "+PONG\r\n-ERR Protocol error: unbalanced quotes in request\r\n";
  CHECK(loop.answers({"PING\nset k \"v\nPING\n"}, unbalanced.size() + 7) == unbalanced);
}

}  // namespace dhrt
