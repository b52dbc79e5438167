// One event loop and the clients that the kernel gave it: their listener, their sessions, the
// store as this loop sees it, and everything that serves them.
//
// Intuition: a node is several of these beside each other. A connection stays on its loop, and a
// request of it needs nothing of the others: records are shared below, in the storage engine, and
// what the cluster is like can be read by all (ClusterView). What concerns the cluster core goes
// to the loop that has it, as letters: what became durable here, reads that ask the peers, callers
// that turn out to be peers.
// A turn: what it brought is committed as one group; replies wait until that is durable.
//
// Use: construct, open(), serve(), listen(), then start_thread(), or turn the loop oneself.
// Threads: the one that turns the loop; but wake, post, view, figures and number on any, and
// everything before the loop turns on that of the node.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "node/client_hooks.h"
#include "node/client_roll.h"
#include "node/cluster_view.h"
#include "node/commands.h"
#include "node/database.h"
#include "node/doorkeeper.h"
#include "node/event_loop.h"
#include "node/figures.h"
#include "node/file_descriptor.h"
#include "node/hermod_protocol.h"
#include "node/http_protocol.h"
#include "node/levels.h"
#include "node/listener.h"
#include "node/node_report.h"
#include "node/node_settings.h"
#include "node/options.h"
#include "node/placement.h"
#include "node/redis_cursors.h"
#include "node/redis_delays.h"
#include "node/redis_listeners.h"
#include "node/redis_shared.h"
#include "node/redis_waits.h"
#include "node/refused_peers.h"
#include "node/saves.h"
#include "node/session.h"
#include "node/session_waits.h"
#include "node/turn_clock.h"
#include "node/watch_hub.h"

namespace dhrt {

class ClientLoop final : public SessionHost, private ClientRoll {
 public:
  // What the loops of a node have in common; outlives them.
  struct Shared {
    const NodeOptions& options;
    const Access& access;                            // Loaded before anybody is served.
    const std::unique_ptr<TlsContext>& tls;          // The same; null: clients get none.
    const std::unique_ptr<TlsContext>& peer_tls;     // The same; null: nodes get none.
    const std::unique_ptr<RequestLog>& request_log;  // The same; null: none is kept.
    Placement placement;                             // Of the clients.
    NodeSettings settings;
    RedisShared redis;
    ClusterView view{};  // Kept by the loop with the core.
    std::atomic<bool> disk_failed{false};
    Backups* backups = nullptr;
    Saves* saves = nullptr;
    const NkvdBoard* nkvd = nullptr;                // Null: there is no mesh.
    std::function<void(bool hastens)> shut_down{};  // Leaves the cluster and ends the process.
    std::function<void(std::function<void(Status)>)> reload{};  // See CommandServer.
    std::function<void(std::string, std::function<void(Status)>)> evict{};
    std::function<void(std::function<void(Status)>)> leave_for_good{};
    std::vector<ClientLoop*> loops{};  // All, before any of them turns.
    RedisCursors cursors{};
    RedisChannels channels{};
    WatchHub watches{};
  };
  // Where the cluster core is. Called on this loop's thread.
  struct CoreLink {
    // Only on the loop that has the core: tells it what became durable, up to the result.
    std::function<Position()> collect;
    // On the others: the same, by letter.
    std::function<void(StoreNews)> bring;
    std::function<void(FanoutRead)> ask;
    std::function<void(Publish)> publish;
    std::function<void(WaitForPeers)> wait;  // Answered as `ask` is, by waits().
    std::function<void(WaitEnds)> wait_ends;
    std::function<void(WaitForLevel)> wait_for_level;  // The same, by level_waits().
    // A caller is a peer.
    std::function<void(Session::Taken, LinkClass)> peer;
    // Only on the loop that has the core: what is reported about the cluster is of this moment.
    std::function<void()> refresh;
  };

  ClientLoop(unsigned number, Shared& shared);
  ~ClientLoop() override;

  // --- Start, in this order.
  // `first`: the loop whose catalog is loaded; null: this is it.
  Status open(Store& store, const Origin& origin, const ClientLoop* first);
  void serve(CoreLink core, const NodeReport::Node& node, HttpRules rules, std::string waits_for);
  Status listen(const Endpoint& endpoint);
  // On everything that `first` listens on; a unix socket is left to it.
  Status listen_beside(ClientLoop& first);
  void start_thread();
  // What its thread does; for the loop that has the caller's.
  void turn_beside_others();

  // --- The end.
  // Takes no more clients; those that are here get what they asked for. `settled` is called when
  // all that they wrote is durable and was told.
  void leave(std::function<void()> settled);
  // Turns no more. Joins the thread, if there is one.
  void stop();
  // Neither thread nor clients any more; before the store ends.
  void end();

  // --- From any thread.
  void wake() { store_wakeup_.send(); }
  void post(std::function<void()> letter) { mailbox_.post(std::move(letter)); }
  unsigned number() const { return number_; }
  NodeFigures& figures() { return figures_; }

  // --- For the node.
  EventLoop& events() { return events_; }
  // What it listens on, as it was told to.
  const Endpoint& bound(std::size_t listener) const { return doors_[listener]->bound(); }
  std::size_t bound_count() const { return doors_.size(); }
  HybridClock& hybrid_clock() { return hybrid_clock_; }
  Store& store() { return *store_; }
  StoreDriver& driver() { return *driver_; }
  Database& database() { return *database_; }
  RedisListeners& listeners() { return *listeners_; }
  RedisWaits& waits() { return *waits_; }
  Watchers& watchers() { return watchers_; }
  LevelWaits& level_waits() { return *level_waits_; }
  KeyEvents& key_events() { return *key_events_; }

 private:
  // --- The turn.
  void end_turn();
  Position collect();
  void bring_news();
  void keep_said(const Publish& said);
  void tell_cleared();
  void tell_peers(Position durable);
  void check_disk();
  void check_settled();
  void run_sessions();
  void sweep();

  // --- Clients.
  void visit_clients(FunctionRef<void(Session&)> visit) override;
  unsigned loop_number() const override { return number_; }
  Session* find_client(SessionId id) override { return session(id); }
  // Where a client came in.
  struct Door {
    Service service = Service::dhrt;
    bool tls_only = false;
  };
  static Door door_of(const Endpoint& endpoint) { return {endpoint.service, endpoint.tls}; }
  Listener::Accept accept_for(Door door);
  void accept(std::unique_ptr<StreamConnection> connection, Door door);
  void take_over(FileDescriptor socket, Door door);
  void welcome(std::unique_ptr<StreamConnection> connection, Door door);
  std::optional<Error> refusal(const StreamConnection& connection, std::size_t others) const;
  void drop_ended();
  TurnClock& clock() override { return turn_clock_; }
  RequestHooks* hooks() override { return &hooks_; }
  Session* session(SessionId id) override;
  void reply_is_due(SessionId id) override { due_.push_back(id); }
  void has_more_to_do(SessionId id) override;
  void session_ended(SessionId id) override { ended_.push_back(id); }
  std::optional<std::string> refuse_peer(Session& session) override;
  void is_peer(Session& session, LinkClass link_class) override;
  void tls_failed(Session& session, const std::string& reason) override;
  void slow_client(SessionId id) override;
  void client_refused(Session& session, const Error& why) override;
  std::unique_ptr<ClientProtocol> make_protocol(Dialect dialect, Session& session) override;
  std::unique_ptr<ClientProtocol> make_protocol_of(Service service, Session& session) override;

  const unsigned number_;
  Shared& shared_;
  NodeFigures figures_;
  ClientHooks hooks_;
  EventLoop events_;
  Wakeup store_wakeup_;
  Mailbox mailbox_;
  HandshakeQueue handshakes_;
  std::thread thread_;

  TurnClock turn_clock_;
  Store* store_ = nullptr;
  HybridClock hybrid_clock_;
  std::optional<RecordWriter> writer_;
  std::optional<Catalog> catalog_;
  std::optional<StoreDriver> driver_;
  StoreNews news_;  // Not brought to the core yet.
  CoreLink core_;
  std::optional<KeyEvents> key_events_;
  std::optional<Database> database_;
  std::optional<NodeReport> report_;
  std::optional<RedisListeners> listeners_;
  Watchers watchers_;
  // What clients said on channels, for peers: behind what was written before, so that who hears it
  // there finds that, too.
  struct Said {
    Position behind = 0;
    Publish said;
  };
  std::deque<Said> said_;
  std::size_t said_bytes_ = 0;
  std::optional<Doorkeeper> doorkeeper_;
  std::optional<CommandServer> server_;
  HttpRules http_rules_;
  const HermodRules hermod_rules_;
  std::vector<std::unique_ptr<Listener>> doors_;

  RefusedPeers refused_peers_;
  SessionId session_ids_ = 0;
  std::unordered_map<SessionId, std::unique_ptr<Session>> sessions_;
  std::vector<SessionId> due_;      // Each once: see Session.
  std::vector<SessionId> due_now_;  // While they are served; empty between turns.
  std::set<SessionId> runnable_;
  std::vector<SessionId> ended_;
  bool leaving_ = false;
  bool stopped_ = false;           // The store may be closed; libuv ends the turn that it is in.
  std::function<void()> settled_;  // To be called while leaving.

  RedisDelays delays_;
  std::optional<RedisWaits> waits_;
  std::optional<LevelWaits> level_waits_;
  std::optional<Levels> levels_;
  std::optional<SessionWaits> session_waits_;
  Timer sweep_;
  TurnEnd turn_end_;
  Busy busy_;
};

}  // namespace dhrt
