#include "cluster/links.h"

#include <algorithm>
#include <utility>

namespace dhrt {

namespace {

HelloAck refuse(HelloStatus status, std::string explanation) {
  return {.status = status, .explanation = std::move(explanation)};
}

bool speaks_our_protocol(const Member& member) {
  return member.protocol_min <= protocol_version_max && member.protocol_max >= protocol_version_min;
}

// Not a number: IPv6 has brackets, IPv4 digits and dots.
bool is_name(const std::string& address) {
  const std::string host = address.substr(0, address.rfind(':'));
  return !host.starts_with('[') && host.find_first_not_of("0123456789.") != std::string::npos;
}

// Two links each to all members that a table can hold, at two addresses each.
std::size_t dials_max(const ClusterOptions& options) {
  return 8 * options.members_max;
}

// What two nodes belong to together; absent: they are of two clusters. An established cluster
// wins, then the lower id: whatever the order in which any number of nodes meet and tell each
// other, they end in the same cluster.
std::optional<Belonging> together(const Belonging& one, const Belonging& other) {
  if (one.id.none()) return other;
  if (other.id.none()) return one;
  if (one.id == other.id) return Belonging{one.id, one.provisional && other.provisional};
  if (!one.provisional && !other.provisional) return std::nullopt;
  if (!one.provisional) return one;
  if (!other.provisional) return other;
  return std::min(one.id, other.id) == one.id ? one : other;
}

}  // namespace

Hello Links::own_hello() const {
  return {.member = membership_.self(),
          .belonging = identity_.belonging,
          .start_nonce = identity_.start_nonce};
}

void Links::learn_own_address(const std::string& local_host) {
  if (!membership_.self().address.empty() || local_host.empty()) return;
  const bool ipv6 = local_host.find(':') != std::string::npos;
  membership_.set_own_address((ipv6 ? "[" + local_host + "]" : local_host) + ":" +
                              identity_.bind_port);
}

LinkEvent Links::connection_up(const ConnectionUp& up, const Step& step) {
  connections_[up.connection] = {.link_class = up.link_class,
                                 .dialled = up.dialled,
                                 .address = up.address,
                                 .local_host = up.local_host};
  learn_own_address(up.local_host);
  if (up.dialled) step.send(up.connection, own_hello());
  return {};
}

LinkEvent Links::connection_down(ConnectionId id, const Step& step) {
  const auto found = connections_.find(id);
  if (found == connections_.end()) return {};
  const Connection connection = std::move(found->second);
  connections_.erase(found);
  if (connection.dialled) {
    const auto lasted =
        connection.peer ? std::optional(step.now - connection.established) : std::nullopt;
    dial_settled({connection.address, connection.link_class}, lasted, step);
  }
  if (!connection.peer) return {};
  const auto links = links_.find(*connection.peer);
  if (links == links_.end()) return {};
  std::optional<ConnectionId>& link = links->second.of(connection.link_class);
  if (link != id) return {};  // Another one had taken its place.
  linked_at_.reset();
  if (connection.link_class == LinkClass::control) --linked_count_;
  link.reset();
  if (!links->second.control && !links->second.bulk) links_.erase(links);
  return {LinkEvent::Kind::lost, *connection.peer, connection.link_class};
}

void Links::connect_failed(const ConnectFailed& failed, const Step& step) {
  const Address address{failed.address, failed.link_class};
  dial_settled(address, std::nullopt, step);
  const bool is_seed = std::ranges::count(identity_.seeds, failed.address) != 0;
  const bool is_news = std::exchange(dials_[address].failure, failed.reason) != failed.reason;
  step.log(
      is_seed && is_news && identity_.belonging.id.none() ? LogLevel::warning : LogLevel::debug,
      "cannot reach " + failed.address + ": " + failed.reason);
}

std::optional<HelloAck> Links::refusal(const Hello& hello) const {
  const Member& member = hello.member;
  if (stopping_) return refuse(HelloStatus::not_accepting, "this node is leaving");
  if (!speaks_our_protocol(member))
    return refuse(HelloStatus::protocol_version,
                  "this node speaks peer protocol 1; upgrade the older node");
  if (member.id == 0 || member.id == membership_.self_id())
    return refuse(HelloStatus::same_node,
                  "both ends have the same node id; was the data directory copied?");
  const auto start = starts_.find(member.id);
  if (start != starts_.end()) {
    const auto& [epoch, nonce] = start->second;
    if (member.epoch < epoch || (member.epoch == epoch && hello.start_nonce != nonce))
      return refuse(HelloStatus::duplicate_node,
                    "another process runs with this node id; was the data directory copied?");
  }
  if (member.incarnation > incarnation_max)
    return refuse(HelloStatus::not_accepting, "the greeting's incarnation is out of range");
  const bool no_room = membership_.active_count() >= options_.members_max ||
                       membership_.members().size() >= 2 * options_.members_max;
  if (membership_.find(member.id) == nullptr && no_room)
    return refuse(
        HelloStatus::not_accepting,
        "the cluster has its limit of " + std::to_string(options_.members_max) + " members");
  if (hello.belonging.id.none() && identity_.belonging.id.none())
    return refuse(HelloStatus::no_cluster, "neither node belongs to a cluster yet");
  if (!together(identity_.belonging, hello.belonging))
    return refuse(HelloStatus::foreign_cluster, "this node belongs to another cluster");
  return std::nullopt;
}

bool Links::settle_belonging(const Belonging& theirs, const Step& step) {
  const auto settled = together(identity_.belonging, theirs);
  if (!settled || *settled == identity_.belonging) return false;
  const bool joins = settled->id != identity_.belonging.id;
  if (joins) step.log(LogLevel::info, "joined the cluster of the peer");
  identity_.belonging = *settled;
  belonging_changed_ = true;
  return joins;
}

LinkEvent Links::hello(ConnectionId id, const Hello& hello, const Step& step) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || found->second.dialled || found->second.peer) return {};
  if (auto refused = refusal(hello)) {
    if (std::exchange(found->second.refused, true)) {
      step.actions.emplace_back(Close{id});  // Asking again does not help.
      return {};
    }
    step.log(LogLevel::warning, "refused " + hello.member.address + ": " + refused->explanation);
    refused->hello = own_hello();
    step.send(id, std::move(*refused));
    return {};  // The caller reads the reason and hangs up.
  }
  // The answer tells where we belonged before, so that both reckon from the same two values.
  HelloAck ack{.hello = own_hello()};
  const bool joined = settle_belonging(hello.belonging, step);
  step.send(id, std::move(ack));
  LinkEvent established = establish_link(id, hello, step);
  established.joined = joined;
  return established;
}

LinkEvent Links::hello_ack(ConnectionId id, const HelloAck& ack, const Step& step) {
  const auto found = connections_.find(id);
  if (found == connections_.end() || !found->second.dialled || found->second.peer) return {};
  const std::string& address = found->second.address;
  if (ack.status != HelloStatus::accepted) {
    const bool ourselves =
        ack.status == HelloStatus::same_node && ack.hello.start_nonce == identity_.start_nonce;
    if (ourselves) {
      // Behind a name there may be others as well: the shell's next call goes on with them.
      if (!is_name(address)) own_addresses_.insert(address);
    } else {
      step.log(LogLevel::warning, address + " refused us: " + ack.explanation);
    }
    step.actions.emplace_back(Close{id});
    return {};
  }
  // It accepted us; whether we accept it is a question of its own.
  if (const auto refused = refusal(ack.hello)) {
    step.log(LogLevel::warning, "refused " + address + ": " + refused->explanation);
    step.actions.emplace_back(Close{id});
    return {};
  }
  const bool joined = settle_belonging(ack.hello.belonging, step);
  LinkEvent established = establish_link(id, ack.hello, step);
  established.joined = joined;
  return established;
}

void Links::welcome(ConnectionId id, const Belonging& theirs, const Step& step) {
  if (theirs.id.none() || theirs == identity_.belonging) return;
  if (!together(identity_.belonging, theirs)) {
    step.log(LogLevel::error, "a peer has come to belong to another cluster; its link is closed");
    step.actions.emplace_back(Close{id});
    return;
  }
  settle_belonging(theirs, step);
  if (identity_.belonging != theirs) step.send(id, Welcome{identity_.belonging, {}});
}

bool Links::keeps_existing(const Connection& existing, const Connection& candidate,
                           NodeId peer) const {
  // A peer that started anew, or that calls again, knows that the old one is gone.
  if (existing.peer_nonce != candidate.peer_nonce) return false;
  if (existing.dialled == candidate.dialled) return false;
  const bool we_are_lower = membership_.self_id() < peer;
  return existing.dialled == we_are_lower;
}

LinkEvent Links::establish_link(ConnectionId id, const Hello& hello, const Step& step) {
  Connection& connection = connections_.at(id);
  const NodeId peer = hello.member.id;
  connection.peer = peer;
  connection.peer_nonce = hello.start_nonce;
  connection.established = step.now;
  starts_[peer] = {hello.member.epoch, hello.start_nonce};
  if (connection.dialled) dials_[{connection.address, connection.link_class}].reached = peer;
  Member member = hello.member;
  member.liveness = Liveness::alive;  // It speaks; whatever else it says of that is wrong.
  membership_.apply(member);

  std::optional<ConnectionId>& link = links_[peer].of(connection.link_class);
  if (link) {
    if (keeps_existing(connections_.at(*link), connection, peer)) {
      connection.peer.reset();
      step.actions.emplace_back(Close{id});
      return {};
    }
    step.actions.emplace_back(Close{*link});
  } else if (connection.link_class == LinkClass::control) {
    ++linked_count_;
  }
  link = id;
  unlinked_since_.erase(peer);
  return {LinkEvent::Kind::established, peer, connection.link_class};
}

std::optional<NodeId> Links::peer_of(ConnectionId connection) const {
  const auto found = connections_.find(connection);
  return found == connections_.end() ? std::nullopt : found->second.peer;
}

std::optional<ConnectionId> Links::link(NodeId peer, LinkClass link_class) const {
  const auto found = links_.find(peer);
  if (found == links_.end()) return std::nullopt;
  return link_class == LinkClass::control ? found->second.control : found->second.bulk;
}

std::vector<NodeId> Links::linked() const {
  std::vector<NodeId> nodes;
  for (const auto& [peer, links] : links_) {
    if (links.control) nodes.push_back(peer);
  }
  return nodes;
}

bool Links::found(ClusterId id) {
  if (!identity_.belonging.id.none()) return false;
  identity_.belonging = {id, true};
  belonging_changed_ = true;
  return true;
}

bool Links::establish() {
  if (identity_.belonging.id.none() || !identity_.belonging.provisional) return false;
  identity_.belonging.provisional = false;
  belonging_changed_ = true;
  return true;
}

bool Links::take_belonging_changed() {
  return std::exchange(belonging_changed_, false);
}

// --- Whom to call ---------------------------------------------------------------------------

void Links::tick(const Step& step) {
  if (stopping_) return;
  if (dials_.size() >= dials_max(options_)) forget_addresses();
  dial_members(step);
  dial_seeds(step);
}

// Members may move any number of times.
void Links::forget_addresses() {
  std::set<std::string> wanted(identity_.seeds.begin(), identity_.seeds.end());
  for (const auto& [node, member] : membership_.members())
    wanted.insert(member.address);
  std::erase_if(dials_, [&](const auto& entry) {
    return !entry.second.pending && !wanted.contains(entry.first.first);
  });
  std::erase_if(own_addresses_, [&](const auto& address) { return !wanted.contains(address); });
}

namespace {

// Who left comes back by itself; who died does not know it, and neither do two halves that gave
// each other up.
bool is_called(const Member& member) {
  const bool was_dead = member.died >= member.incarnation;
  return member.liveness < Liveness::left || (member.liveness == Liveness::evicted && was_dead);
}

}  // namespace

void Links::dial_members(const Step& step) {
  if (identity_.belonging.id.none() || linked_at_ == membership_.changes()) return;
  bool misses_nobody = true;
  auto links = links_.begin();  // Goes along: both are in order of id.
  for (const auto& [node, member] : membership_.members()) {
    while (links != links_.end() && links->first < node)
      ++links;
    const bool has_links = links != links_.end() && links->first == node;
    if (has_links && links->second.control && links->second.bulk) continue;
    if (node == membership_.self_id() || !is_called(member)) continue;
    if (member.address.empty()) continue;
    misses_nobody = false;
    if (has_links && links->second.control) {
      // Whoever dialled the control link dials the bulk link.
      if (connections_.at(*links->second.control).dialled)
        dial(member.address, LinkClass::bulk, step);
      continue;
    }
    const auto [since, is_new] = unlinked_since_.try_emplace(node, step.now);
    const bool our_turn =
        membership_.self_id() < node || step.now - since->second >= options_.dial_patience;
    if (our_turn) dial(member.address, LinkClass::control, step);
  }
  if (misses_nobody) linked_at_ = membership_.changes();
}

void Links::add_seed(const std::string& address, const Step& step) {
  if (std::ranges::count(identity_.seeds, address) > 0 || seeds_found_ == seeds_found_max) return;
  ++seeds_found_;
  identity_.seeds.push_back(address);
  step.log(LogLevel::info, "found a cluster to join at " + address);
}

void Links::dial_seeds(const Step& step) {
  // With most of the members linked the seeds have nothing to tell us.
  if (!identity_.belonging.id.none() && 2 * (linked_count_ + 1) >= membership_.active_count() &&
      membership_.active_count() > 1)
    return;
  for (const std::string& seed : identity_.seeds) {
    if (own_addresses_.contains(seed) || seed == membership_.self().address) continue;
    const bool connected = std::ranges::any_of(connections_, [&](const auto& entry) {
      return entry.second.address == seed && entry.second.link_class == LinkClass::control;
    });
    if (!connected) dial(seed, LinkClass::control, step);
  }
}

void Links::dial(const std::string& address, LinkClass link_class, const Step& step) {
  if (own_addresses_.contains(address)) return;
  const Address key{address, link_class};
  if (!dials_.contains(key) && dials_.size() >= dials_max(options_)) return;
  Dial& dial = dials_[key];
  if (dial.pending || step.now < dial.next) return;
  // Another name of a node that is linked: calling it would only replace that link, for ever.
  if (link_class == LinkClass::control && dial.reached && link(*dial.reached, link_class)) return;
  dial.pending = true;
  step.actions.emplace_back(Connect{address, link_class});
}

void Links::dial_settled(const Address& address, std::optional<Duration> lasted, const Step& step) {
  Dial& dial = dials_[address];
  dial.pending = false;
  // A link that lasted longer than it was waited for is tried again soon; silence, and a link
  // that breaks at once, double the wait.
  const bool worked = lasted && *lasted > dial.wait;
  dial.wait = worked ? options_.redial_min
                     : std::clamp(dial.wait * 2, options_.redial_min, options_.redial_max);
  const auto jitter = Duration(static_cast<Duration::rep>(
      step.random.below(static_cast<std::uint64_t>(dial.wait.count()) / 2 + 1)));
  dial.next = step.now + dial.wait / 2 + jitter;
}

}  // namespace dhrt
