#include "node/node.h"

#include <algorithm>
#include <utility>

#include "node/exit_code.h"
#include "node/log.h"
#include "node/text_protocol.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

// Refused clients get an answer in their dialect, as long as there are not too many of them.
constexpr std::size_t refused_clients_max = 64;
// The identity is written at most this often; before the process ends in any case.
constexpr Duration identity_interval{100};
// A disk that is full is asked again after this long.
constexpr Duration identity_retry_interval{5000};
// Links may send their last bytes for this long after the node has left.
constexpr Duration flush_timeout{1000};

}  // namespace

Node::~Node() = default;

int Node::run() {
  loop_.run();
  return exit_code_;
}

// --- The turn -------------------------------------------------------------------------------

// Everything that this turn wrote becomes one group on the disk; what became durable meanwhile
// is told to the cluster, and the replies that waited for it go out.
void Node::end_turn() {
  ++figures_.turns_total;
  database_->publish();
  store_->commit();
  durable_ = cluster_->collect();
  update_view();
  for (const SessionId id : std::exchange(due_, {})) {
    if (Session* due = session(id)) due->turn_end(durable_);
  }
  if (const Status health = store_->health(); !health) {
    if (!disk_failed_) log_error("the disk failed", {{"reason", health.error().message}});
    disk_failed_ = true;
    for (const SessionId id : due_) {
      if (Session* due = session(id)) due->store_failed();
    }
  }
  // What the writes of peers, told in collect(), appended meanwhile.
  store_->commit();
  drop_ended();
  if (runnable_.empty()) busy_.turn_off();
  turn_clock_.turn_over();
}

void Node::update_view() {
  const NodeId self = core_->self().id;
  view_.belongs = core_->belongs();
  view_.healthy = core_->state() == MemberState::healthy;
  view_.alone = std::ranges::all_of(core_->members(), [&](const auto& entry) {
    return entry.first == self || entry.second.liveness >= Liveness::left;
  });
}

void Node::run_sessions() {
  for (const SessionId id : std::exchange(runnable_, {})) {
    if (Session* runnable = session(id)) runnable->run();
  }
}

void Node::tick() {
  if (has_left_) return finish_if_sent();
  cluster_->tick();
  update_view();
  report_progress();
  const Duration interval = identity_failed_ ? identity_retry_interval : identity_interval;
  if (identity_changed_ && monotonic_now() - identity_written_ >= interval) persist_identity();
}

void Node::persist_identity() {
  identity_changed_ = false;
  identity_failed_ = false;
  identity_written_ = monotonic_now();
  if (!data_dir_) return;
  if (const Status status = write_identity(data_dir_->identity_path(), identity_); !status) {
    identity_changed_ = true;
    identity_failed_ = true;
    log_error("the identity could not be saved", {{"reason", status.error().message}});
  }
}

void Node::report_progress() {
  if (!was_member_ && core_->belongs()) {
    was_member_ = true;
    if (!founds_) log_info("joined", {{"members", std::to_string(core_->members().size())}});
  }
  const bool healthy = core_->state() == MemberState::healthy;
  if (healthy && !was_healthy_ && !founds_)
    log_info("synced " + std::to_string(core_->sync_progress().records_pulled) + " records");
  was_healthy_ = healthy;
  if (was_member_ || leaving_ || monotonic_now() - started_ < options_.join_timeout) return;
  log_error("could not join a cluster within " +
                std::to_string(options_.join_timeout.count() / 1000) + "s",
            {{"waiting_for", waits_for()}, {"do", "start a node there, or raise --join-timeout"}});
  stop(exit_code::cannot_connect);
}

// --- Clients --------------------------------------------------------------------------------

std::optional<Error> Node::refusal(const TcpConnection& connection) const {
  if (!options_.allow_public && !connection.remote_is_private())
    return Error{ErrorCode::unavailable,
                 "this node has no token and serves loopback and private addresses only; "
                 "--allow-public opens it to everybody"};
  if (sessions_.size() >= options_.max_clients)
    return Error{ErrorCode::busy, "the limit of " + std::to_string(options_.max_clients) +
                                      " connections is reached; --max-clients moves it"};
  return std::nullopt;
}

void Node::accept(std::unique_ptr<TcpConnection> connection) {
  if (leaving_) return;
  ++figures_.connections_total;
  auto refused = refusal(*connection);
  if (refused) {
    ++figures_.connections_refused;
    if (sessions_.size() >= options_.max_clients + refused_clients_max) return;
  }
  const SessionId id = ++session_ids_;
  auto& added = sessions_[id];
  added =
      std::make_unique<Session>(std::move(connection),
                                Session::Options{.id = id,
                                                 .output_buffer_max = server_->output_buffer_max,
                                                 .handshake_timeout = options_.handshake_timeout,
                                                 .idle_timeout = options_.timeout,
                                                 .refused = std::move(refused),
                                                 .now = monotonic_now()},
                                *this);
  connections_ = sessions_.size();
  added->start();
}

Session* Node::session(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void Node::has_more_to_do(SessionId id) {
  runnable_.insert(id);
  busy_.turn_on();
}

void Node::drop_ended() {
  for (const SessionId id : std::exchange(ended_, {}))
    sessions_.erase(id);
  connections_ = sessions_.size();
}

void Node::is_peer(Session& session, LinkClass link_class) {
  Session::Taken taken = session.give_up_connection();
  session_ended(session.id());
  if (!options_.allow_public && !taken.connection->remote_is_private()) {
    log_warning("a peer from a public address was refused; --allow-public lets it in",
                {{"peer", taken.connection->remote_host()}});
    return;
  }
  cluster_->accept(std::move(taken.connection), link_class, taken.rest);
}

void Node::slow_client(SessionId id) {
  ++figures_.slow_clients_disconnected;
  const Session* slow = session(id);
  log_warning("a client that does not read its replies was disconnected",
              {{"client", slow == nullptr ? "" : slow->connection().remote_host()},
               {"limit", "--output-buffer-max"}});
}

std::unique_ptr<ClientProtocol> Node::make_protocol(Dialect dialect, Session& session) {
  switch (dialect) {
    case Dialect::http:
    case Dialect::http_too_long:
      return std::make_unique<HttpProtocol>(*server_, http_rules_, session,
                                            dialect == Dialect::http_too_long);
    case Dialect::tls:
      log_warning("a client asked for TLS, which this node does not speak",
                  {{"client", session.connection().remote_host()}});
      // The alert "handshake_failure" (RFC 8446, section 6.2), so that the client says why.
      session.reply(Bytes("\x15\x03\x03\x00\x02\x02\x28", 7), 0);
      return nullptr;
    case Dialect::text:
    case Dialect::resp:
    case Dialect::undecided:
    case Dialect::peer_control:
    case Dialect::peer_bulk:
      break;
  }
  return std::make_unique<TextProtocol>(*server_, session);
}

// --- Leaving --------------------------------------------------------------------------------

void Node::leave() {
  leave_wakeup_.send();
}

void Node::begin_leaving() {
  if (leaving_) {
    hastened_ = true;
    if (!has_left_) left();
    return;
  }
  leaving_ = true;
  log_info("leaving the cluster; a second signal hastens");
  for (const auto& [id, client] : sessions_)
    client->close_after_replies();
  cluster_->input(LeaveRequested{});
}

void Node::left() {
  if (has_left_) return;
  has_left_ = true;
  left_at_ = monotonic_now();
}

void Node::finish_if_sent() {
  const bool sent = cluster_->unsent() == 0 && sessions_.empty();
  if (sent || hastened_ || monotonic_now() - left_at_ > flush_timeout) stop(exit_code::done);
}

void Node::stop(int exit_code) {
  exit_code_ = exit_code;
  persist_identity();
  if (const Status drained = store_->drain(); !drained) {
    log_error("not everything could be saved", {{"reason", drained.error().message}});
    exit_code_ = exit_code::server_error;
  } else if (exit_code == exit_code::done) {
    log_info("left; nothing is waiting to be saved");
  }
  loop_.stop();
}

}  // namespace dhrt
