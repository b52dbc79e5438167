#include "node/nkvd_mesh.h"

#include <algorithm>
#include <utility>

#include "node/log.h"
#include "protocol/json.h"
#include "storage/base/hash.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

std::uint64_t weight_of(NodeId id) {
  return hash64(std::to_string(id));
}

std::optional<Address> address_of(Bytes text) {
  auto address = parse_remote_address(text);
  if (!address || is_wildcard(address->host)) return std::nullopt;
  return *std::move(address);
}

}  // namespace

void NkvdBoard::put(Picture picture) {
  auto fresh = std::make_shared<const Picture>(std::move(picture));
  const std::lock_guard lock(mutex_);
  picture_.swap(fresh);
}

std::shared_ptr<const NkvdBoard::Picture> NkvdBoard::get() const {
  const std::lock_guard lock(mutex_);
  return picture_;
}

NkvdMesh::NkvdMesh(const Parts& parts, Hooks hooks)
    : parts_(parts),
      hooks_(std::move(hooks)),
      reach_(parts.options.allow_public ? Dial::Reach::anywhere : Dial::Reach::private_addresses),
      tick_(parts.loop, [this] { tick(); }),
      soon_(parts.loop, [this] { work(); }) {
  // Who gives the address of a mesh means it, wherever it is.
  if (const auto& url = parts.options.mesh_network_url)
    url_ = std::make_unique<HttpClient>(parts.loop, *url, Dial::Reach::anywhere);
  tick_.every(tick_interval);
  tick();
}

// --- The turn ---------------------------------------------------------------------------------

void NkvdMesh::tick() {
  const Time now = monotonic_now();
  forget(now);
  choose_gateway(now);
  if (now >= next_gossip_) gossip(now);
  if (url_ != nullptr && !url_->busy() && now >= next_url_) ask_url(now);
  work();
  show();
}

void NkvdMesh::work() {
  const Time now = monotonic_now();
  for (const auto& peer : peers_)
    peer->work(now);
}

void NkvdMesh::work_soon() {
  if (!soon_.active()) soon_.once(Duration{0});
}

void NkvdMesh::changed(Bytes key) {
  for (const auto& peer : peers_)
    peer->changed(key);
}

void NkvdMesh::cleared() {
  for (const auto& peer : peers_)
    peer->cleared();
}

void NkvdMesh::refused(Bytes why) {
  if (std::exchange(refusal_told_, true)) return;
  log_warning("a write was not passed on to nkvd; stats count how many",
              {{"reason", std::string(why)}});
}

// --- Names ------------------------------------------------------------------------------------

// Where nodes of nkvd reach this one.
Address NkvdMesh::own_address() const {
  if (auto told = address_of(parts_.core.self().address)) return *std::move(told);
  if (!is_wildcard(parts_.bound.host)) return parts_.bound;
  for (const auto& peer : peers_)
    if (!peer->local_host().empty()) return {peer->local_host(), parts_.bound.port};
  if (url_ != nullptr && !url_->local_host().empty())
    return {url_->local_host(), parts_.bound.port};
  return parts_.bound;
}

bool NkvdMesh::is_ours(const Address& address) const {
  if (address == own_address() || address == parts_.bound) return true;
  const std::string text = to_text(address);
  const auto& members = parts_.core.members();
  return std::ranges::any_of(members, [&](const auto& m) { return m.second.address == text; }) ||
         std::ranges::any_of(others_, [&](const auto& o) { return o.second.address == text; });
}

void NkvdMesh::learn(const std::vector<Address>& nodes) {
  const Time now = monotonic_now();
  for (const Address& node : nodes) {
    const auto known =
        std::ranges::find_if(peers_, [&](const auto& peer) { return peer->address() == node; });
    if (known != peers_.end()) {
      (*known)->named(now);
      continue;
    }
    if (is_ours(node)) continue;
    if (peers_.size() >= nkvd::nodes_max) {
      if (!std::exchange(full_told_, true))
        log_warning("more nodes of nkvd are named than a mesh takes; the others are passed over",
                    {{"node", to_text(node)}, {"limit", std::to_string(nkvd::nodes_max)}});
      continue;
    }
    auto peer = std::make_unique<NkvdPeer>(
        NkvdPeer::Parts{parts_.loop, parts_.database, parts_.figures, reach_}, node,
        NkvdPeer::Hooks{.ping_target = [this] { return ping_target(); },
                        .learned = [this](const auto& named) { learn(named); },
                        .more = [this] { work_soon(); },
                        .refused = [this](Bytes why) { refused(why); }});
    peer->named(now);
    peer->forward(is_gateway_);
    peers_.push_back(std::move(peer));
  }
  work_soon();
}

bool NkvdMesh::remembers_deletes(const CollectionRef& collection) const {
  return collection.name == default_collection && std::ranges::any_of(peers_, [](const auto& peer) {
           return peer->kind() == NkvdPeer::Kind::nkvd || peer->copied();
         });
}

// From a timer only: a peer is not dropped inside its own call. Where there is no room, what was
// asked and is no nkvd makes it.
void NkvdMesh::forget(Time now) {
  // Whose data we took in stays, however long it is away: if it were new again when it is back,
  // what was deleted meanwhile would be copied from it.
  std::erase_if(peers_, [&](const auto& peer) {
    return now - peer->alive() > forget_after && !peer->copied();
  });
  if (peers_.size() >= nkvd::nodes_max)
    std::erase_if(peers_, [](const auto& peer) {
      return peer->kind() != NkvdPeer::Kind::nkvd && peer->was_asked();
    });
  std::erase_if(others_, [&](const auto& other) { return now - other.second.heard > silence_max; });
}

std::vector<Address> NkvdMesh::working() const {
  std::vector<Address> nodes;
  for (const auto& peer : peers_)
    if (peer->is_up()) nodes.push_back(peer->address());
  return nodes;
}

std::string NkvdMesh::ping_target() const {
  std::vector<Address> nodes = working();
  if (gateway_) nodes.insert(nodes.begin(), *gateway_);
  return "/ping?nodes=" + http::percent_encoded(nkvd::nodes_text(nodes));
}

void NkvdMesh::show() {
  NkvdBoard::Picture picture{.gateway = gateway_, .nodes = {}, .others = {own_address()}};
  for (const auto& peer : peers_) {
    if (peer->kind() == NkvdPeer::Kind::nkvd)
      picture.nodes.push_back({peer->address(), !peer->is_up()});
    else
      picture.others.push_back(peer->address());
  }
  for (const auto& [id, other] : others_)
    if (const auto address = address_of(other.address)) picture.others.push_back(*address);
  parts_.board.put(std::move(picture));
}

// --- The gateway ------------------------------------------------------------------------------

// Beside others it first hears who they are.
bool NkvdMesh::may_be_gateway(Time now) {
  if (parts_.core.state() != MemberState::healthy) {
    healthy_since_.reset();
    return false;
  }
  if (!healthy_since_) healthy_since_ = now;
  const auto& members = parts_.core.members();
  const bool alone = std::ranges::none_of(members, [&](const auto& entry) {
    return entry.first != parts_.core.self().id && entry.second.liveness < Liveness::left;
  });
  return alone || now - *healthy_since_ >= settling;
}

void NkvdMesh::choose_gateway(Time now) {
  const NodeId self = parts_.core.self().id;
  std::optional<NodeId> chosen;
  if (may_be_gateway(now)) chosen = self;
  for (const auto& [id, other] : others_) {
    const auto member = parts_.core.members().find(id);
    if (member == parts_.core.members().end() || state_of(member->second) != MemberState::healthy ||
        other.address.empty())
      continue;
    if (!chosen || weight_of(id) > weight_of(*chosen)) chosen = id;
  }
  gateway_.reset();
  if (chosen)
    gateway_ = address_of(*chosen == self ? to_text(own_address()) : others_[*chosen].address);
  const bool is_gateway = chosen == self;
  if (is_gateway != is_gateway_)
    log_info(is_gateway ? "this node is the gateway to the mesh of nkvd"
                        : "another node is the gateway to the mesh of nkvd");
  if (is_gateway != std::exchange(is_gateway_, is_gateway)) next_gossip_ = {};
  for (const auto& peer : peers_)
    peer->forward(is_gateway);
}

void NkvdMesh::gossip(Time now) {
  next_gossip_ = now + NkvdPeer::ping_interval;
  nkvd::Gossip said{.id = parts_.core.self().id, .address = {}, .nodes = working(), .copied = {}};
  // Without it, the others do not take this one for the gateway.
  const Address own = own_address();
  if (may_be_gateway(now) && !is_wildcard(own.host)) said.address = to_text(own);
  for (const auto& peer : peers_)
    if (peer->copied()) said.copied.push_back(peer->address());
  hooks_.publish({.channel = std::string(nkvd::channel), .payload = nkvd::to_text(said)});
}

void NkvdMesh::heard(Bytes text) {
  const auto said = nkvd::parse_gossip(text);
  if (!said) return;
  if (said->clear) return cleared();
  if (said->id == parts_.core.self().id || !parts_.core.members().contains(said->id)) return;
  if (!others_.contains(said->id)) next_gossip_ = {};  // It has not heard of us either.
  Other& other = others_[said->id];
  if (other.address != said->address && !said->address.empty())
    log_info("another node may be the gateway to the mesh of nkvd", {{"node", said->address}});
  other = {said->address, monotonic_now()};
  learn(said->nodes);
  for (const auto& peer : peers_)
    if (std::ranges::count(said->copied, peer->address()) > 0) peer->set_copied();
}

// --- --mesh-network-url -----------------------------------------------------------------------

void NkvdMesh::ask_url(Time now) {
  next_url_ = now + NkvdPeer::ping_interval;
  url_->get({.target = "/status",
             .body_bytes_max = NkvdPeer::answer_bytes_max,
             .timeout = NkvdPeer::request_timeout},
            [this](const Result<http::Answer>& result) { url_identified(result); });
}

// Behind a load balancer is somebody else each time, so no connection is kept.
void NkvdMesh::url_identified(const Result<http::Answer>& result) {
  url_->disconnect();
  const auto document = result ? json::Document::parse(result->body)
                               : Result<json::Document>(tl::unexpected(result.error()));
  std::string found = result ? "an answer that is none of nkvd's" : result.error().message;
  if (result && result->status == 200 && document) {
    const auto root = document->root();
    const std::string dhrt(result->header("x-dhrt-node"));
    // We ourselves, or one of us: the next time it may be somebody else.
    const auto is_dhrt = [&](const auto& member) { return dhrt == std::to_string(member.first); };
    if (std::ranges::any_of(parts_.core.members(), is_dhrt)) return;
    const auto host = root.member("hostname");
    const auto port = root.member("port");
    if (dhrt.empty() && root.member("maxKeyLength")) {
      found = "nkvd";
      ping_url();
    } else if (!dhrt.empty() && host && port) {
      found = "dhrt";
      auto address = address_of(host->string().value_or("") + ":" +
                                std::to_string(port->integer().value_or(0)));
      if (!address) address = parts_.options.mesh_network_url;
      if (address && !is_ours(*address)) hooks_.join(to_text(*address));
    }
  }
  if (found == url_found_) return;
  url_found_ = found;
  log_info("the mesh network was asked",
           {{"url", to_text(*parts_.options.mesh_network_url)}, {"found", found}});
}

void NkvdMesh::ping_url() {
  url_->get({.target = ping_target(),
             .body_bytes_max = NkvdPeer::answer_bytes_max,
             .timeout = NkvdPeer::request_timeout},
            [this](const Result<http::Answer>& result) {
              url_->disconnect();
              if (!result) return;
              if (const auto nodes = nkvd::parse_ping_answer(result->body)) learn(*nodes);
            });
}

}  // namespace dhrt
