#include "node/client_loop.h"

#include <algorithm>
#include <utility>

#include "node/hati_protocol.h"
#include "node/log.h"
#include "node/machine.h"
#include "node/nkvd_mesh.h"
#include "node/redis_protocol.h"
#include "node/rpc_protocol.h"
#include "node/socket_handover.h"
#include "node/text_protocol.h"
#include "protocol/peer_handshake.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

// Refused clients get an answer in their dialect, as long as there are not too many of them.
constexpr std::size_t refused_clients_max = 64;
constexpr Duration sweep_interval{250};
// What clients said and peers are not told yet: while the disk stands still, more is dropped.
constexpr std::size_t said_bytes_max = std::size_t{64} << 20;
// Ids of sessions are unique in the node: every loop has its own remainder.
constexpr SessionId session_id_step = event_loops_max;

}  // namespace

ClientLoop::ClientLoop(unsigned number, Shared& shared)
    : number_(number),
      shared_(shared),
      hooks_(figures_, shared.request_log),
      store_wakeup_(events_, [] {}),  // The turn that it brings collects.
      mailbox_(events_),
      handshakes_(events_),
      watchers_(shared.watches, number),
      hermod_rules_{shared.options.hermod_terminator, shared.options.hermod_token,
                    shared.options.hermod_anonymous},
      refused_peers_(figures_),
      delays_(events_),
      sweep_(events_, [this] { sweep(); }),
      turn_end_(events_, [this] { end_turn(); }),
      busy_(events_, [this] { run_sessions(); }) {}

ClientLoop::~ClientLoop() {
  end();
}

// --- Start ----------------------------------------------------------------------------------

Status ClientLoop::open(Store& store, const Origin& origin, const ClientLoop* first) {
  store_ = &store;
  writer_.emplace(store, hybrid_clock_, origin);
  if (first != nullptr) {
    catalog_.emplace(store, *writer_, *first->catalog_);
  } else {
    catalog_.emplace(store, *writer_,
                     CatalogOptions{.memory = shared_.options.memory,
                                    .collections_max = shared_.options.max_collections});
    if (auto status = catalog_->load(wall_now()); !status) return status;
  }
  driver_.emplace(store, *catalog_, *writer_, StoreDriverOptions{});
  return {};
}

void ClientLoop::serve(CoreLink core, const NodeReport::Node& node, HttpRules rules,
                       std::string waits_for) {
  core_ = std::move(core);
  http_rules_ = std::move(rules);
  key_events_.emplace(
      shared_.redis.settings.events,
      KeyEvents::Hooks{.say = [this](const std::string& channel,
                                     Bytes payload) { listeners_->publish(channel, payload); },
                       .say_here =
                           [this](const std::string& channel, Bytes payload) {
                             listeners_->spread({channel, std::string(payload)});
                           }});
  database_.emplace(Database::Parts{*store_, *catalog_, *writer_, *driver_, shared_.view,
                                    turn_clock_, figures_, &*key_events_,
                                    shared_.nkvd == nullptr ? std::function<void()>()
                                                            : [this] { tell_cleared(); }},
                    std::move(waits_for), core_.ask);
  report_.emplace(node, *store_, *catalog_, core_.refresh);
  listeners_.emplace(shared_.channels, number_,
                     RedisListeners::Hooks{
                         .pass_on =
                             [this](unsigned loop, const auto& said, const auto& deliveries) {
                               ClientLoop* const other = shared_.loops[loop];
                               other->post([=] { other->listeners().deliver(*said, deliveries); });
                             },
                         .tell_peers =
                             [this](const Publish& said) {
                               // What nodes say to each other there no client may say.
                               if (said.channel == nkvd::channel) return;
                               if (!shared_.view.alone.get()) keep_said(said);
                             }});
  waits_.emplace(delays_, RedisWaits::Hooks{.ask =
                                                [this](WaitForPeers wait) {
                                                  wait.loop = static_cast<std::uint16_t>(number_);
                                                  core_.wait(wait);
                                                },
                                            .end = core_.wait_ends});
  level_waits_.emplace(core_.wait_for_level);
  levels_.emplace(*database_, *level_waits_, figures_);
  session_waits_.emplace(events_,
                         SessionWaits::Parts{*database_, *report_, shared_.options.read_timeout});
  ProtocolLimits limits;
  limits.value_bytes_max = shared_.options.max_value_bytes;
  doorkeeper_.emplace(shared_.access, figures_, turn_clock_);
  server_.emplace(CommandServer{.database = *database_,
                                .report = *report_,
                                .figures = figures_,
                                .limits = limits,
                                .limits_before_token = before_token(limits),
                                .output_buffer_max = shared_.options.output_buffer_max,
                                .doorkeeper = &*doorkeeper_,
                                .levels = &*levels_,
                                .session_waits = &*session_waits_,
                                .backups = shared_.backups,
                                .cursors = &shared_.cursors,
                                .listeners = &*listeners_,
                                .redis = &shared_.redis,
                                .delays = &delays_,
                                .waits = &*waits_,
                                .watchers = &watchers_,
                                .saves = shared_.saves,
                                .settings = &shared_.settings,
                                .options = &shared_.options,
                                .nkvd = shared_.nkvd,
                                .shut_down = shared_.shut_down,
                                .reload = shared_.reload,
                                .evict = shared_.evict,
                                .leave_for_good = shared_.leave_for_good,
                                .loops = {.own = number_,
                                          .count = static_cast<unsigned>(shared_.loops.size()),
                                          .post =
                                              [this](unsigned loop, auto letter) {
                                                ClientLoop* const asked = shared_.loops[loop];
                                                asked->post([asked, letter = std::move(letter)] {
                                                  letter(*asked);
                                                });
                                              }},
                                .post = [this](auto letter) { post(std::move(letter)); }});
}

Listener::Accept ClientLoop::accept_for(Door door) {
  return [this, door](auto client) { accept(std::move(client), door); };
}

Status ClientLoop::listen(const Endpoint& endpoint) {
  auto opened = Listener::open(events_, endpoint, accept_for(door_of(endpoint)));
  if (!opened) return tl::unexpected(opened.error());
  doors_.push_back(std::move(*opened));
  return {};
}

Status ClientLoop::listen_beside(ClientLoop& first) {
  for (const auto& shared : first.doors_) {
    if (shared->bound().is_unix()) continue;
    if (auto status = shared->share(); !status) return status;
    auto opened = Listener::open_beside(*shared, events_, accept_for(door_of(shared->bound())));
    if (!opened) return tl::unexpected(opened.error());
    doors_.push_back(std::move(*opened));
  }
  return {};
}

void ClientLoop::start_thread() {
  thread_ = std::thread([this] { turn_beside_others(); });
}

// A loop that interrupts the sender of each request serves one request per turn. With several
// loops on few processors that is most of what they cost more than one.
void ClientLoop::turn_beside_others() {
  wake_without_interrupting();
  events_.run();
}

// --- The turn -------------------------------------------------------------------------------

// Everything that this turn wrote becomes one group on the disk; what became durable meanwhile
// is told to the cluster, and the replies that waited for it go out.
void ClientLoop::end_turn() {
  if (stopped_) return;
  ++figures_.turns_total;
  database_->publish();
  store_->commit();
  const Position durable = collect();
  figures_.durable_position = durable;
  tell_peers(durable);
  due_now_.swap(due_);
  for (const SessionId id : due_now_) {
    if (Session* due = session(id)) due->turn_end(durable);
  }
  due_now_.clear();
  check_disk();
  check_settled();
  // What was appended in collect(): writes of peers, on the loop that has the core.
  store_->commit();
  drop_ended();
  if (runnable_.empty()) busy_.turn_off();
  turn_clock_.turn_over();
}

Position ClientLoop::collect() {
  if (core_.collect) return core_.collect();
  const Position durable = driver_->collect(news_);
  // A node that is alone has nobody to tell, and the core may hear of it later; who watches is
  // woken from there.
  if (shared_.view.alone.get() && !shared_.view.watched.get() && !leaving_ &&
      !shared_.watches.any())
    news_.keep_last_writes();
  else
    bring_news();
  return durable;
}

void ClientLoop::bring_news() {
  if (!news_.empty()) core_.bring(std::exchange(news_, {}));
}

void ClientLoop::keep_said(const Publish& said) {
  const std::size_t bytes = said.channel.size() + said.payload.size();
  if (said_bytes_ + bytes > said_bytes_max) {
    ++figures_.replication_dropped_total;
    return;
  }
  said_bytes_ += bytes;
  said_.push_back({database_->last_written(), said});
}

// A gateway to nkvd hears of it behind the deletion itself, wherever it is.
void ClientLoop::tell_cleared() {
  if (!shared_.view.alone.get())
    keep_said(
        {.channel = std::string(nkvd::channel), .payload = to_text(nkvd::Gossip{.clear = true})});
  shared_.nkvd->cleared();
}

void ClientLoop::tell_peers(Position durable) {
  for (; !said_.empty() && said_.front().behind <= durable; said_.pop_front()) {
    Publish& said = said_.front().said;
    said_bytes_ -= said.channel.size() + said.payload.size();
    core_.publish(std::move(said));
  }
  // A node that is alone keeps its news to itself otherwise.
  const bool asks = waits_->any_before(durable) || level_waits_->any_before(durable);
  if (asks && !core_.collect) bring_news();
  waits_->durable(durable);
  level_waits_->durable(durable);
}

void ClientLoop::check_disk() {
  const Status health = store_->health();
  if (health) return;
  if (!shared_.disk_failed.exchange(true))
    log_error("the disk failed", {{"reason", health.error().message}});
  level_waits_->disk_failed(health.error());
  due_now_ = due_;
  for (const SessionId id : due_now_) {
    if (Session* due = session(id)) due->store_failed();
  }
  due_now_.clear();
}

// No session takes requests while leaving, so what is settled stays so.
void ClientLoop::check_settled() {
  if (settled_ && (driver_->settled() || !store_->health())) std::exchange(settled_, {})();
}

void ClientLoop::run_sessions() {
  for (const SessionId id : std::exchange(runnable_, {})) {
    if (Session* runnable = session(id)) runnable->run();
  }
}

void ClientLoop::sweep() {
  const Time now = monotonic_now();
  const Duration idle_timeout(shared_.settings.timeout_milliseconds.load());
  for (const auto& [id, client] : sessions_) {
    client->set_idle_timeout(idle_timeout);
    client->check_time(now);
  }
  bring_news();
  // Without clients, and with nothing to tell, the loop sleeps until somebody comes.
  if (sessions_.empty() && driver_->settled()) sweep_.cancel();
}

// --- Clients --------------------------------------------------------------------------------

std::optional<Error> ClientLoop::refusal(const StreamConnection& connection,
                                         std::size_t others) const {
  const bool is_protected = !shared_.access.open() || shared_.options.allow_public;
  if (!is_protected && !connection.remote_is_private())
    return Error{ErrorCode::unavailable,
                 "this node has no token and serves loopback and private addresses only; "
                 "--token-file gives it one, --allow-public opens it to everybody"};
  const std::uint64_t max_clients = shared_.settings.max_clients;
  if (others >= max_clients)
    return Error{ErrorCode::busy, "the limit of " + std::to_string(max_clients) +
                                      " connections is reached; --max-clients moves it"};
  return std::nullopt;
}

void ClientLoop::accept(std::unique_ptr<StreamConnection> connection, Door door) {
  if (leaving_) return;
  const unsigned chosen = shared_.placement.place(number_);
  if (chosen == number_) return welcome(std::move(connection), door);
  auto socket = take_socket(*connection);
  if (!socket) {
    shared_.placement.stays(number_, chosen);
    return welcome(std::move(connection), door);
  }
  // A letter can be copied, a descriptor cannot.
  const auto carried = std::make_shared<FileDescriptor>(std::move(*socket));
  ClientLoop* const loop = shared_.loops[chosen];
  loop->post([loop, carried, door] { loop->take_over(std::move(*carried), door); });
}

void ClientLoop::take_over(FileDescriptor socket, Door door) {
  auto connection = adopt_socket(events_, std::move(socket));
  if (connection && !leaving_) return welcome(std::move(*connection), door);
  shared_.placement.left(number_, 1);
  if (!connection) log_warning(connection.error().message);
}

// It is counted already.
void ClientLoop::welcome(std::unique_ptr<StreamConnection> connection, Door door) {
  ++figures_.connections_total;
  // Nodes come to the node's own address only.
  connection->expect_tls({.clients = shared_.tls.get(),
                          .peers = door.service == Service::dhrt ? shared_.peer_tls.get() : nullptr,
                          .handshakes = &handshakes_,
                          .only = door.tls_only});
  const std::size_t others = shared_.placement.clients() - 1;
  auto refused = refusal(*connection, others);
  if (refused) {
    ++figures_.connections_refused;
    if (others >= shared_.options.max_clients + refused_clients_max)
      return shared_.placement.left(number_, 1);
  }
  const SessionId id = ++session_ids_ * session_id_step + number_;
  auto& added = sessions_[id];
  added = std::make_unique<Session>(
      std::move(connection),
      Session::Options{.id = id,
                       .service = door.service,
                       .grant = &shared_.access.without_token(),
                       .output_buffer_max = server_->output_buffer_max,
                       .handshake_timeout = shared_.options.handshake_timeout,
                       .idle_timeout = shared_.options.timeout,
                       .refused = std::move(refused),
                       .now = monotonic_now()},
      *this);
  figures_.connections = sessions_.size();
  if (!sweep_.active()) sweep_.every(sweep_interval);
  added->start();
}

void ClientLoop::visit_clients(FunctionRef<void(Session&)> visit) {
  std::vector<SessionId> ids;
  for (const auto& [id, session] : sessions_)
    ids.push_back(id);
  std::ranges::sort(ids);
  for (const SessionId id : ids) {
    Session* const found = session(id);
    if (found != nullptr && !found->is_over()) visit(*found);
  }
}

Session* ClientLoop::session(SessionId id) {
  const auto found = sessions_.find(id);
  return found == sessions_.end() ? nullptr : found->second.get();
}

void ClientLoop::has_more_to_do(SessionId id) {
  runnable_.insert(id);
  busy_.turn_on();
}

void ClientLoop::drop_ended() {
  for (const SessionId id : std::exchange(ended_, {})) {
    delays_.session_ended(id);
    shared_.placement.left(number_, sessions_.erase(id));
  }
  figures_.connections = sessions_.size();
}

// Nodes show no token: whoever is one reads and writes everything. Without a key and without
// certificates the address is all there is to go by.
std::optional<std::string> ClientLoop::refuse_peer(Session& session) {
  const StreamConnection& connection = session.connection();
  const NodeOptions& options = shared_.options;
  const auto refused = [&](const std::string& reason, std::string answer) {
    refused_peers_.note("a peer was refused", connection.remote_host(), reason);
    return answer;
  };
  if (connection.kind() != StreamConnection::Kind::tcp)
    return refused("it came to a unix socket; nodes reach each other by TCP", {});
  const bool shows_something = options.peer_tls || !options.cluster_key_files.empty();
  if (!shows_something && !options.allow_public && !connection.remote_is_private())
    return refused(
        "it has a public address; --cluster-key-file or --peer-tls on all nodes lets it "
        "in, and so does --allow-public",
        {});
  if (options.peer_tls ? connection.is_tls_with_peer() : !connection.is_encrypted())
    return std::nullopt;
  const auto refusal = options.peer_tls ? LinkRefusal::tls_wanted : LinkRefusal::no_tls;
  return refused(std::string(explain(refusal, true)), refusal_frame(refusal));
}

void ClientLoop::is_peer(Session& session, LinkClass link_class) {
  Session::Taken taken = session.give_up_connection();
  session_ended(session.id());
  core_.peer(std::move(taken), link_class);
}

void ClientLoop::tls_failed(Session& session, const std::string& reason) {
  const StreamConnection& connection = session.connection();
  if (connection.is_tls_for_peer())
    return refused_peers_.note("nodes did not come to terms about TLS", connection.remote_host(),
                               reason);
  log_info("a client did not come to terms about TLS",
           {{"client", connection.remote_host()}, {"reason", reason}});
}

void ClientLoop::slow_client(SessionId id) {
  ++figures_.slow_clients_disconnected;
  const Session* slow = session(id);
  log_warning("a client that does not read its replies was disconnected",
              {{"client", slow == nullptr ? "" : slow->connection().remote_host()},
               {"limit", "--output-buffer-max"}});
}

// For want of a place is no refusal of who asks.
void ClientLoop::client_refused(Session& session, const Error& why) {
  if (why.code == ErrorCode::unavailable)
    doorkeeper_->refused(session, "a client from a public address");
}

std::unique_ptr<ClientProtocol> ClientLoop::make_protocol(Dialect dialect, Session& session) {
  switch (dialect) {
    case Dialect::http:
    case Dialect::http_too_long:
      return std::make_unique<HttpProtocol>(*server_, http_rules_, session,
                                            dialect == Dialect::http_too_long);
    case Dialect::tls:
      log_warning(
          "a client asked for TLS; --tls-cert and --tls-key, or --tls-self-signed, let this node "
          "speak it",
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
  return std::make_unique<TextProtocol>(
      *server_, session, dialect == Dialect::resp ? ClientDialect::resp : ClientDialect::text);
}

std::unique_ptr<ClientProtocol> ClientLoop::make_protocol_of(Service service, Session& session) {
  switch (service) {
    case Service::http:
      return std::make_unique<HttpProtocol>(*server_, http_rules_, session, false);
    case Service::resp:
      return std::make_unique<RespProtocol>(*server_, session);
    case Service::hati:
      return std::make_unique<HatiProtocol>(*server_, session);
    case Service::rpc:
      return std::make_unique<RpcProtocol>(*server_, session);
    case Service::hermod:
      return std::make_unique<HermodProtocol>(*server_, hermod_rules_, session);
    case Service::dhrt:
      break;
  }
  return nullptr;
}

// --- The end --------------------------------------------------------------------------------

void ClientLoop::leave(std::function<void()> settled) {
  leaving_ = true;
  settled_ = std::move(settled);
  if (session_waits_) session_waits_->leave();
  for (const auto& [id, client] : sessions_)
    client->close_after_replies();
}

void ClientLoop::stop() {
  const auto end_run = [this] {
    stopped_ = true;
    events_.stop();
  };
  if (!thread_.joinable()) return end_run();  // We are in it.
  post(end_run);
  thread_.join();
}

void ClientLoop::end() {
  if (thread_.joinable()) stop();
  shared_.placement.left(number_, sessions_.size());
  sessions_.clear();
}

}  // namespace dhrt
