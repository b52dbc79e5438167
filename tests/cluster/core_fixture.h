// Two small languages for tests of the core.
//
// Scripted is one core whose peers are played by the test: messages in, actions out.
// Wired (and Pair, its shortest form) is whole cores wired to each other without loss or delay, on
// stores that answer at once and hold nothing; only tick_for() lets time pass, 100 ms at a time.
#pragma once

#include <algorithm>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/core.h"

namespace dhrt::test {

inline constexpr ClusterId our_cluster{1, 1};
inline constexpr Duration tick_interval = 100ms;

inline Member member(NodeId id, std::uint64_t incarnation = 10) {
  return {.id = id,
          .name = "n" + std::to_string(id),
          .address = "h" + std::to_string(id) + ":1",
          .epoch = 1,
          .incarnation = incarnation};
}

// One of a version that compares, and so may forget deletes.
inline Member comparing(Member member) {
  member.features = feature::compares;
  return member;
}

inline Member healthy(Member member) {
  member.synced = {member.epoch, member.incarnation};
  return member;
}

inline CoreOptions core_options(NodeId id, ClusterId cluster = our_cluster) {
  CoreOptions options;
  options.self = member(id);
  options.identity.start_nonce = 1000 + id;
  options.random_seed = id;
  options.cluster.first_probe_delay = 0ms;  // Links are there from the first moment.
  if (!cluster.none()) found_cluster(options, cluster);
  return options;
}

inline Hello hello_of(const Member& member, Belonging belonging = {our_cluster, false}) {
  return {.member = member, .belonging = belonging, .start_nonce = 1000 + member.id};
}

inline CollectionRef users{"users", 1};

inline Dot dot(NodeId node, std::uint64_t sequence) {
  return {{node, 1, 0}, sequence};
}

inline Context dots(NodeId node, std::uint64_t first, std::uint64_t last) {
  Context context;
  context.add({node, 1, 0}, {first, last});
  return context;
}

inline KeyedRecord record(const std::string& key, Dot dot, std::uint64_t hlc = 1) {
  return {key, {.version = {hlc, dot.origin.node}, .dot = dot, .value = "v"}};
}

class Scripted {
 public:
  explicit Scripted(CoreOptions options) : core_(std::move(options)) {}
  explicit Scripted(NodeId id = 1) : Scripted(core_options(id)) {}

  Core& core() { return core_; }
  Time now() const { return now_; }
  MemberState state_of(NodeId node) const { return dhrt::state_of(core_.members().at(node)); }

  void input(const Input& input) { core_.step(now_, input, actions_); }
  void receive(ConnectionId connection, Message message) {
    input(MessageIn{connection, std::move(message)});
  }
  void tick_for(Duration duration) {
    for (Duration passed{0}; passed < duration; passed += tick_interval) {
      now_ = now_ + tick_interval;
      input(Tick{});
    }
  }
  // Like a process that was stopped: time passes, and nothing is seen of it.
  void stall_for(Duration duration) {
    now_ = now_ + duration;
    input(Tick{});
  }

  // Somebody calls; nothing is said yet.
  ConnectionId called(LinkClass link_class = LinkClass::control) {
    const ConnectionId id = ++connections_;
    input(ConnectionUp{.connection = id, .link_class = link_class});
    return id;
  }
  // Our own call went through.
  ConnectionId reached(const std::string& address, LinkClass link_class = LinkClass::control) {
    const ConnectionId id = ++connections_;
    input(ConnectionUp{
        .connection = id, .link_class = link_class, .dialled = true, .address = address});
    return id;
  }
  // A peer called and greeted.
  ConnectionId link(const Hello& hello, LinkClass link_class = LinkClass::control) {
    const ConnectionId id = called(link_class);
    receive(id, hello);
    return id;
  }
  ConnectionId link(NodeId peer, LinkClass link_class = LinkClass::control) {
    return link(hello_of(healthy(member(peer))), link_class);
  }

  // --- What it did since the last clear().
  void clear() { actions_.clear(); }
  const Actions& in_order() const { return actions_; }
  template <typename A>
  std::vector<A> actions() const {
    std::vector<A> found;
    for (const Action& action : actions_) {
      if (const auto* wanted = std::get_if<A>(&action)) found.push_back(*wanted);
    }
    return found;
  }
  // Messages of one kind, of one connection or (0) of all.
  template <typename M>
  std::vector<M> sent(ConnectionId connection = 0) const {
    std::vector<M> found;
    for (const Send& send : actions<Send>()) {
      const bool to_it = connection == 0 || std::ranges::count(send.connections, connection) != 0;
      const auto* message = std::get_if<M>(send.message.get());
      if (to_it && message != nullptr) found.push_back(*message);
    }
    return found;
  }
  bool closed(ConnectionId connection) const {
    const auto closes = actions<Close>();
    return std::ranges::any_of(closes,
                               [&](const Close& close) { return close.connection == connection; });
  }
  std::vector<std::string> dialled(LinkClass link_class = LinkClass::control) const {
    std::vector<std::string> addresses;
    for (const Connect& connect : actions<Connect>()) {
      if (connect.link_class == link_class) addresses.push_back(connect.address);
    }
    return addresses;
  }

 private:
  Core core_;
  Time now_{};
  Actions actions_;
  ConnectionId connections_ = 0;
};

// Cores that are wired to each other. Every core listens on its member's address.
class Wired {
 public:
  explicit Wired(std::vector<CoreOptions> nodes) {
    for (CoreOptions& options : nodes)
      nodes_.push_back(
          {options.self.address, std::make_unique<Core>(std::move(options)), {}, true});
  }

  Core& operator[](std::size_t index) { return *nodes_[index].core; }
  void tick_for(Duration duration) {
    for (Duration passed{0}; passed < duration; passed += tick_interval) {
      now_ = now_ + tick_interval;
      for (std::size_t i = 0; i < nodes_.size(); ++i)
        queue_.emplace_back(i, Tick{});
      settle();
    }
  }
  void input(std::size_t index, Input input) {
    queue_.emplace_back(index, std::move(input));
    settle();
  }
  // Nobody reaches the node any more, and its connections break.
  void unplug(std::size_t index) {
    nodes_[index].plugged = false;
    std::vector<ConnectionId> broken;
    for (const auto& [id, wire] : wires_) {
      if (wire.ends[0] == index || wire.ends[1] == index) broken.push_back(id);
    }
    for (const ConnectionId id : broken)
      cut(id);
    settle();
  }
  void plug(std::size_t index) { nodes_[index].plugged = true; }

  // Connections that are open now, of all nodes.
  std::size_t wires() const { return wires_.size(); }
  std::size_t dials() const { return dials_; }
  bool left(std::size_t index) const { return nodes_[index].left; }

 private:
  struct Node {
    std::string address;
    std::unique_ptr<Core> core;
    Actions actions;
    bool plugged = true;
    bool left = false;
  };
  // Both ends know a connection under the same id.
  struct Wire {
    std::size_t ends[2];
  };

  void settle() {
    while (!queue_.empty()) {
      auto [index, input] = std::move(queue_.front());
      queue_.pop_front();
      Actions actions;
      nodes_[index].core->step(now_, input, actions);
      for (const Action& action : actions)
        perform(index, action);
    }
  }
  void cut(ConnectionId id) {
    const auto wire = wires_.find(id);
    if (wire == wires_.end()) return;
    for (const std::size_t end : wire->second.ends)
      queue_.emplace_back(end, ConnectionDown{id});
    wires_.erase(wire);
  }
  void connect(std::size_t from, const Connect& connect) {
    ++dials_;
    for (std::size_t to = 0; to < nodes_.size(); ++to) {
      if (nodes_[to].address != connect.address || !nodes_[to].plugged || !nodes_[from].plugged)
        continue;
      const ConnectionId id = ++connections_;
      wires_[id] = {{from, to}};
      queue_.emplace_back(from, ConnectionUp{.connection = id,
                                             .link_class = connect.link_class,
                                             .dialled = true,
                                             .address = connect.address});
      queue_.emplace_back(to, ConnectionUp{.connection = id, .link_class = connect.link_class});
      return;
    }
    queue_.emplace_back(from, ConnectFailed{connect.address, connect.link_class, "refused"});
  }
  void perform(std::size_t index, const Action& action) {
    if (const auto* wanted = std::get_if<Connect>(&action)) {
      connect(index, *wanted);
    } else if (const auto* close = std::get_if<Close>(&action)) {
      cut(close->connection);
    } else if (const auto* send = std::get_if<Send>(&action)) {
      for (const ConnectionId id : send->connections) {
        const auto wire = wires_.find(id);
        if (wire == wires_.end()) continue;
        const auto& ends = wire->second.ends;
        queue_.emplace_back(ends[0] == index ? ends[1] : ends[0], MessageIn{id, *send->message});
      }
    } else if (const auto* apply = std::get_if<ApplyRecords>(&action)) {
      if (apply->token != 0) queue_.emplace_back(index, Applied{apply->token, true});
    } else if (const auto* merge = std::get_if<MergeContext>(&action)) {
      queue_.emplace_back(index, Applied{merge->token, true});
    } else if (const auto* note = std::get_if<NoteLayout>(&action)) {
      queue_.emplace_back(index, LayoutNoted{note->number, true});
    } else if (const auto* read = std::get_if<ReadLocal>(&action)) {
      queue_.emplace_back(index, LocalRead{read->token, std::nullopt});
    } else if (const auto* walk = std::get_if<WalkLocal>(&action)) {
      queue_.emplace_back(index, Walked{.token = walk->token, .ok = true});
    } else if (const auto* range = std::get_if<RangeLocal>(&action)) {
      queue_.emplace_back(index, Ranged{.token = range->token, .ok = true});
    } else if (const auto* mend = std::get_if<MendRecords>(&action)) {
      queue_.emplace_back(index, Applied{mend->token, true});
    } else if (std::holds_alternative<Left>(action)) {
      nodes_[index].left = true;
    }
  }

  Time now_{};
  std::vector<Node> nodes_;
  std::deque<std::pair<std::size_t, Input>> queue_;
  std::map<ConnectionId, Wire> wires_;
  ConnectionId connections_ = 0;
  std::size_t dials_ = 0;
};

// Options of a node that has been given addresses to join by, and belongs nowhere yet.
inline CoreOptions joiner(NodeId id, std::vector<std::string> seeds) {
  CoreOptions options = core_options(id, {});
  options.identity.seeds = std::move(seeds);
  return options;
}
// Options of a founder that also knows whom to call.
inline CoreOptions founder(NodeId id, ClusterId cluster, std::vector<std::string> seeds = {}) {
  CoreOptions options = core_options(id, cluster);
  options.identity.seeds = std::move(seeds);
  return options;
}

// A founder, and a node that joins it.
struct Pair : Wired {
  Pair() : Pair(founder(1, our_cluster), joiner(2, {"h1:1"})) {}
  Pair(CoreOptions one, CoreOptions other) : Wired(both(std::move(one), std::move(other))) {}

 private:
  static std::vector<CoreOptions> both(CoreOptions one, CoreOptions other) {
    std::vector<CoreOptions> nodes;
    nodes.push_back(std::move(one));
    nodes.push_back(std::move(other));
    return nodes;
  }
};

}  // namespace dhrt::test
