// The mesh of nkvd: nodes of nkvd that this cluster of dhrt is one node of.
//
// Intuition: to nkvd a whole cluster of dhrt is one node, the gateway. Each dhrt node with a mesh
// knows all nodes of nkvd that any of them knows (gossip on a channel of their own), and all name
// the same gateway: of those that are healthy the one whose id has the highest hash. It alone
// forwards what changes in the default collection, whoever wrote it. So a write of nkvd comes in
// once, and one of dhrt goes out once. Who becomes the gateway compares both sides first
// (nkvd_peer.h), so nothing is lost with the one before.
//
// A name is nobody until it was asked for its /status: what is no nkvd is never sent a write.
// --mesh-network-url is asked again and again: nkvd is pinged, a cluster of dhrt joined, and where
// we find ourselves behind it we ask later.
//
// Bounds: nkvd::nodes_max names; each is forgotten forget_after its last sign of life, unless its
// data was taken in.
// Threads: the board any, else the loop of the core.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "cluster/core.h"
#include "node/nkvd_peer.h"
#include "node/options.h"

namespace dhrt {

// The mesh as /ping shows it, and what other loops have to say to it.
class NkvdBoard {
 public:
  struct Node {
    Address address;
    bool is_down = false;
  };
  struct Picture {
    std::optional<Address> gateway;
    std::vector<Node> nodes;      // Of nkvd.
    std::vector<Address> others;  // Names that are known, and none of these.
  };
  struct Hooks {
    std::function<void(std::vector<Address>)> learn;  // Somebody named these.
    std::function<void()> cleared;                    // A client deleted everything.
  };
  // Before any other loop turns.
  void begin(Hooks hooks) { hooks_ = std::move(hooks); }
  void put(Picture picture);
  // Something was put before.
  std::shared_ptr<const Picture> get() const;
  void learn(std::vector<Address> nodes) const { hooks_.learn(std::move(nodes)); }
  void cleared() const { hooks_.cleared(); }

 private:
  Hooks hooks_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Picture> picture_ = std::make_shared<const Picture>();
};

class NkvdMesh final : public StoreDriver::Observer {
 public:
  static constexpr Duration tick_interval{100};
  static constexpr Duration forget_after{600'000};
  // A node of dhrt that says nothing for so long has no mesh any more.
  static constexpr Duration silence_max{15'000};
  // So long a node listens, before it takes itself for the gateway beside others.
  static constexpr Duration settling{3000};

  struct Parts {
    EventLoop& loop;
    const Core& core;
    Database& database;
    NodeFigures& figures;
    NkvdBoard& board;
    const NodeOptions& options;
    Address bound;
  };
  struct Hooks {
    std::function<void(Publish)> publish;          // To the other nodes of dhrt.
    std::function<void(const std::string&)> join;  // A node of dhrt is there.
  };
  // What the parts name outlives it.
  NkvdMesh(const Parts& parts, Hooks hooks);

  // From the other nodes of dhrt, on nkvd::channel.
  void heard(Bytes gossip);
  void learn(const std::vector<Address>& nodes);
  // A client of this node deleted everything; the others are told by who calls this.
  void cleared();

  bool wants(const CollectionRef& collection) const override {
    return is_gateway_ && collection.name == default_collection;
  }
  void changed(Bytes key) override;
  // What a node of nkvd still has, and we know nothing of, is taken for a write of its clients.
  bool remembers_deletes(const CollectionRef& collection) const override;

 private:
  struct Other {  // A node of dhrt with a mesh.
    std::string address;
    Time heard{};
  };
  void tick();
  void work();
  void work_soon();
  void forget(Time now);
  bool is_ours(const Address& address) const;
  Address own_address() const;
  void choose_gateway(Time now);
  bool may_be_gateway(Time now);
  void gossip(Time now);
  void show();
  std::vector<Address> working() const;
  std::string ping_target() const;
  void refused(Bytes why);
  void ask_url(Time now);
  void url_identified(const Result<http::Answer>& result);
  void ping_url();

  const Parts parts_;
  const Hooks hooks_;
  const Dial::Reach reach_;
  std::vector<std::unique_ptr<NkvdPeer>> peers_;
  std::map<NodeId, Other> others_;
  std::optional<Address> gateway_;
  bool is_gateway_ = false;
  std::optional<Time> healthy_since_;
  Time next_gossip_{};
  bool refusal_told_ = false;
  bool full_told_ = false;

  std::unique_ptr<HttpClient> url_;  // Null: there is none.
  Time next_url_{};
  std::string url_found_;  // What was there last, for the log.

  Timer tick_;
  Timer soon_;
};

}  // namespace dhrt
