// A network of nodes that fails in every way a real one does, and some that TCP would not allow.
//
// Messages pass through the peer codec as bytes. Within a connection they arrive in order
// unless reordering is on; a partition swallows messages silently, and the connections across
// it break only after a while, as TCP's do.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "storage/base/random.h"
#include "storage/base/time.h"
#include "tests/simulator/options.h"

namespace dhrt::simulator {

using NodeIndex = std::size_t;

// Everything that will happen, in order of time; ties in order of scheduling.
class Schedule {
 public:
  Time now() const { return now_; }
  void at(Time time, std::function<void()> what);
  void in(std::uint64_t milliseconds, std::function<void()> what) {
    at(now_ + Duration(static_cast<Duration::rep>(milliseconds)), std::move(what));
  }
  // False if nothing is left to happen.
  bool run_next();

 private:
  struct Event {
    Time at;
    std::uint64_t order = 0;
    std::function<void()> what;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };
  Time now_{};
  std::uint64_t orders_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
};

class Network {
 public:
  using Deliver = std::function<void(NodeIndex, Input)>;

  // `deliver` feeds a node; `up` tells whether a node's process runs.
  Network(const SimulationOptions& options, Schedule& schedule, Random& random, Totals& totals,
          Deliver deliver, std::function<bool(NodeIndex)> up);

  void connect(NodeIndex from, const Connect& connect);
  void send(NodeIndex from, const Send& send);
  void close(NodeIndex from, ConnectionId connection);
  // The node's process is gone: its peers see resets, which may overtake what it sent last, unless
  // it ended in order.
  void drop_all(NodeIndex node, bool in_order);
  // Messages from `from` to `to` are swallowed while blocked.
  void block(NodeIndex from, NodeIndex to) { blocked_.insert({from, to}); }
  void heal();
  void set_faults(bool on) { faults_ = on; }
  // A hash over everything delivered so far; equal seeds, equal hashes.
  std::uint64_t transcript() const { return transcript_; }

  static std::string address_of(NodeIndex node) { return "n" + std::to_string(node) + ":7453"; }

 private:
  struct End {
    NodeIndex node = 0;
    bool open = false;
    Time last_delivery{};
  };
  struct Connection {
    End ends[2];
    LinkClass link_class = LinkClass::control;
    bool over = false;
  };
  using Wire = std::size_t;  // Index into wires_.

  bool reachable(NodeIndex from, NodeIndex to) const {
    return !blocked_.contains({from, to}) && !blocked_.contains({to, from});
  }
  static ConnectionId id_of(Wire wire, int end) {
    return 2 * wire + static_cast<ConnectionId>(end) + 1;
  }
  struct Place {
    Wire wire = 0;
    int end = 0;
  };
  // Absent: the node has no such connection, or none any more.
  std::optional<Place> find(NodeIndex node, ConnectionId id) const;
  void deliver_later(Wire wire, int to_end, const std::string& bytes, MessageType type);
  void deliver_now(Wire wire, int to_end, const std::string& bytes, MessageType type);
  void announce_parts(Wire wire, int to_end, Time whole);
  void close_wire(Wire wire, int by_end, std::uint64_t delay);
  std::uint64_t latency();

  const SimulationOptions& options_;
  Schedule& schedule_;
  Random& random_;
  Totals& totals_;
  Deliver deliver_;
  std::function<bool(NodeIndex)> up_;
  bool faults_ = true;
  std::set<std::pair<NodeIndex, NodeIndex>> blocked_;
  // All that ever were: an end has its id by where it is.
  std::vector<Connection> wires_;
  std::uint64_t transcript_ = 0;
};

}  // namespace dhrt::simulator
