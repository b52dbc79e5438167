// One dhrt node in this process: its event loops with their clients, the storage engine that they
// share, and the cluster core.
//
// Intuition: --cpu-num event loops serve clients side by side (ClientLoop). The first of them,
// the main one, also has what a node has once: the cluster core and its links, the identity,
// timers, signals. It runs on the thread of run(), the others have threads of their own.
// What one loop wants of another it sends as a letter; nothing waits for an answer.
//
// Use: open() does all that can fail because of the machine (directory, store, port), run()
// turns until the node has left. Threads: open, run and the destructor on one thread; leave()
// on any; what is private on the main loop's, unless said otherwise.
// Errors: of open: busy, corrupt, io, invalid_argument; one line that says what to do.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/client_loop.h"
#include "node/cluster_driver.h"
#include "node/cluster_keys.h"
#include "node/data_dir.h"
#include "node/health_watch.h"
#include "node/identity_file.h"
#include "node/maintenance.h"
#include "node/nkvd_mesh.h"
#include "node/node_report.h"
#include "node/options.h"
#include "node/repairs.h"
#include "node/retirements.h"
#include "node/tls_self_signed.h"
#include "storage/engine.h"

namespace dhrt {

class Node {
 public:
  struct Hooks {
    std::function<void()> before_sync;  // Test only: the delay of a slow disk.
    // SIGHUP, SIGINT, SIGTERM and SIGQUIT make it leave, SIGUSR1 reloads.
    bool handles_signals = false;
    bool shows_banner = false;
  };
  static Result<std::unique_ptr<Node>> open(const NodeOptions& options, Hooks hooks);
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node();

  // The exit code: done after it left, cannot_connect if it could not join in time.
  int run();
  // Leaves the cluster and ends run(); a second call hastens.
  void leave();

  // The node's own address, for clients and peers.
  const Address& bound() const { return main_loop().bound(0).address; }
  // All that it listens on, that one first.
  std::vector<Endpoint> endpoints() const;
  // Any thread.
  const NodeFigures& figures(unsigned loop) const { return loops_[loop]->figures(); }
  unsigned loop_count() const { return static_cast<unsigned>(loops_.size()); }

 private:
  Node(const NodeOptions& options, Hooks hooks);
  // --- Start (node_start.cc).
  Status start();
  Status open_access();
  Status open_tls();
  Status open_request_log();
  std::vector<std::string> certificate_names() const;
  Status open_peer_access();
  Status open_identity();
  Status open_engine();
  Status open_loops();
  Status open_listeners();
  void start_clocks();
  void make_core();
  void serve();
  void begin_mesh();
  ClientLoop::CoreLink link_to_core(ClientLoop& loop);
  void handle_signals();
  void warn_of_keys() const;
  void show_banner() const;
  std::string tls_banner(const std::string& here) const;
  std::string waits_for() const;

  // --- The turn.
  ClientLoop& main_loop() const { return *loops_.front(); }
  EventLoop& events() const { return main_loop().events(); }
  Position collect();
  void tick();
  void reserve_hlc();
  void persist_identity();
  Status save_identity();
  void report_progress();
  void report_catch_up();
  std::map<NodeId, CatchUp> catching_up() const;
  // What the core knows now, for all who may not ask it.
  void update_view();
  void refresh_report();
  bool maintain();
  Status reload();

  // --- Between the loops.
  void bring_peer(Session::Taken taken, LinkClass link_class);  // Not on the main loop.
  struct CarriedPeer {
    FileDescriptor socket;
    std::unique_ptr<TlsStream> tls;
    LinkClass link_class;
    std::string rest;
  };
  void take_peer(CarriedPeer peer);
  void ask(unsigned loop, FanoutRead read);
  void answer(FanoutReply reply);
  void wait(unsigned loop, WaitForPeers wait);
  void end_wait(unsigned loop, WaitEnds ends);
  void answer(Waited waited);
  void wait_for_level(unsigned loop, WaitForLevel wait);
  void answer(LevelReached reached);
  // Of a loop without the core: behind the writes that it brought.
  void say(Publish said);

  // --- Leaving.
  void begin_leaving();
  void leave_by_command();
  void loop_settled();
  void left();
  void finish_if_sent();
  void stop(int exit_code);
  void finish();

  const NodeOptions options_;
  const Hooks hooks_;
  Access access_;
  std::unique_ptr<TlsContext> tls_;
  std::optional<SelfSigned> self_signed_;
  std::unique_ptr<RequestLog> request_log_;
  std::unique_ptr<TlsContext> peer_tls_;
  ClusterKeys keys_;  // Of the main loop.
  ClientLoop::Shared shared_;
  std::vector<std::unique_ptr<ClientLoop>> loops_;
  Wakeup leave_wakeup_;
  std::vector<UvHandle<uv_signal_t>> signals_;
  std::optional<DataDir> data_dir_;
  NodeIdentity identity_;
  std::uint64_t hlc_floor_ = 0;  // The clocks of this start begin above it.
  bool identity_changed_ = false;
  bool identity_failed_ = false;  // The last attempt to save it.
  Time identity_written_{};
  bool founds_ = false;             // Makes a cluster rather than waiting for one.
  std::unique_ptr<Engine> engine_;  // Ends before the loops, which it wakes.
  std::optional<Backups> backups_;
  std::optional<Saves> saves_;
  std::optional<dhrt::Core> core_;
  std::optional<ClusterDriver> cluster_;
  ClusterBoard board_;
  NkvdBoard nkvd_board_;
  std::optional<NkvdMesh> nkvd_mesh_;
  std::optional<HealthWatch> health_;
  std::optional<Repairs> repairs_;
  std::optional<Retirements> retirements_;
  std::vector<std::pair<std::string, std::string>> expired_;  // Of the step under way.

  Timer tick_;
  Maintenance maintenance_;
  Time started_;
  bool was_member_ = false;
  bool was_healthy_ = false;
  std::optional<Time> next_catch_up_line_;
  bool leaving_ = false;
  bool leaves_by_command_ = false;  // And no signal came since.
  std::size_t loops_settled_ = 0;   // While leaving.
  bool has_left_ = false;
  bool hastened_ = false;
  std::atomic<bool> is_to_hasten_{false};  // Whoever asked it to leave does not wait for others.
  Time left_at_{};
  int exit_code_ = 0;
};

}  // namespace dhrt
