#include "tests/simulator/network.h"

#include <algorithm>
#include <utility>

#include "protocol/peer_codec.h"
#include "storage/base/check.h"
#include "storage/base/hash.h"

namespace dhrt::simulator {

void Schedule::at(Time time, std::function<void()> what) {
  events_.push({std::max(time, now_), ++orders_, std::move(what)});
}

bool Schedule::run_next() {
  if (events_.empty()) return false;
  const Event event = events_.top();
  events_.pop();
  now_ = event.at;
  event.what();
  return true;
}

Network::Network(const SimulationOptions& options, Schedule& schedule, Random& random,
                 Totals& totals, Deliver deliver, std::function<bool(NodeIndex)> up)
    : options_(options),
      schedule_(schedule),
      random_(random),
      totals_(totals),
      deliver_(std::move(deliver)),
      up_(std::move(up)) {}

std::uint64_t Network::latency() {
  if (faults_ && options_.long_delay && random_.chance(0.05)) {
    ++totals_.delayed;
    return random_.between(500, 5000);
  }
  return random_.between(1, 10);
}

void Network::connect(NodeIndex from, const Connect& connect) {
  const NodeIndex to = std::stoul(connect.address.substr(1));
  const std::uint64_t delay = random_.between(1, 10);
  schedule_.in(delay, [this, from, to, connect] {
    if (!up_(from)) return;
    if (!up_(to) || !reachable(from, to)) {
      const std::uint64_t wait = up_(to) ? random_.between(500, 3000) : 1;
      schedule_.in(wait, [this, from, connect] {
        if (up_(from))
          deliver_(from, ConnectFailed{connect.address, connect.link_class, "no answer"});
      });
      return;
    }
    const Wire wire = wires_.size();
    const Time now = schedule_.now();
    wires_.push_back({{{from, true, now}, {to, true, now}}, connect.link_class});
    deliver_(to, ConnectionUp{id_of(wire, 1), connect.link_class, false, "", ""});
    deliver_(from, ConnectionUp{id_of(wire, 0), connect.link_class, true, connect.address, ""});
  });
}

std::optional<Network::Place> Network::find(NodeIndex node, ConnectionId id) const {
  const Wire wire = static_cast<Wire>(id - 1) / 2;
  const auto end = static_cast<std::size_t>(id - 1) % 2;
  if (id == 0 || wire >= wires_.size()) return std::nullopt;
  const End& found = wires_[wire].ends[end];
  if (found.node != node || !found.open) return std::nullopt;
  return Place{wire, static_cast<int>(end)};
}

void Network::send(NodeIndex from, const Send& send) {
  const auto encoded = encode_message(*send.message);
  check(encoded.has_value(), "what the core says can be encoded");
  const std::string& bytes = *encoded;
  for (const ConnectionId id : send.connections) {
    const auto found = find(from, id);
    if (!found) continue;
    const auto [wire, end] = *found;
    ++totals_.messages;
    if (faults_ && random_.chance(options_.loss)) {
      ++totals_.lost;
      continue;
    }
    if (faults_ && options_.lose_news && type_of(*send.message) == MessageType::layout &&
        random_.chance(0.5)) {
      ++totals_.news_lost;
      continue;
    }
    deliver_later(wire, 1 - end, bytes, type_of(*send.message));
    if (faults_ && random_.chance(options_.duplicate)) {
      ++totals_.duplicated;
      deliver_later(wire, 1 - end, bytes, type_of(*send.message));
    }
  }
}

void Network::deliver_later(Wire wire, int to_end, const std::string& bytes, MessageType type) {
  End& end = wires_[wire].ends[to_end];
  Time when = schedule_.now() + Duration(static_cast<Duration::rep>(latency()));
  const bool may_overtake = faults_ && options_.reorder;
  if (when < end.last_delivery) {
    if (may_overtake)
      ++totals_.reordered;
    else
      when = end.last_delivery;
  }
  if (when > end.last_delivery) announce_parts(wire, to_end, when);
  end.last_delivery = std::max(end.last_delivery, when);
  schedule_.at(when, [this, wire, to_end, bytes, type] { deliver_now(wire, to_end, bytes, type); });
}

// Every other message that is under way for long is a large one, whose parts come all the time.
void Network::announce_parts(Wire wire, int to_end, Time whole) {
  constexpr Duration between_parts{200};
  const Duration under_way = whole - schedule_.now();
  if (under_way <= between_parts || under_way.count() % 2 != 0) return;
  for (Time part = schedule_.now() + between_parts; part < whole; part = part + between_parts) {
    ++totals_.parts;
    schedule_.at(part, [this, wire, to_end] {
      if (wires_[wire].over) return;
      const End& to = wires_[wire].ends[to_end];
      const End& from = wires_[wire].ends[1 - to_end];
      const bool open = to.open && up_(to.node) && up_(from.node);
      if (open && !blocked_.contains({from.node, to.node}))
        deliver_(to.node, MessageComing{id_of(wire, to_end)});
    });
  }
}

void Network::deliver_now(Wire wire, int to_end, const std::string& bytes, MessageType type) {
  if (wires_[wire].over) return;
  const End to = wires_[wire].ends[to_end];
  const End from = wires_[wire].ends[1 - to_end];
  if (!to.open || !up_(to.node)) return;
  if (blocked_.contains({from.node, to.node})) {
    // Swallowed. TCP would try again for a while, then give up.
    if (random_.chance(0.05)) close_wire(wire, 1 - to_end, random_.between(1000, 10000));
    return;
  }
  auto message = decode_message(type, bytes);
  check(message.has_value(), "what the codec wrote it reads");
  transcript_ = hash64(bytes) ^ (transcript_ * 31) ^
                static_cast<std::uint64_t>(schedule_.now().since_start.count()) ^ (to.node << 48);
  deliver_(to.node, MessageIn{id_of(wire, to_end), std::move(*message)});
}

void Network::close_wire(Wire wire, int by_end, std::uint64_t delay) {
  if (wires_[wire].over) return;
  // Both ends learn of it, each in its own time; nothing passes any more.
  for (const int index : {by_end, 1 - by_end}) {
    if (!wires_[wire].ends[index].open) continue;
    const std::uint64_t wait = index == by_end ? 0 : delay;
    schedule_.in(wait, [this, wire, index] {
      End& end = wires_[wire].ends[index];
      if (std::exchange(end.open, false) && up_(end.node))
        deliver_(end.node, ConnectionDown{id_of(wire, index)});
    });
  }
  schedule_.in(delay + 1, [this, wire] { wires_[wire].over = true; });
}

void Network::close(NodeIndex from, ConnectionId connection) {
  const auto found = find(from, connection);
  if (!found) return;
  const auto [wire, end] = *found;
  const auto& ends = wires_[wire].ends;
  const bool cut = !reachable(ends[0].node, ends[1].node);
  close_wire(wire, end, cut ? random_.between(1000, 10000) : latency());
}

void Network::drop_all(NodeIndex node, bool in_order) {
  std::vector<Place> mine;
  for (Wire wire = 0; wire < wires_.size(); ++wire) {
    for (const int end : {0, 1}) {
      if (wires_[wire].ends[end].node == node && wires_[wire].ends[end].open)
        mine.push_back({wire, end});
    }
  }
  for (const auto& [wire, end] : mine) {
    auto& ends = wires_[wire].ends;
    ends[end].open = false;
    const bool cut = !reachable(ends[0].node, ends[1].node);
    const Duration under_way = ends[1 - end].last_delivery - schedule_.now();
    std::uint64_t delay = cut ? random_.between(1000, 10000) : random_.between(1, 10);
    if (in_order && under_way.count() >= 0)
      delay = std::max(delay, static_cast<std::uint64_t>(under_way.count()) + 1);
    close_wire(wire, end, delay);
  }
}

void Network::heal() {
  blocked_.clear();
}

}  // namespace dhrt::simulator
