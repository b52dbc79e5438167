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
    const std::uint64_t wire = next_wire_++;
    Connection& connection = wires_[wire];
    connection.link_class = connect.link_class;
    connection.since = schedule_.now();
    connection.ends[0] = {from, next_id_++, schedule_.now()};
    connection.ends[1] = {to, next_id_++, schedule_.now()};
    const ConnectionId caller = connection.ends[0].id;
    const ConnectionId called = connection.ends[1].id;
    by_id_[{from, caller}] = {wire, 0};
    by_id_[{to, called}] = {wire, 1};
    deliver_(to, ConnectionUp{called, connect.link_class, false, "", ""});
    deliver_(from, ConnectionUp{caller, connect.link_class, true, connect.address, ""});
  });
}

void Network::send(NodeIndex from, const Send& send) {
  const auto encoded = encode_message(*send.message);
  check(encoded.has_value(), "what the core says can be encoded");
  const std::string& bytes = *encoded;
  for (const ConnectionId id : send.connections) {
    const auto found = by_id_.find({from, id});
    if (found == by_id_.end()) continue;
    const auto [wire, end] = found->second;
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

void Network::deliver_later(std::uint64_t wire, int to_end, const std::string& bytes,
                            MessageType type) {
  End& end = wires_.at(wire).ends[to_end];
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
void Network::announce_parts(std::uint64_t wire, int to_end, Time whole) {
  constexpr Duration between_parts{200};
  const Duration under_way = whole - schedule_.now();
  if (under_way <= between_parts || under_way.count() % 2 != 0) return;
  for (Time part = schedule_.now() + between_parts; part < whole; part = part + between_parts) {
    ++totals_.parts;
    schedule_.at(part, [this, wire, to_end] {
      const auto found = wires_.find(wire);
      if (found == wires_.end()) return;
      const End& to = found->second.ends[to_end];
      const End& from = found->second.ends[1 - to_end];
      const bool open = by_id_.contains({to.node, to.id}) && up_(to.node) && up_(from.node);
      if (open && !blocked_.contains({from.node, to.node})) deliver_(to.node, MessageComing{to.id});
    });
  }
}

void Network::deliver_now(std::uint64_t wire, int to_end, const std::string& bytes,
                          MessageType type) {
  const auto found = wires_.find(wire);
  if (found == wires_.end()) return;
  const End& to = found->second.ends[to_end];
  const End& from = found->second.ends[1 - to_end];
  if (!by_id_.contains({to.node, to.id}) || !up_(to.node)) return;
  if (blocked_.contains({from.node, to.node})) {
    // Swallowed. TCP would try again for a while, then give up.
    if (random_.chance(0.05)) close_wire(wire, 1 - to_end, random_.between(1000, 10000));
    return;
  }
  auto message = decode_message(type, bytes);
  check(message.has_value(), "what the codec wrote it reads");
  transcript_ = hash64(bytes) ^ (transcript_ * 31) ^
                static_cast<std::uint64_t>(schedule_.now().since_start.count()) ^ (to.node << 48);
  deliver_(to.node, MessageIn{to.id, std::move(*message)});
}

void Network::close_wire(std::uint64_t wire, int by_end, std::uint64_t delay) {
  const auto found = wires_.find(wire);
  if (found == wires_.end()) return;
  // Both ends learn of it, each in its own time; nothing passes any more.
  for (const int index : {by_end, 1 - by_end}) {
    const End end = found->second.ends[index];
    if (!by_id_.contains({end.node, end.id})) continue;
    const std::uint64_t wait = index == by_end ? 0 : delay;
    schedule_.in(wait, [this, end] {
      if (by_id_.erase({end.node, end.id}) > 0 && up_(end.node))
        deliver_(end.node, ConnectionDown{end.id});
    });
  }
  schedule_.in(delay + 1, [this, wire] { wires_.erase(wire); });
}

void Network::close(NodeIndex from, ConnectionId connection) {
  const auto found = by_id_.find({from, connection});
  if (found == by_id_.end()) return;
  const auto [wire, end] = found->second;
  const auto& ends = wires_.at(wire).ends;
  const bool cut = !reachable(ends[0].node, ends[1].node);
  close_wire(wire, end, cut ? random_.between(1000, 10000) : latency());
}

void Network::drop_all(NodeIndex node, bool in_order) {
  std::vector<std::pair<std::uint64_t, int>> mine;
  for (const auto& [key, place] : by_id_) {
    if (key.first == node) mine.push_back(place);
  }
  for (const auto& [wire, end] : mine) {
    const auto& ends = wires_.at(wire).ends;
    by_id_.erase({node, ends[end].id});
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

std::vector<ConnectionId> Network::older_than(NodeIndex node, Time before) const {
  std::vector<ConnectionId> ids;
  for (auto it = by_id_.lower_bound({node, 0}); it != by_id_.end() && it->first.first == node;
       ++it) {
    if (wires_.at(it->second.first).since < before) ids.push_back(it->first.second);
  }
  return ids;
}

}  // namespace dhrt::simulator
