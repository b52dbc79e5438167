#include <algorithm>
#include <csignal>
#include <cstdio>
#include <utility>

#include "node/log.h"
#include "node/machine.h"
#include "node/node.h"
#include "storage/base/random.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration tick_interval{50};

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

// Whether there was another node that has what this one has, when this one ran last. One that was
// itself still being filled does not count.
bool knew_others(const NodeIdentity& identity) {
  return std::ranges::any_of(identity.members, [&](const Member& member) {
    return member.id != identity.node_id && state_of(member) == MemberState::healthy;
  });
}

std::vector<std::unique_ptr<ClientLoop>> make_loops(unsigned count, ClientLoop::Shared& shared) {
  std::vector<std::unique_ptr<ClientLoop>> loops;
  for (unsigned number = 0; number < count; ++number)
    loops.push_back(std::make_unique<ClientLoop>(number, shared));
  return loops;
}

}  // namespace

Node::Node(const NodeOptions& options, Hooks hooks)
    : options_(options),
      hooks_(std::move(hooks)),
      shared_{.options = options_,
              .access = access_,
              .tls = tls_,
              .peer_tls = peer_tls_,
              .request_log = request_log_,
              .placement = Placement(loop_count_for(options.cpu_num)),
              .settings = NodeSettings(options_),
              .redis = RedisShared(loop_count_for(options.cpu_num))},
      loops_(make_loops(loop_count_for(options.cpu_num), shared_)),
      leave_wakeup_(events(), [this] { begin_leaving(); }),
      tick_(events(), [this] { tick(); }),
      maintenance_(events(),
                   {.step = [this] { return maintain(); }, .now = monotonic_microseconds}),
      started_(monotonic_now()) {}

Result<std::unique_ptr<Node>> Node::open(const NodeOptions& options, Hooks hooks) {
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<Node> node(new Node(options, std::move(hooks)));
  for (const auto& loop : node->loops_)
    node->shared_.loops.push_back(loop.get());
  if (const Status status = node->start(); !status) return tl::unexpected(status.error());
  return node;
}

Status Node::start() {
  if (auto status = open_access(); !status) return status;
  if (auto status = open_peer_access(); !status) return status;
  if (auto status = open_identity(); !status) return status;
  if (auto status = open_tls(); !status) return status;
  if (auto status = open_request_log(); !status) return status;
  if (auto status = open_engine(); !status) return status;
  if (auto status = open_loops(); !status) return status;
  start_clocks();
  if (auto status = open_listeners(); !status) return status;
  // What the clocks reserved is on the disk before anything is sent in the name of this start.
  if (auto status = save_identity(); !status) return status;
  make_core();
  serve();
  warn_of_keys();
  cluster_->announce();
  if (options_.nkvd_mesh) begin_mesh();
  if (hooks_.handles_signals) handle_signals();
  if (hooks_.shows_banner) show_banner();
  for (const std::string& note : engine_->notes())
    log_info(note);
  tick_.every(tick_interval);
  maintenance_.start();
  return {};
}

Status Node::open_access() {
  auto access = Access::load({.token = options_.token,
                              .token_file = options_.token_file,
                              .auth_file = options_.auth_file});
  if (!access) return tl::unexpected(access.error());
  access_ = *std::move(access);
  for (const std::string& name : access_.short_ones())
    log_warning("a token is short and may be guessed; take 16 random letters or more",
                {{"token", name}});
  return {};
}

// Behind the identity, for a certificate of our own is kept beside it.
Status Node::open_tls() {
  TlsContext::Files files{.certificate = options_.tls_cert,
                          .key = options_.tls_key,
                          .client_ca = options_.tls_client_ca};
  if (options_.tls_self_signed) {
    if (!data_dir_)
      return fail(ErrorCode::invalid_argument,
                  "--tls-self-signed keeps its certificate in the data directory, and " +
                      options_.data_dir + " cannot be used; give another one with --data-dir");
    auto kept = keep_self_signed(data_dir_->path(), certificate_names(), wall_now());
    if (!kept) return tl::unexpected(kept.error());
    self_signed_ = *std::move(kept);
    files.certificate = self_signed_->certificate;
    files.key = self_signed_->key;
    if (self_signed_->made_now)
      log_info("a certificate was made; clients have to trust this one",
               {{"file", files.certificate}});
  }
  if (files.certificate.empty()) return {};
  auto tls = TlsContext::load(std::move(files));
  if (!tls) return tl::unexpected(tls.error());
  tls_ = *std::move(tls);
  return {};
}

Status Node::open_request_log() {
  if (options_.log_requests.empty()) return {};
  auto log =
      RequestLog::open({.path = options_.log_requests, .format = options_.log_requests_format});
  if (!log) return tl::unexpected(log.error());
  request_log_ = *std::move(log);
  return {};
}

// What clients may call this node.
std::vector<std::string> Node::certificate_names() const {
  std::vector<std::string> names{options_.host_name};
  if (options_.advertise) names.push_back(options_.advertise->host);
  for (const Endpoint& endpoint : endpoints_of(options_)) {
    if (!endpoint.is_unix() && !is_wildcard(endpoint.address.host))
      names.push_back(endpoint.address.host);
  }
  return names;
}

Status Node::open_peer_access() {
  auto keys = ClusterKeys::load(options_.cluster_key_files);
  if (!keys) return tl::unexpected(keys.error());
  keys_ = *std::move(keys);
  if (options_.peer_tls) {
    auto tls = TlsContext::load_for_peers({.certificate = options_.peer_tls_cert,
                                           .key = options_.peer_tls_key,
                                           .client_ca = options_.peer_tls_ca});
    if (!tls) return tl::unexpected(tls.error());
    peer_tls_ = *std::move(tls);
  }
  return {};
}

// When it is certain that the node starts: the reason why one does not is a line alone.
void Node::warn_of_keys() const {
  if (keys_.none() && !peer_tls_ && !is_loopback(bound().host))
    log_warning(
        "no cluster key: whoever reaches this port can join as a node, read and write "
        "everything; --cluster-key-file gives the nodes one",
        {{"address", to_text(bound())}});
  for (const std::string& file : keys_.exposed_files())
    log_warning("every user of this machine may read the cluster key; chmod 600 hides it",
                {{"file", file}});
}

Status Node::open_identity() {
  std::optional<NodeIdentity> stored;
  if (!options_.memory || !options_.data_dir.empty()) {
    auto opened = DataDir::open(options_.data_dir);
    // Without a directory a memory node is a new one at each start, and works all the same.
    const bool needed = !options_.memory || opened || opened.error().code == ErrorCode::busy;
    if (!opened && needed) return tl::unexpected(opened.error());
    if (opened) {
      data_dir_ = std::move(*opened);
      auto read = read_identity(data_dir_->identity_path());
      if (!read) return tl::unexpected(read.error());
      stored = std::move(*read);
    }
  }
  identity_ = next_start(stored, random_seed() | 1, wall_now());
  founds_ = identity_.belonging.id.none() && options_.join.empty();
  // Before there is a log of this start: no other start may have one of the same number.
  return save_identity();
}

Status Node::save_identity() {
  return data_dir_ ? write_identity(data_dir_->identity_path(), identity_) : Status{};
}

Status Node::open_engine() {
  EngineOptions engine{.directory = options_.memory ? std::string() : data_dir_->path(),
                       .node = identity_.node_id,
                       .run = identity_.epoch,
                       .loops = loop_count(),
                       .durability = options_.durability,
                       .sync_interval = options_.sync_interval,
                       .cache_bytes = cache_bytes_for(options_.cache_bytes),
                       .cache_eviction = options_.cache_evict,
                       .memory_limit = options_.memory_limit,
                       .memory_eviction = options_.evict,
                       .checkpoint_bytes = options_.checkpoint_bytes,
                       .checkpoint_age = options_.checkpoint_age,
                       .unflushed_max = options_.unflushed_max,
                       .log_segment_bytes = options_.log_segment_bytes,
                       .others_have_it = knew_others(identity_),
                       .scrub_bytes_per_second = options_.scrub_rate,
                       .expired =
                           [this](const std::string& collection, Bytes key) {
                             shared_.watches.expired(collection, key, wall_now());
                             if (nkvd_mesh_ || main_loop().key_events().wants(event_flags::expired))
                               expired_.emplace_back(collection, key);
                           },
                       .before_sync = hooks_.before_sync};
  for (const auto& loop : loops_)
    engine.wake.emplace_back([&woken = *loop] { woken.wake(); });
  auto opened = Engine::open(engine);
  if (!opened) return tl::unexpected(opened.error());
  engine_ = std::move(*opened);
  health_.emplace(*engine_);
  const std::string beside = options_.memory ? std::string() : data_dir_->path() + "/backups";
  backups_.emplace(*engine_,
                   options_.memory || options_.backup_dir.empty() ? beside : options_.backup_dir);
  shared_.backups = &*backups_;
  shared_.redis.settings.events = options_.notify_keyspace_events;
  saves_.emplace(*engine_);
  shared_.saves = &*saves_;
  shared_.watches.set_started(wall_now());
  shared_.watches.set_post(
      [this](unsigned loop, WatchHub::Letter letter) {
        ClientLoop& told = *loops_[loop];
        told.post([&told, letter = std::move(letter)] { letter(told.watchers()); });
      },
      static_cast<unsigned>(loops_.size()));
  if (options_.nkvd_mesh) {
    shared_.nkvd = &nkvd_board_;
    shared_.view.watched.set(true);
  }
  shared_.shut_down = [this](bool hastens) {
    if (hastens) is_to_hasten_ = true;
    leave();
  };
  shared_.reload = [this](auto done) {
    main_loop().post([this, done = std::move(done)] { done(reload()); });
  };
  shared_.evict = [this](std::string node, auto done) {
    main_loop().post([this, node = std::move(node), done = std::move(done)] {
      retirements_->evict(node, done, monotonic_now());
    });
  };
  shared_.leave_for_good = [this](auto done) {
    main_loop().post(
        [this, done = std::move(done)] { retirements_->leave(done, monotonic_now()); });
  };
  return {};
}

Status Node::open_loops() {
  const ClientLoop* first = nullptr;
  for (const auto& loop : loops_) {
    const Origin origin{identity_.node_id, identity_.epoch,
                        static_cast<std::uint16_t>(loop->number())};
    if (auto status = loop->open(engine_->store(loop->number()), origin, first); !status)
      return status;
    first = loops_.front().get();
  }
  return {};
}

void Node::start_clocks() {
  // What is in the files may be from the far future, which must not become ours by a restart.
  const auto offset_max = static_cast<WallMilliseconds>(options_.max_clock_offset.count());
  const std::uint64_t taken_in_max = HybridClock(offset_max).ahead_max(wall_now());
  hlc_floor_ = identity_.hlc_ceiling;
  for (const Collection* collection : main_loop().store().collections())
    hlc_floor_ = std::max(hlc_floor_, std::min(collection->highest_hlc(), taken_in_max));
  for (const auto& loop : loops_) {
    loop->hybrid_clock().set_offset_max(offset_max);
    loop->hybrid_clock().start_above(hlc_floor_);
  }
  reserve_hlc();
}

Status Node::open_listeners() {
  for (const Endpoint& endpoint : endpoints_of(options_)) {
    if (auto status = main_loop().listen(endpoint); !status) return status;
  }
  for (const auto& loop : loops_) {
    if (loop.get() == &main_loop()) continue;
    if (auto status = loop->listen_beside(main_loop()); !status) return status;
  }
  return {};
}

std::vector<Endpoint> Node::endpoints() const {
  std::vector<Endpoint> all;
  for (std::size_t i = 0; i < main_loop().bound_count(); ++i)
    all.push_back(main_loop().bound(i));
  return all;
}

void Node::make_core() {
  CoreOptions core;
  core.cluster = timing_of(options_);
  core.cluster.evict_after = options_.evict_after;
  core.cluster.remember_deletes = options_.remember_deletes;
  core.cluster.probe_interval = options_.probe_interval;
  core.cluster.suspicion_multiplier = static_cast<unsigned>(options_.suspicion_multiplier);
  core.cluster.read_timeout = options_.read_timeout;
  core.cluster.write_timeout = options_.write_timeout;
  core.cluster.leave_timeout = options_.leave_timeout;
  core.cluster.max_clock_offset = options_.max_clock_offset;
  core.cluster.unapplied_bytes_max =
      std::min(core.cluster.unapplied_bytes_max, options_.unflushed_max / 8);
  core.self = {.id = identity_.node_id,
               .name = options_.name,
               .epoch = identity_.epoch,
               .incarnation = identity_.incarnation};
  if (options_.advertise)
    core.self.address = to_text(*options_.advertise);
  else if (!is_wildcard(bound().host))
    core.self.address = to_text(bound());
  core.identity.belonging = identity_.belonging;
  core.identity.start_nonce = random_seed();
  core.identity.bind_port = std::to_string(bound().port);
  for (const Address& seed : options_.join)
    core.identity.seeds.push_back(to_text(seed));
  core.known = identity_.members;
  core.compared = identity_.compared;
  core.layout = identity_.layout;
  core.random_seed = random_seed();
  shared_.view.max_clock_offset_milliseconds.store(options_.max_clock_offset.count());
  main_loop().driver().note_conflicts();
  if (founds_) found_cluster(core, {random_seed(), random_seed()});
  was_member_ = founds_ || !identity_.belonging.id.none();
  core_.emplace(std::move(core));

  cluster_.emplace(
      events(), *core_, main_loop().driver(), main_loop().figures(),
      ClusterDriver::Options{.handshake_timeout = options_.handshake_timeout,
                             .join_delay_max = options_.join_delay_max,
                             .keys = keys_.none() ? nullptr : &keys_,
                             .tls = peer_tls_.get()},
      ClusterDriver::Hooks{
          .fanout_reply = [this](FanoutReply reply) { answer(std::move(reply)); },
          .waited = [this](Waited waited) { answer(waited); },
          .level_reached = [this](LevelReached reached) { answer(reached); },
          .published =
              [this](Publish said) {
                if (said.channel != nkvd::channel)
                  main_loop().listeners().spread(std::move(said));
                else if (nkvd_mesh_)
                  nkvd_mesh_->heard(said.payload);
              },
          .changed = [this](const std::string& collection) { shared_.watches.changed(collection); },
          .persist =
              [this](Persist persist) {
                // Before a delete is forgotten without who is compared no longer.
                const bool is_doubted =
                    std::ranges::any_of(identity_.compared, [&persist](NodeId node) {
                      return std::ranges::find(persist.compared, node) == persist.compared.end();
                    });
                identity_.belonging = persist.belonging;
                identity_.members = std::move(persist.members);
                identity_.compared = std::move(persist.compared);
                identity_.incarnation = std::max(identity_.incarnation, core_->self().incarnation);
                identity_.layout = std::move(persist.layout);
                identity_changed_ = true;
                if (is_doubted) persist_identity();
              },
          .note_layout =
              [this](LayoutNotes notes) {
                // It happens when the voters change, and not on the way of any request.
                identity_.layout = std::move(notes);
                persist_identity();
                return !identity_failed_;
              },
          .requests =
              [this] {
                std::uint64_t sum = 0;
                for (const auto& loop : loops_)
                  sum += loop->figures().commands_total();
                return sum;
              },
          .left = [this] { left(); }});
  update_view();
  refresh_report();
}

void Node::serve() {
  NodeReport::Node node{.cluster = board_,
                        .view = shared_.view,
                        .engine = *engine_,
                        .backups = *backups_,
                        .options = options_,
                        .started = started_,
                        .memory = options_.memory,
                        .data_dir = options_.data_dir,
                        .address = to_text(bound()),
                        .request_log = request_log_.get()};
  for (const auto& loop : loops_)
    node.figures.push_back(&loop->figures());
  HttpRules rules{.names = {options_.name, options_.bind.host}, .origins = options_.cors_origins};
  if (options_.advertise) rules.names.push_back(options_.advertise->host);
  // Nodes of nkvd may come by the address at which the mesh is found.
  if (options_.mesh_network_url) rules.names.push_back(options_.mesh_network_url->host);
  for (const auto& loop : loops_)
    loop->serve(link_to_core(*loop), node, rules, waits_for());
  repairs_.emplace(Repairs::Parts{.store = main_loop().store(),
                                  .driver = main_loop().driver(),
                                  .database = main_loop().database(),
                                  .view = shared_.view});
  retirements_.emplace(
      Retirements::Parts{.core = *core_,
                         .input = [this](Input what) { cluster_->input(std::move(what)); },
                         .leave = [this] { leave_by_command(); },
                         .keep =
                             [this](const Replacement& what) {
                               identity_.replacement = what;
                               identity_changed_ = true;
                             }},
      options_.replace, identity_.replacement);
  if (options_.output_buffer_max < options_.max_value_bytes)
    log_warning(
        "--output-buffer-max is below --max-value-bytes: clients that read a large value "
        "slowly are cut off");
}

void Node::begin_mesh() {
  nkvd_board_.begin({.learn =
                         [this](std::vector<Address> nodes) {
                           main_loop().post(
                               [this, nodes = std::move(nodes)] { nkvd_mesh_->learn(nodes); });
                         },
                     .cleared = [this] { main_loop().post([this] { nkvd_mesh_->cleared(); }); }});
  nkvd_mesh_.emplace(
      NkvdMesh::Parts{.loop = events(),
                      .core = *core_,
                      .database = main_loop().database(),
                      .figures = main_loop().figures(),
                      .board = nkvd_board_,
                      .options = options_,
                      .bound = bound()},
      NkvdMesh::Hooks{
          .publish = [this](Publish said) { cluster_->input(LocalPublish{std::move(said)}); },
          .join = [this](const std::string& address) { cluster_->input(SeedFound{address}); }});
  main_loop().driver().observe(*nkvd_mesh_);
}

// How a loop reaches the core: at once on the main loop, by letter on the others.
ClientLoop::CoreLink Node::link_to_core(ClientLoop& loop) {
  if (&loop == &main_loop())
    return {.collect = [this] { return collect(); },
            .bring = {},
            .ask = [this](FanoutRead read) { ask(0, std::move(read)); },
            .publish = [this](Publish said) { cluster_->input(LocalPublish{std::move(said)}); },
            .wait = [this](WaitForPeers wanted) { wait(0, wanted); },
            .wait_ends = [this](WaitEnds ends) { end_wait(0, ends); },
            .wait_for_level = [this](WaitForLevel wanted) { wait_for_level(0, wanted); },
            .peer =
                [this](Session::Taken taken, LinkClass link_class) {
                  cluster_->accept(std::move(taken.connection), link_class, taken.rest);
                },
            .refresh = [this] { refresh_report(); }};
  return {
      .collect = {},
      .bring =
          [this](StoreNews news) {
            main_loop().post([this, news = std::move(news)] { main_loop().driver().bring(news); });
          },
      .ask =
          [this, number = loop.number()](FanoutRead read) {
            main_loop().post([this, number, read = std::move(read)] { ask(number, read); });
          },
      .publish =
          [this](Publish said) { main_loop().post([this, said = std::move(said)] { say(said); }); },
      .wait =
          [this, number = loop.number()](WaitForPeers wanted) {
            main_loop().post([this, number, wanted] { wait(number, wanted); });
          },
      .wait_ends =
          [this, number = loop.number()](WaitEnds ends) {
            main_loop().post([this, number, ends] { end_wait(number, ends); });
          },
      .wait_for_level =
          [this, number = loop.number()](WaitForLevel wanted) {
            main_loop().post(
                [this, number, wanted = std::move(wanted)] { wait_for_level(number, wanted); });
          },
      .peer = [this](Session::Taken taken,
                     LinkClass link_class) { bring_peer(std::move(taken), link_class); },
      .refresh = {}};
}

void Node::handle_signals() {
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGQUIT}) {
    signals_.push_back(make_uv_handle<uv_signal_t>(
        this, [&](uv_signal_t* handle) { uv_signal_init(events().raw(), handle); }));
    uv_signal_start(
        signals_.back().get(),
        [](uv_signal_t* handle, int) { static_cast<Node*>(handle->data)->begin_leaving(); },
        number);
  }
  signals_.push_back(make_uv_handle<uv_signal_t>(
      this, [&](uv_signal_t* handle) { uv_signal_init(events().raw(), handle); }));
  uv_signal_start(
      signals_.back().get(),
      [](uv_signal_t* handle, int) {
        static_cast<void>(static_cast<Node*>(handle->data)->reload());  // Its failure is logged.
      },
      SIGUSR1);
}

std::string Node::waits_for() const {
  std::string addresses;
  for (const Address& seed : options_.join)
    addresses += (addresses.empty() ? "" : ", ") + to_text(seed);
  return addresses;
}

std::string Node::tls_banner(const std::string& here) const {
  if (!tls_) return {};
  if (!self_signed_) return "  TLS            by " + options_.tls_cert + "\n";
  const std::string& file = self_signed_->certificate;
  return "  TLS            by " + file + ", which this node signed for itself; its SHA-256 is\n" +
         "                 " + self_signed_->fingerprint + "\n" +
         "                 dhrt get hello --host " + here + " --tls-ca " + file + "\n" +
         "                 curl --cacert " + file + " https://" + here + "/hello\n";
}

void Node::show_banner() const {
  const Address here{is_wildcard(bound().host) ? "127.0.0.1" : bound().host, bound().port};
  std::string text = "dhrt " DHRT_VERSION "\n";
  text += "  listening on   " + to_text(bound()) + "   (text, HTTP, peers)\n";
  const std::vector<Endpoint> all = endpoints();
  for (std::size_t i = 1; i < all.size(); ++i)
    text += "  also on        " + to_text(all[i]) + "   (" +
            std::string(info_of(all[i].service).speaks) + ")\n";
  text += "  data           " +
          (options_.memory ? "in memory only, gone when the node stops" : options_.data_dir) + "\n";
  text += "  event loops    " + std::to_string(loop_count()) + "\n";
  text += founds_ ? "  cluster        founded here; others join with: dhrt join " + to_text(here)
                  : "  cluster        " + std::string(was_member_ ? "known, looking for its members"
                                                                  : "waiting for " + waits_for());
  text += "\n  try            dhrt set hello world --host " + to_text(here) + "\n";
  const Bytes who = options_.allow_public       ? "from anywhere"
                    : is_loopback(bound().host) ? "from this machine"
                                                : "from loopback and private addresses";
  if (access_.open())
    text += "  WARNING        no token is configured: whoever reaches this port " +
            std::string(who) + " can read and write everything\n";
  else
    text += "  access         by token\n";
  if (keys_.none() && !peer_tls_)
    text += "  nodes          without a key, " + std::string(who) + "\n";
  else
    text += "  nodes          by " + std::string(keys_.none() ? "" : "cluster key") +
            (keys_.none() || !peer_tls_ ? "" : " and ") +
            (peer_tls_ ? options_.peer_tls_cert : "") + "\n";
  text += tls_banner(to_text(here));
  std::fputs(text.c_str(), stderr);
  // What waits for a Hermod server to start looks for this line.
  for (const Endpoint& endpoint : all) {
    if (endpoint.service == Service::hermod && !endpoint.is_unix())
      std::printf("Waiting on port %u...\n", static_cast<unsigned>(endpoint.address.port));
  }
  std::fflush(stdout);
  if (!was_member_) log_info("waiting for " + waits_for());
}

}  // namespace dhrt
