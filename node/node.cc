#include "node/node.h"

#include <algorithm>
#include <utility>

#include "node/exit_code.h"
#include "node/log.h"
#include "node/socket_handover.h"
#include "storage/base/system_clock.h"
#include "storage/hlc.h"

namespace dhrt {

namespace {

// The identity is written at most this often; before the process ends in any case.
constexpr Duration identity_interval{100};
// A disk that is full is asked again after this long.
constexpr Duration identity_retry_interval{5000};
// Links may send their last bytes for this long after the node has left.
constexpr Duration flush_timeout{1000};
// Between two lines about it, for who waits.
constexpr Duration catch_up_interval{2000};
// How far ahead of the clocks versions are reserved, and when it is done again.
constexpr WallMilliseconds hlc_reserved = 10'000;
constexpr WallMilliseconds hlc_reserved_min = 5'000;
constexpr WallMilliseconds hlc_above_floor = 1'000;
// Expired records and the like that one step of the maintenance removes: a part of a millisecond.
constexpr std::size_t maintenance_records = 256;

}  // namespace

Node::~Node() {
  // Without their threads first; then nobody uses the engine any more.
  for (std::size_t i = loops_.size(); i-- > 0;)
    loops_[i]->end();
}

int Node::run() {
  for (std::size_t i = 1; i < loops_.size(); ++i)
    loops_[i]->start_thread();
  if (loops_.size() == 1)
    events().run();
  else
    main_loop().turn_beside_others();
  finish();
  return exit_code_;
}

// --- The turn -------------------------------------------------------------------------------

Position Node::collect() {
  const Position durable = cluster_->collect();
  update_view();
  return durable;
}

void Node::update_view() {
  const NodeId self = core_->self().id;
  shared_.view.belongs.set(core_->belongs());
  shared_.view.healthy.set(core_->state() == MemberState::healthy);
  shared_.view.alone.set(std::ranges::all_of(core_->members(), [&](const auto& entry) {
    return entry.first == self || entry.second.liveness >= Liveness::left;
  }));
  const ClockSkew& clocks = core_->clocks();
  if (clocks.fenced()) shared_.view.clock_offset_milliseconds.store(clocks.offset().count());
  shared_.view.fenced.set(clocks.fenced());
}

std::map<NodeId, CatchUp> Node::catching_up() const {
  auto all = core_->catching_up();
  if (const auto own = core_->catch_up(monotonic_now())) all[core_->self().id] = *own;
  return all;
}

void Node::refresh_report() {
  board_.put({.self = core_->self(),
              .id = core_->belonging().id,
              .belongs = core_->belongs(),
              .state = core_->state(),
              .members = core_->members(),
              .records_pulled = core_->sync_progress().records_pulled,
              .catching_up = catching_up(),
              .root = core_->root(),
              .clocks = {.offset = core_->clocks().offset(),
                         .fenced = core_->clocks().fenced(),
                         .apart = core_->clocks().apart(),
                         .peers = core_->clocks().peers()},
              .conflicts = main_loop().driver().conflicts(),
              .layout = core_->layout(),
              .agrees_with_all = core_->agrees_with_all()});
}

void Node::tick() {
  if (has_left_) return finish_if_sent();
  cluster_->tick();
  update_view();
  refresh_report();
  report_progress();
  health_->look(monotonic_now());
  repairs_->look(monotonic_now(), wall_now());
  retirements_->look(monotonic_now());
  reserve_hlc();
  const Duration interval = identity_failed_ ? identity_retry_interval : identity_interval;
  if (identity_changed_ && monotonic_now() - identity_written_ >= interval) persist_identity();
}

// What a crash may take from us may be known to others: the next start must not give its versions
// again, so it begins above all that this start can have given.
void Node::reserve_hlc() {
  const bool crash_loses = options_.memory || options_.durability != Durability::sync;
  // A clock that is far ahead would be kept for ever; nothing is written by it. A start reserves
  // before it has a core.
  const bool fenced = core_ && core_->clocks().fenced();
  if (!crash_loses || fenced) return;
  const WallMilliseconds wall = wall_now();
  const WallMilliseconds floor = hlc_milliseconds(hlc_floor_) + hlc_above_floor;
  const WallMilliseconds reserved = hlc_milliseconds(identity_.hlc_ceiling);
  if (reserved >= std::max(wall + hlc_reserved_min, floor)) return;
  identity_.hlc_ceiling = std::max(wall + hlc_reserved, floor) << hlc_counter_bits;
  identity_changed_ = true;
}

void Node::persist_identity() {
  identity_changed_ = false;
  identity_failed_ = false;
  identity_written_ = monotonic_now();
  if (const Status status = save_identity(); !status) {
    identity_changed_ = true;
    identity_failed_ = true;
    log_error("the identity could not be saved", {{"reason", status.error().message}});
  }
}

// Short ones need no line.
void Node::report_catch_up() {
  const Time now = monotonic_now();
  const auto catch_up = core_->catch_up(now);
  if (!catch_up) {
    next_catch_up_line_.reset();
    return;
  }
  if (!next_catch_up_line_) next_catch_up_line_ = now + catch_up_interval;
  if (now < *next_catch_up_line_) return;
  next_catch_up_line_ = now + catch_up_interval;
  const auto text = [](std::uint64_t number) { return std::to_string(number); };
  const std::string expected =
      catch_up->records_expected == 0 ? "" : " of about " + text(catch_up->records_expected);
  log_info("catching up: " + text(catch_up->records) + expected + " records",
           {{"megabytes", text(catch_up->bytes >> 20)},
            {"seconds_left", catch_up->seconds_left == 0 ? "?" : text(catch_up->seconds_left)},
            {"collections_left", text(catch_up->collections_left)}});
}

void Node::report_progress() {
  if (!was_member_ && core_->belongs()) {
    was_member_ = true;
    if (!founds_) log_info("joined", {{"members", std::to_string(core_->members().size())}});
  }
  const bool healthy = core_->state() == MemberState::healthy;
  const SyncProgress& progress = core_->sync_progress();
  if (healthy && !was_healthy_ && !founds_)
    log_info("synced", {{"records_exchanged",
                         std::to_string(progress.records_pulled + progress.records_mended)}});
  was_healthy_ = healthy;
  report_catch_up();
  if (was_member_ || leaving_) return;
  const Duration waited = monotonic_now() - started_;
  // Whoever refused us is somebody: then this node is not alone, and the time to join counts.
  const bool refused = cluster_->key_was_refused();
  const bool founds_alone = options_.found_if_alone.count() > 0 && !refused;
  if (founds_alone && waited >= options_.found_if_alone) {
    log_info("nobody to join has answered; this node founds a cluster, which others may join",
             {{"tried", waits_for()}});
    founds_ = true;
    cluster_->input(FoundRequested{{random_seed(), random_seed()}});
    return;
  }
  if (founds_alone || waited < options_.join_timeout) return;
  log_error(
      "could not join a cluster within " + std::to_string(options_.join_timeout.count() / 1000) +
          "s",
      {{"waiting_for", waits_for()},
       {"do", refused
                  ? "give this node the --cluster-key-file, or the certificates, of that cluster"
                  : "start a node there, or raise --join-timeout; --found-if-alone is for "
                    "nodes that are all started alike"}});
  stop(refused ? exit_code::auth : exit_code::cannot_connect);
}

// On the main loop.
Status Node::reload() {
  if (options_.cluster_key_files.empty()) return {};
  if (Status status = keys_.read_again(); !status) {
    log_error("the cluster key was not changed, the earlier one holds",
              {{"reason", status.error().message}});
    return status;
  }
  warn_of_keys();
  log_info("the cluster key was read again", {{"keys", keys_.names()}});
  cluster_->keys_changed();
  return {};
}

bool Node::maintain() {
  const bool more = main_loop().store().maintain(wall_now(), maintenance_records);
  shared_.watches.tell_expired();
  // Deadlines pass on every node: the others tell their own listeners.
  for (const auto& [collection, key] : std::exchange(expired_, {})) {
    main_loop().key_events().tell_here(event_flags::expired, "expired", collection, key);
    if (nkvd_mesh_ && nkvd_mesh_->wants({.name = collection})) nkvd_mesh_->changed(key);
  }
  return more;
}

// --- Between the loops ----------------------------------------------------------------------

// The kernel gives a peer's connection to any loop; links live with the core.
void Node::bring_peer(Session::Taken taken, LinkClass link_class) {
  // Of TLS there may be; a peer that has read nothing of it yet can call again.
  if (taken.connection->unsent() > 0) return;
  auto socket = take_socket(*taken.connection);
  if (!socket) return log_warning(socket.error().message);
  // A letter can be copied, a descriptor cannot.
  const auto carried = std::make_shared<CarriedPeer>(CarriedPeer{
      std::move(*socket), taken.connection->give_up_tls(), link_class, std::move(taken.rest)});
  main_loop().post([this, carried] { take_peer(std::move(*carried)); });
}

void Node::take_peer(CarriedPeer peer) {
  auto connection = adopt_socket(events(), std::move(peer.socket));
  if (!connection) return log_warning(connection.error().message);
  (*connection)->go_on_with_tls(std::move(peer.tls));
  cluster_->accept(std::move(*connection), peer.link_class, peer.rest);
}

// Loops number their reads each for itself; the core is given numbers that name the loop, too.
void Node::ask(unsigned loop, FanoutRead read) {
  read.request = read.request * loops_.size() + loop;
  cluster_->input(std::move(read));
}

void Node::answer(FanoutReply reply) {
  ClientLoop& asker = *loops_[reply.request % loops_.size()];
  reply.request /= loops_.size();
  if (&asker == &main_loop()) return asker.database().fanout_reply(std::move(reply));
  asker.post([&asker, reply = std::move(reply)] { asker.database().fanout_reply(reply); });
}

// The writes that were brought before it are told before it.
void Node::wait(unsigned loop, WaitForPeers wait) {
  if (loop != 0) collect();
  wait.request = wait.request * loops_.size() + loop;
  cluster_->input(wait);
}

void Node::end_wait(unsigned loop, WaitEnds ends) {
  cluster_->input(WaitEnds{ends.request * loops_.size() + loop});
}

void Node::answer(Waited waited) {
  ClientLoop& asker = *loops_[waited.request % loops_.size()];
  waited.request /= loops_.size();
  asker.post([&asker, waited] { asker.waits().answered(waited); });
}

void Node::wait_for_level(unsigned loop, WaitForLevel wait) {
  if (loop != 0) collect();
  wait.request = wait.request * loops_.size() + loop;
  cluster_->input(std::move(wait));
}

void Node::answer(LevelReached reached) {
  ClientLoop& asker = *loops_[reached.request % loops_.size()];
  reached.request /= loops_.size();
  asker.post([&asker, reached] { asker.level_waits().answered(reached); });
}

void Node::say(Publish said) {
  collect();
  cluster_->input(LocalPublish{std::move(said)});
}

// --- Leaving --------------------------------------------------------------------------------

void Node::leave() {
  leave_wakeup_.send();
}

// The first signal behind it asks for the same, as that of who stops a container does.
void Node::leave_by_command() {
  if (leaving_) return;
  begin_leaving();
  leaves_by_command_ = true;
}

void Node::begin_leaving() {
  if (std::exchange(leaves_by_command_, false)) return;
  if (leaving_) {
    hastened_ = true;
    if (!has_left_) left();
    return;
  }
  leaving_ = true;
  hastened_ = is_to_hasten_;
  log_info("leaving the cluster; a second signal hastens");
  for (const auto& loop : loops_) {
    loop->post([this, &serving = *loop] {
      serving.leave([this] { main_loop().post([this] { loop_settled(); }); });
    });
  }
  if (hastened_) left();
}

// The peers are to have what clients of every loop wrote before the node says goodbye.
void Node::loop_settled() {
  if (++loops_settled_ == loops_.size()) cluster_->input(LeaveRequested{});
}

void Node::left() {
  if (has_left_) return;
  has_left_ = true;
  left_at_ = monotonic_now();
}

void Node::finish_if_sent() {
  const bool sent = cluster_->unsent() == 0 && shared_.placement.clients() == 0;
  if (sent || hastened_ || monotonic_now() - left_at_ > flush_timeout) stop(exit_code::done);
}

// libuv still ends the turn that it is in, with whatever came from peers and clients meanwhile:
// what they need goes away in finish(), when nothing turns any more.
void Node::stop(int exit_code) {
  exit_code_ = exit_code;
  maintenance_.stop();
  main_loop().stop();
}

void Node::finish() {
  for (std::size_t i = loops_.size(); i-- > 1;)
    loops_[i]->stop();
  backups_.reset();
  saves_.reset();
  persist_identity();
  if (const Status stopped = engine_->stop(); !stopped) {
    log_error("not everything could be saved", {{"reason", stopped.error().message}});
    exit_code_ = exit_code::server_error;
  } else if (exit_code_ == exit_code::done) {
    log_info("left; nothing is waiting to be saved");
  }
}

}  // namespace dhrt
