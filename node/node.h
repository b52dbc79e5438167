// One dhrt node in this process: its store, its cluster core, its listener, its clients.
//
// Intuition: everything runs on one loop thread. What a turn of the loop brought is committed
// to the store as one group at the end of the turn; replies wait until it is durable.
//
// Use: open() does all that can fail because of the machine (directory, store, port), run()
// turns until the node has left. Threads: open, run and the destructor on one thread; leave()
// on any.
// Errors: of open: busy, corrupt, io, invalid_argument; one line that says what to do.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "node/cluster_driver.h"
#include "node/cluster_view.h"
#include "node/commands.h"
#include "node/data_dir.h"
#include "node/database.h"
#include "node/event_loop.h"
#include "node/http_protocol.h"
#include "node/identity_file.h"
#include "node/listener.h"
#include "node/node_report.h"
#include "node/options.h"
#include "node/session.h"

namespace dhrt {

class Node final : public SessionHost {
 public:
  struct Hooks {
    std::function<void()> before_sync;  // Test only: the delay of a slow disk.
    bool handles_signals = false;       // SIGHUP, SIGINT, SIGTERM and SIGQUIT make it leave.
    bool shows_banner = false;
  };
  static Result<std::unique_ptr<Node>> open(const NodeOptions& options, Hooks hooks);
  ~Node() override;

  // The exit code: done after it left, cannot_connect if it could not join in time.
  int run();
  // Leaves the cluster and ends run(); a second call hastens.
  void leave();

  const Address& bound() const { return listener_->bound(); }
  const NodeFigures& figures() const { return figures_; }

 private:
  Node(const NodeOptions& options, Hooks hooks);
  // --- Start (node_start.cc).
  Status start();
  Status open_identity();
  Status open_store();
  Status open_listener();
  void make_core();
  void handle_signals();
  void show_banner() const;
  std::string waits_for() const;

  // --- The turn.
  void end_turn();
  void run_sessions();
  void tick();
  void persist_identity();
  void report_progress();
  // What the core knows now, for all who may not ask it.
  void update_view();

  // --- Clients.
  void accept(std::unique_ptr<TcpConnection> connection);
  std::optional<Error> refusal(const TcpConnection& connection) const;
  void drop_ended();
  TurnClock& clock() override { return turn_clock_; }
  Session* session(SessionId id) override;
  void reply_is_due(SessionId id) override { due_.insert(id); }
  void has_more_to_do(SessionId id) override;
  void session_ended(SessionId id) override { ended_.push_back(id); }
  void is_peer(Session& session, LinkClass link_class) override;
  void slow_client(SessionId id) override;
  std::unique_ptr<ClientProtocol> make_protocol(Dialect dialect, Session& session) override;

  // --- Leaving.
  void begin_leaving();
  void left();
  void finish_if_sent();
  void stop(int exit_code);

  const NodeOptions options_;
  const Hooks hooks_;
  NodeFigures figures_;
  EventLoop loop_;
  TurnClock turn_clock_;
  std::optional<DataDir> data_dir_;
  NodeIdentity identity_;
  bool identity_changed_ = false;
  bool identity_failed_ = false;  // The last attempt to save it.
  Time identity_written_{};
  bool founds_ = false;  // Makes a cluster rather than waiting for one.
  Wakeup store_wakeup_;
  Wakeup leave_wakeup_;
  std::vector<UvHandle<uv_signal_t>> signals_;
  std::unique_ptr<Store> store_;
  HybridClock clock_;
  std::optional<RecordWriter> writer_;
  std::optional<Catalog> catalog_;
  std::optional<StoreDriver> store_driver_;
  std::optional<Core> core_;
  ClusterView view_;
  std::optional<ClusterDriver> cluster_;
  std::optional<Database> database_;
  std::optional<NodeReport> report_;
  std::optional<CommandServer> server_;
  HttpRules http_rules_;
  std::unique_ptr<Listener> listener_;

  Position durable_ = 0;
  SessionId session_ids_ = 0;
  std::map<SessionId, std::unique_ptr<Session>> sessions_;
  std::size_t connections_ = 0;  // Clients, as the figures show them.
  std::set<SessionId> due_;
  std::set<SessionId> runnable_;
  std::vector<SessionId> ended_;

  Timer tick_;
  Timer maintenance_;
  Timer sweep_;
  TurnEnd turn_end_;
  Busy busy_;
  Time started_;
  bool disk_failed_ = false;
  bool was_member_ = false;
  bool was_healthy_ = false;
  bool leaving_ = false;
  bool has_left_ = false;
  bool hastened_ = false;
  Time left_at_{};
  int exit_code_ = 0;
};

// Raises the limit of open files for `max_clients`; a sentence if the system does not allow it.
std::optional<std::string> raise_descriptor_limit(std::uint64_t max_clients);

}  // namespace dhrt
