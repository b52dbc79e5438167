#include <algorithm>
#include <csignal>
#include <cstdio>
#include <sys/resource.h>
#include <utility>

#include "node/log.h"
#include "node/node.h"
#include "storage/base/random.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration tick_interval{50};
constexpr Duration maintenance_interval{100};
constexpr Duration sweep_interval{250};
// Expired records and the like that one round removes; a few milliseconds of work.
constexpr std::size_t maintenance_records = 1000;
// Files of collections, peers, the store's own, besides one descriptor per client.
constexpr std::uint64_t descriptors_besides_clients = 1024;

bool is_wildcard(const std::string& host) {
  return host == "0.0.0.0" || host == "::" || host.empty();
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

std::optional<std::string> raise_descriptor_limit(std::uint64_t max_clients) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::nullopt;
  const rlim_t wanted = max_clients + descriptors_besides_clients;
  if (limit.rlim_cur >= wanted) return std::nullopt;
  const rlim_t before = limit.rlim_cur;
  limit.rlim_cur = wanted;
  limit.rlim_max = std::max(limit.rlim_max, wanted);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0) return std::nullopt;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min(limit.rlim_max, wanted);
  const rlim_t reached = setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : before;
  if (reached >= wanted) return std::nullopt;
  return "the system allows " + std::to_string(reached) + " open files, " + std::to_string(wanted) +
         " are needed for --max-clients " + std::to_string(max_clients) + "; raise `ulimit -n`";
}

Node::Node(const NodeOptions& options, Hooks hooks)
    : options_(options),
      hooks_(std::move(hooks)),
      store_wakeup_(loop_, [] {}),  // The turn that it brings collects.
      leave_wakeup_(loop_, [this] { begin_leaving(); }),
      tick_(loop_, [this] { tick(); }),
      maintenance_(loop_, [this] { store_->maintain(wall_now(), maintenance_records); }),
      sweep_(loop_,
             [this] {
               const Time now = monotonic_now();
               for (const auto& [id, client] : sessions_)
                 client->check_time(now);
             }),
      turn_end_(loop_, [this] { end_turn(); }),
      busy_(loop_, [this] { run_sessions(); }),
      started_(monotonic_now()) {}

Result<std::unique_ptr<Node>> Node::open(const NodeOptions& options, Hooks hooks) {
  std::signal(SIGPIPE, SIG_IGN);
  std::unique_ptr<Node> node(new Node(options, std::move(hooks)));
  if (const Status status = node->start(); !status) return tl::unexpected(status.error());
  return node;
}

Status Node::start() {
  if (auto status = open_identity(); !status) return status;
  if (auto status = open_store(); !status) return status;
  if (auto status = open_listener(); !status) return status;
  // On the disk before anything is sent in the name of this start.
  if (data_dir_) {
    if (auto status = write_identity(data_dir_->identity_path(), identity_); !status) return status;
  }
  make_core();
  cluster_->announce();
  if (hooks_.handles_signals) handle_signals();
  if (hooks_.shows_banner) show_banner();
  tick_.every(tick_interval);
  maintenance_.every(maintenance_interval);
  sweep_.every(sweep_interval);
  return {};
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
  return {};
}

Status Node::open_store() {
  if (options_.memory) {
    store_ = make_memory_store({});
  } else {
    auto opened = open_lmdb_store({.directory = data_dir_->collections_path(),
                                   .wake = [this] { store_wakeup_.send(); },
                                   .before_sync = hooks_.before_sync});
    if (!opened) return tl::unexpected(opened.error());
    store_ = std::move(*opened);
  }
  writer_.emplace(*store_, clock_, Origin{identity_.node_id, identity_.epoch, 0});
  catalog_.emplace(
      *store_, *writer_,
      CatalogOptions{.memory = options_.memory, .collections_max = options_.max_collections});
  if (auto status = catalog_->load(wall_now()); !status) return status;
  for (const Collection* collection : store_->collections())
    clock_.start_above(collection->highest_hlc());
  store_driver_.emplace(*store_, *catalog_, *writer_, StoreDriverOptions{});
  return {};
}

Status Node::open_listener() {
  auto opened = Listener::open(loop_, options_.bind,
                               [this](auto connection) { accept(std::move(connection)); });
  if (!opened) return tl::unexpected(opened.error());
  listener_ = std::move(*opened);
  return {};
}

void Node::make_core() {
  CoreOptions core;
  core.cluster.probe_interval = options_.probe_interval;
  core.cluster.suspicion_multiplier = static_cast<unsigned>(options_.suspicion_multiplier);
  core.cluster.read_timeout = options_.read_timeout;
  core.cluster.leave_timeout = options_.leave_timeout;
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
  core.random_seed = random_seed();
  if (founds_) found_cluster(core, {random_seed(), random_seed()});
  was_member_ = founds_ || !identity_.belonging.id.none();
  core_.emplace(std::move(core));

  cluster_.emplace(
      loop_, *core_, *store_driver_, figures_,
      ClusterDriver::Options{.handshake_timeout = options_.handshake_timeout},
      ClusterDriver::Hooks{
          .fanout_reply = [this](FanoutReply reply) { database_->fanout_reply(std::move(reply)); },
          .persist =
              [this](Persist persist) {
                identity_.belonging = persist.belonging;
                identity_.members = std::move(persist.members);
                identity_.incarnation = std::max(identity_.incarnation, core_->self().incarnation);
                identity_changed_ = true;
              },
          .left = [this] { left(); }});
  update_view();
  database_.emplace(Database::Parts{*store_, *catalog_, *writer_, *store_driver_, view_,
                                    turn_clock_, figures_, options_.memory},
                    waits_for(), [this](FanoutRead read) { cluster_->input(std::move(read)); });
  report_.emplace(NodeReport::Parts{*core_, *store_, *catalog_, figures_, connections_, durable_,
                                    started_, options_.memory, options_.data_dir,
                                    to_text(bound())});
  ProtocolLimits limits;
  limits.value_bytes_max = options_.max_value_bytes;
  server_.emplace(CommandServer{.database = *database_,
                                .report = *report_,
                                .figures = figures_,
                                .limits = limits,
                                .output_buffer_max = options_.output_buffer_max});
  if (options_.output_buffer_max < options_.max_value_bytes)
    log_warning(
        "--output-buffer-max is below --max-value-bytes: clients that read a large value "
        "slowly are cut off");
  http_rules_.names = {options_.name, options_.bind.host};
  if (options_.advertise) http_rules_.names.push_back(options_.advertise->host);
}

void Node::handle_signals() {
  for (const int number : {SIGHUP, SIGINT, SIGTERM, SIGQUIT}) {
    signals_.push_back(make_uv_handle<uv_signal_t>(
        this, [&](uv_signal_t* handle) { uv_signal_init(loop_.raw(), handle); }));
    uv_signal_start(
        signals_.back().get(),
        [](uv_signal_t* handle, int) { static_cast<Node*>(handle->data)->begin_leaving(); },
        number);
  }
}

std::string Node::waits_for() const {
  std::string addresses;
  for (const Address& seed : options_.join)
    addresses += (addresses.empty() ? "" : ", ") + to_text(seed);
  return addresses;
}

void Node::show_banner() const {
  const Address here{is_wildcard(bound().host) ? "127.0.0.1" : bound().host, bound().port};
  std::string text = "dhrt " DHRT_VERSION "\n";
  text += "  listening on   " + to_text(bound()) + "   (text, HTTP, peers)\n";
  text += "  data           " +
          (options_.memory ? "in memory only, gone when the node stops" : options_.data_dir) + "\n";
  text += founds_ ? "  cluster        founded here; others join with: dhrt join " + to_text(here)
                  : "  cluster        " + std::string(was_member_ ? "known, looking for its members"
                                                                  : "waiting for " + waits_for());
  text += "\n  try            dhrt --host " + to_text(here) + " set hello world\n";
  const Bytes who = options_.allow_public       ? "from anywhere"
                    : is_loopback(bound().host) ? "from this machine"
                                                : "from loopback and private addresses";
  text += "  WARNING        no token is configured: whoever reaches this port " + std::string(who) +
          " can read and write everything\n";
  std::fputs(text.c_str(), stderr);
  if (!was_member_) log_info("waiting for " + waits_for());
}

}  // namespace dhrt
