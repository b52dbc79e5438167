#include "cluster/core.h"

#include <algorithm>
#include <utility>

namespace dhrt {

namespace {

// Reads of all peers that wait for the store; our own nodes never come near it.
constexpr std::size_t peer_reads_max = 100000;
// Event loops of one node, of any version.
constexpr std::uint16_t loops_max = 1024;

}  // namespace

void found_cluster(CoreOptions& options, ClusterId id) {
  options.identity.belonging = {id, true};
  options.self.synced = {options.self.epoch, options.self.incarnation};
  options.layout = {.cluster = id, .layout = {.voters = {options.self.id}}};
}

namespace {

Member with_own_features(Member self) {
  self.features |= feature::levels | feature::retires | feature::compares;
  return self;
}

}  // namespace

Core::Core(CoreOptions options)
    : options_(options.cluster),
      random_(options.random_seed),
      membership_(with_own_features(std::move(options.self))),
      links_(options_, membership_, options.identity),
      detector_(options_, membership_, links_),
      clocks_(options_, membership_),
      synchronizer_(options_, membership_, links_, detector_),
      fanout_(options_, membership_, links_),
      voters_(options_, membership_, links_, synchronizer_,
              notes_at_start(std::move(options.layout), options.identity.belonging,
                             membership_.self(), options.known)),
      quorums_(options_, membership_, links_, voters_),
      durable_reads_(options_, synchronizer_),
      quorum_reads_(options_, membership_, links_, quorums_, durable_reads_),
      write_levels_(options_, membership_, links_, quorums_) {
  membership_.restore(options.known);
  synchronizer_.restore_compared(options.compared);
}

void Core::step(Time now, const Input& input, Actions& actions) {
  const Step step{now, random_, actions};
  if (left_ && !std::holds_alternative<ConnectionDown>(input)) return;
  std::visit([&](const auto& what) { on(what, step); }, input);
  synchronizer_.go_on(step);
  if (membership_.take_accused()) detector_.accused_ourselves();
  voters_.belong_to(links_.belonging().id);
  publish_changes(step);
}

void Core::broadcast(Message message, const Step& step) {
  tell(links_.linked(), std::move(message), step);
}

void Core::tell(const std::vector<NodeId>& nodes, Message message, const Step& step) {
  std::vector<ConnectionId> connections;
  for (const NodeId node : nodes)
    connections.push_back(*links_.link(node, LinkClass::control));
  if (connections.empty()) return;
  step.actions.emplace_back(
      Send{std::move(connections), std::make_shared<const Message>(std::move(message))});
}

// All, unless they are many.
std::vector<NodeId> Core::hear_news(const Step& step) {
  std::vector<NodeId> nodes = links_.linked();
  if (nodes.size() <= options_.news_fanout) return nodes;
  step.random.shuffle(nodes);
  nodes.resize(options_.news_fanout);
  return nodes;
}

// Everybody passes a change on once, at once: at most n * news_fanout small messages, and it
// arrives even where links are missing. Pings repeat it in case that was lost.
void Core::publish_changes(const Step& step) {
  const bool belonging_changed = links_.take_belonging_changed();
  const bool voters_changed = voters_.take_changed();
  if (voters_changed) {
    if (!voters_.layout().voters.empty()) broadcast(voters_.tell(false), step);
    write_levels_.settle_all(step);
    quorum_reads_.voters_changed(step);
  }
  const std::set<NodeId> changed = membership_.take_changed();
  for (const NodeId node : changed) {
    if (membership_.find(node)->liveness == Liveness::evicted) synchronizer_.evicted(node);
  }
  const bool compared_changed = synchronizer_.take_compared_changed();
  if (changed.empty() && !belonging_changed && !voters_changed && !compared_changed) return;
  step.actions.emplace_back(
      Persist{links_.belonging(), table(), synchronizer_.compared(), voters_.notes()});
  if (belonging_changed) broadcast(Welcome{links_.belonging(), {}}, step);
  if (changed.empty()) return;
  Members news;
  for (const NodeId node : changed) {
    news.members.push_back(*membership_.find(node));
    log_state(news.members.back(), step);
  }
  tell(hear_news(step), std::move(news), step);
}

// Whoever noticed it, every node's log tells the same story of the others.
void Core::log_state(const Member& member, const Step& step) {
  if (member.id == membership_.self_id()) return;
  const MemberState state = state_of(member);
  const auto [place, is_new] = logged_states_.try_emplace(member.id, state);
  // A newcomer's table names all that ever left.
  if (is_new ? state == MemberState::left : place->second == state) return;
  place->second = state;
  const std::string node = "node " + member.name + " (" + member.address + ") ";
  if (state == MemberState::healthy) step.log(LogLevel::info, node + "is healthy");
  if (state == MemberState::unhealthy)
    step.log(LogLevel::warning, node + "does not answer: unhealthy");
  if (state == MemberState::dead)
    step.log(LogLevel::warning, node + "has not answered for too long: dead");
  if (state == MemberState::left) step.log(LogLevel::info, node + "has left");
  if (state == MemberState::evicted)
    step.log(LogLevel::warning, node + "is given up: deletes no longer wait for it");
}

void Core::on(const Tick& tick, const Step& step) {
  clocks_.tick(tick.wall, step);
  links_.tick(step);
  detector_.tick(said(step.now), step);
  synchronizer_.tick(clocks_.fenced(), step);
  if (!leaving_until_) voters_.tick(step);
  fanout_.tick(step);
  give(durable_reads_.tick(step), step);
  quorum_reads_.tick(step);
  write_levels_.settle_all(step);
  exchange_tables(step);
  evict_the_long_gone(step);
  continue_leaving(step);
}

void Core::exchange_tables(const Step& step) {
  if (step.now < next_table_exchange_) return;
  next_table_exchange_ = step.now + options_.table_exchange_interval;
  const std::vector<NodeId> linked = links_.linked();
  if (linked.empty()) return;
  const NodeId node = linked[random_.below(linked.size())];
  send_table(*links_.link(node, LinkClass::control), true, step);
}

FailureDetector::Said Core::said(Time now) const {
  return {synchronizer_.root(), clocks_.reading(now), voters_.stamp(), catch_up(now)};
}

// What a healthy node looks at now and then is nothing to wait for.
std::optional<CatchUp> Core::catch_up(Time now) const {
  const MemberState own = state();
  const bool waits = own == MemberState::joining || own == MemberState::syncing;
  return waits ? synchronizer_.catch_up(now) : std::nullopt;
}

void Core::note_catch_up(NodeId peer, const std::optional<CatchUp>& told) {
  if (told)
    catching_up_[peer] = *told;
  else
    catching_up_.erase(peer);
}

std::vector<Member> Core::table() const {
  std::vector<Member> table;
  for (const auto& [node, member] : membership_.members())
    table.push_back(member);
  return table;
}

void Core::send_table(ConnectionId connection, bool wants_reply, const Step& step) {
  step.send(connection, Members{wants_reply, table()});
}

void Core::apply_members(const std::vector<Member>& members) {
  for (const Member& member : members) {
    const bool is_new = membership_.find(member.id) == nullptr;
    if (is_new && membership_.members().size() >= 2 * options_.members_max) continue;
    membership_.apply(member);
  }
}

// --- Connections ----------------------------------------------------------------------------

void Core::on(const ConnectionUp& up, const Step& step) {
  link_event(links_.connection_up(up, step), step);
}

void Core::on(const ConnectionDown& down, const Step& step) {
  link_event(links_.connection_down(down.connection, step), step);
}

void Core::on(const ConnectFailed& failed, const Step& step) {
  links_.connect_failed(failed, step);
}

void Core::link_event(const LinkEvent& event, const Step& step) {
  if (event.kind == LinkEvent::Kind::none) return;
  if (event.kind == LinkEvent::Kind::lost) {
    synchronizer_.link_lost(event.peer, event.link_class, step);
    if (event.link_class != LinkClass::control) return;
    detector_.link_lost(event.peer);
    fanout_.link_lost(event.peer, step);
    quorum_reads_.link_lost(event.peer);
    catching_up_.erase(event.peer);
    told_.erase(event.peer);
    heard_.erase(event.peer);
    return;
  }
  synchronizer_.link_established(event.peer, event.link_class);
  if (event.link_class != LinkClass::control) return;
  told_.erase(event.peer);
  heard_.erase(event.peer);
  waits_.look(links_.linked(), heard_, step);  // Who wrote nothing waits for links.
  const ConnectionId connection = *links_.link(event.peer, LinkClass::control);
  if (event.joined) step.send(connection, Join{membership_.self()});
  send_table(connection, false, step);
  voters_.link_established(connection, step);
  quorum_reads_.link_established(event.peer, step);
  // It may have written before the link broke, and may want to leave.
  for (const auto& [name, mirror] : synchronizer_.mirrors())
    acknowledge(event.peer, {name, mirror.generation}, mirror.durable, step);
}

// --- Messages -------------------------------------------------------------------------------

// One message of a greeted peer.
struct Core::FromPeer {
  Core& core;
  ConnectionId connection;
  NodeId peer;
  const Step& step;

  void operator()(const Hello&) const {}
  void operator()(const HelloAck&) const {}
  void operator()(const Ping& ping) const {
    core.apply_members(ping.updates);
    core.voters_.heard(connection, ping.layout, true, step);
    core.synchronizer_.root_heard(peer, ping.root, step.now);
    core.note_catch_up(peer, ping.catch_up);
    core.detector_.ping(connection, ping, core.said(step.now), step);
  }
  void operator()(const Ack& ack) const {
    core.apply_members(ack.updates);
    core.voters_.heard(connection, ack.layout, true, step);
    if (ack.target == peer) {
      core.synchronizer_.root_heard(peer, ack.root, step.now);
      core.note_catch_up(peer, ack.catch_up);
    }
    if (const auto taken = core.detector_.answered_after(connection, ack, step.now))
      core.clocks_.heard(peer, ack.clock, *taken, step.now);
    core.detector_.ack(connection, ack, step);
  }
  void operator()(const PingRequest& request) const {
    core.apply_members(request.updates);
    core.detector_.ping_request(connection, request, core.said(step.now), step);
  }
  void operator()(const Nack& nack) const { core.detector_.nack(connection, nack); }
  void operator()(const Accuse& accuse) const { core.detector_.accuse(connection, accuse, step); }
  void operator()(const Members& members) const {
    core.apply_members(members.members);
    if (members.wants_reply) core.send_table(connection, false, step);
  }
  void operator()(const Join& join) const {
    core.apply_members({join.member});
    step.send(connection, Welcome{core.links_.belonging(), core.table()});
  }
  void operator()(const Welcome& welcome) const {
    core.apply_members(welcome.members);
    core.links_.welcome(connection, welcome.belonging, step);
  }
  void operator()(const Leave& leave) const {
    if (leave.node == peer) core.membership_.mark_left(leave.node, leave.incarnation);
  }
  void operator()(const Resynced& resynced) const {
    core.synchronizer_.resynced(peer, resynced, step);
  }
  void operator()(const Write& write) const {
    step.actions.emplace_back(ApplyWrite{write.collection, write.records, write.flushed,
                                         core.synchronizer_.may_join(peer, write.collection)});
  }
  void operator()(const WriteAck& ack) const {
    core.voters_.heard(connection, ack.layout, false, step);
    core.note_tips(peer, ack, step);
  }
  void operator()(const Read& read) const { core.read_for_peer(connection, read, step); }
  void operator()(const ReadReply& reply) const { core.fanout_.reply(peer, reply, step); }
  void operator()(const Pull& pull) const { core.synchronizer_.pull(connection, pull, step); }
  void operator()(const PullReply& reply) const {
    core.synchronizer_.pull_reply(peer, reply, step);
  }
  void operator()(const Summary& summary) const {
    core.synchronizer_.summary(connection, summary, step);
  }
  void operator()(const SummaryReply& reply) const {
    core.synchronizer_.summary_reply(peer, reply, step);
  }
  void operator()(const Audit& audit) const { core.synchronizer_.audit(connection, audit, step); }
  void operator()(const AuditReply& reply) const {
    core.synchronizer_.audit_reply(peer, reply, step);
  }
  void operator()(const Fetch& fetch) const { core.synchronizer_.fetch(connection, fetch, step); }
  void operator()(const FetchReply& reply) const {
    core.synchronizer_.fetch_reply(peer, reply, step);
  }
  void operator()(const Mend& mend) const { core.synchronizer_.mend(connection, mend, step); }
  void operator()(const Mended& mended) const { core.synchronizer_.mended(peer, mended, step); }
  void operator()(const Compared& compared) const {
    core.synchronizer_.compared(connection, compared, step);
  }
  void operator()(const Report& report) const { core.synchronizer_.report(peer, report, step); }
  void operator()(const DurableRead& read) const {
    core.durable_reads_.read({connection, read.request}, read, step);
  }
  void operator()(const DurableReadReply& reply) const {
    core.voters_.heard(connection, reply.layout, false, step);
    core.quorum_reads_.answer(peer, reply, step);
  }
  void operator()(const StoreRecord& store) const {
    core.durable_reads_.store({connection, store.request}, store, step);
  }
  void operator()(const StoreReply& reply) const {
    core.voters_.heard(connection, reply.layout, false, step);
    core.quorum_reads_.stored(peer, reply, step);
  }
  void operator()(const LayoutTold& told) const { core.voters_.told(connection, told, step); }
  void operator()(const VoteRequest& request) const {
    core.voters_.asked(connection, peer, request, step);
  }
  void operator()(const VoteReply& reply) const { core.voters_.answered(peer, reply, step); }
  void operator()(const Publish& said) const { step.actions.emplace_back(Published{said}); }
};

void Core::on(const MessageIn& in, const Step& step) {
  if (const auto* hello = std::get_if<Hello>(&in.message)) {
    link_event(links_.hello(in.connection, *hello, step), step);
    return;
  }
  if (const auto* ack = std::get_if<HelloAck>(&in.message)) {
    link_event(links_.hello_ack(in.connection, *ack, step), step);
    return;
  }
  const auto peer = links_.peer_of(in.connection);
  if (!peer) {
    step.actions.emplace_back(Close{in.connection});  // It speaks before it greets.
    return;
  }
  std::visit(FromPeer{*this, in.connection, *peer, step}, in.message);
}

// --- Reads ----------------------------------------------------------------------------------

void Core::read_for_peer(ConnectionId connection, const Read& read, const Step& step) {
  if (reads_.size() >= peer_reads_max) return;  // The asker's time-out answers.
  const Token token = ++read_tokens_;
  reads_[token] = {connection, read.request};
  step.actions.emplace_back(ReadLocal{token, read.collection, read.key});
}

// Whoever was healthy once since it started has what it had, also if somebody calls it dead now: on
// one side of a network that is cut one way all may be called so.
void Core::give(std::vector<DurableReads::Answer> answers, const Step& step) {
  const bool synced = self().synced.epoch == self().epoch;
  for (DurableReads::Answer& answer : answers) {
    const auto connection = answer.asker.connection;
    DurableReadReply reply{.request = answer.asker.request,
                           .synced = synced,
                           .generation = answer.generation,
                           .record = std::move(answer.record),
                           .forgotten = std::move(answer.forgotten),
                           .layout = voters_.stamp()};
    if (!connection)
      quorum_reads_.answer(membership_.self_id(), reply, step);
    else if (links_.peer_of(*connection))
      step.send(*connection, std::move(reply));
  }
}

void Core::on(const LocalRead& read, const Step& step) {
  if (DurableReads::is_own(read.token)) return give(durable_reads_.local_read(read), step);
  const auto found = reads_.find(read.token);
  if (found == reads_.end()) return;
  const PeerRead peer_read = found->second;
  reads_.erase(found);
  if (links_.peer_of(peer_read.connection))
    step.send(
        peer_read.connection,
        ReadReply{peer_read.request, read.ok && state() == MemberState::healthy, read.record});
}

void Core::on(const FanoutRead& read, const Step& step) {
  if (read.level >= ReadLevel::quorum)
    quorum_reads_.read(read, step);
  else
    fanout_.read(read, step);
}

// --- Writes ---------------------------------------------------------------------------------

void Core::on(const LocalWrites& writes, const Step& step) {
  // The peers are to know it before the write.
  if (links_.establish()) publish_changes(step);
  note_own_tips(writes);
  std::vector<ConnectionId> connections = listening();
  if (connections.empty()) return;
  Write write{
      .collection = writes.collection, .records = writes.records, .flushed = writes.flushed};
  step.actions.emplace_back(
      Send{std::move(connections), std::make_shared<const Message>(std::move(write))});
}

// The dead get no writes; they pull when they are back.
std::vector<ConnectionId> Core::listening() const {
  std::vector<ConnectionId> connections;
  for (const NodeId node : links_.linked()) {
    if (membership_.state(node) != MemberState::dead)
      connections.push_back(*links_.link(node, LinkClass::control));
  }
  return connections;
}

void Core::on(const SeedFound& seed, const Step& step) {
  links_.add_seed(seed.address, step);
}

void Core::on(const LocalPublish& publish, const Step& step) {
  std::vector<ConnectionId> connections = listening();
  if (connections.empty()) return;
  step.actions.emplace_back(
      Send{std::move(connections), std::make_shared<const Message>(publish.said)});
}

void Core::note_own_tips(const LocalWrites& writes) {
  if (writes.records == nullptr) return;
  const std::vector<std::uint64_t>& tips = writes.records->tips();
  for (std::size_t alias = 0; alias < tips.size(); ++alias) {
    if (tips[alias] == 0) continue;
    const Origin& origin = *writes.records->origins().origin(static_cast<std::uint16_t>(alias));
    auto& tip = own_tips_[writes.collection][origin];
    tip = std::max(tip, tips[alias]);
  }
}

void Core::on(const StoreChanged& changed, const Step& step) {
  synchronizer_.store_changed(changed);
  give(durable_reads_.store_changed(changed.collection, step), step);
  for (const NodeId peer : links_.linked())
    acknowledge(peer, changed.collection, changed.durable, step);
}

void Core::on(const MessageComing& coming, const Step& step) {
  synchronizer_.message_coming(coming.connection, step.now);
  if (const auto peer = links_.peer_of(coming.connection))
    detector_.message_coming(*peer, step.now);
}

void Core::on(const CollectionGone& gone, const Step& step) {
  synchronizer_.collection_gone(gone.collection);
  waits_.collection_gone(gone.collection);
  write_levels_.collection_gone(gone.collection);
  durable_reads_.collection_gone(gone.collection);
  waits_.look(links_.linked(), heard_, step);
  own_tips_.erase(gone.collection);
  const auto is_gone = [&](const auto& tip) { return tip.first.first == gone.collection; };
  for (auto& [peer, tips] : told_)
    std::erase_if(tips, is_gone);
  for (auto& [peer, tips] : heard_)
    std::erase_if(tips, is_gone);
}

// Tells a peer how far the writes of its present start are durable here.
void Core::acknowledge(NodeId peer, const CollectionRef& collection, const Context& durable,
                       const Step& step) {
  const Member* member = membership_.find(peer);
  if (member == nullptr) return;
  WriteAck ack{.tips = {}, .layout = voters_.stamp()};
  const auto& origins = durable.origins();
  for (auto entry = origins.lower_bound(Origin{peer, member->epoch, 0});
       entry != origins.end() && entry->first.node == peer; ++entry) {
    const std::uint64_t tip = entry->second.tip();
    auto& told = told_[peer][{collection, entry->first}];
    if (tip <= told) continue;
    told = tip;
    ack.tips.push_back({collection, 0, entry->first, tip});
  }
  if (!ack.tips.empty()) step.send(*links_.link(peer, LinkClass::control), std::move(ack));
}

// Only what we wrote in this start is of interest, which bounds the table. A peer may tell of a
// write that it pulled before the loop that made it has brought it here.
bool Core::may_be_ours(const WriteAck::Tip& tip) const {
  const auto& mirrors = synchronizer_.mirrors();
  const auto mirror = mirrors.find(tip.collection.name);
  const bool is_held =
      own_tips_.contains(tip.collection) ||
      (mirror != mirrors.end() && mirror->second.generation == tip.collection.generation);
  return is_held && tip.origin.node == membership_.self_id() && tip.origin.epoch == self().epoch &&
         tip.origin.loop < loops_max;
}

void Core::note_tips(NodeId peer, const WriteAck& ack, const Step& step) {
  std::vector<Tips::key_type> news;
  for (const WriteAck::Tip& tip : ack.tips) {
    if (!may_be_ours(tip)) continue;
    auto& heard = heard_[peer][{tip.collection, tip.origin}];
    if (tip.sequence > heard) news.emplace_back(tip.collection, tip.origin);
    heard = std::max(heard, tip.sequence);
  }
  if (news.empty()) return;
  waits_.look(links_.linked(), heard_, step);
  write_levels_.heard(peer, news, heard_[peer], step);
}

void Core::on(const WaitForLevel& wait, const Step& step) {
  write_levels_.begin(wait, heard_, step);
}

void Core::on(const WaitForPeers& wait, const Step& step) {
  Tips written;
  const Origin loop{membership_.self_id(), self().epoch, wait.loop};
  for (const auto& [collection, origins] : own_tips_) {
    const auto tip = origins.find(loop);
    if (tip != origins.end()) written[{collection, loop}] = tip->second;
  }
  waits_.begin(wait, std::move(written));
  waits_.look(links_.linked(), heard_, step);
}

void Core::on(const WaitEnds& ends, const Step& step) {
  waits_.end(ends.request, links_.linked(), heard_, step);
}

void Core::on(const Applied& applied, const Step& step) {
  if (!DurableReads::is_own(applied.token)) return synchronizer_.applied(applied, step);
  const auto stored = durable_reads_.applied(applied, step);
  if (!stored) return;
  const StoreReply reply{stored->asker.request, stored->stored, voters_.stamp()};
  if (!stored->asker.connection)
    quorum_reads_.stored(membership_.self_id(), reply, step);
  else if (links_.peer_of(*stored->asker.connection))
    step.send(*stored->asker.connection, reply);
}

void Core::on(const Walked& walked, const Step& step) {
  synchronizer_.walked(walked, step);
}

void Core::on(const Ranged& ranged, const Step& step) {
  synchronizer_.ranged(ranged, step);
}

void Core::on(const LayoutNoted& noted, const Step& step) {
  voters_.noted(noted, step);
}

void Core::on(const FoundRequested& found, const Step&) {
  if (!links_.found(found.id)) return;
  membership_.attest(membership_.self_id(), {self().epoch, self().incarnation});
  voters_.found(found.id);
}

}  // namespace dhrt
