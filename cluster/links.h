// Connections to peers: whom to call and when, the greeting, and which connection is the link.
//
// Intuition: two nodes need one control and one bulk connection. Either may call, so both may
// call at once; then the one dialled by the lower id stays. Whoever has no link to a member
// keeps trying for ever, ever more slowly: this is what heals every partition.
//
// Where nodes belong is settled by the greeting, and told to all links when it changes later:
// fresh nodes that meet in any order end in one cluster.
//
// Bounds: two links per member, eight addresses per member; a connection that does not greet is
// the shell's to time out.
// Errors: a refused greeting names its reason to the peer and in one log line.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "cluster/membership.h"
#include "cluster/options.h"
#include "storage/base/random.h"

namespace dhrt {

struct Identity {
  Belonging belonging;
  std::uint64_t start_nonce = 0;
  std::vector<std::string> seeds;  // Addresses to join by, those given by the operator first.
  std::string bind_port;           // Port of our address, when only the host is found out.
};

// What became of a message that concerns the greeting.
struct LinkEvent {
  enum class Kind { none, established, lost } kind = Kind::none;
  NodeId peer = 0;
  LinkClass link_class = LinkClass::control;
  bool joined = false;  // This greeting made us a member of the peer's cluster.
};

class Links {
 public:
  Links(const ClusterOptions& options, Membership& membership, Identity identity)
      : options_(options), membership_(membership), identity_(std::move(identity)) {}

  LinkEvent connection_up(const ConnectionUp& up, const Step& step);
  LinkEvent connection_down(ConnectionId connection, const Step& step);
  void connect_failed(const ConnectFailed& failed, const Step& step);
  LinkEvent hello(ConnectionId connection, const Hello& hello, const Step& step);
  LinkEvent hello_ack(ConnectionId connection, const HelloAck& ack, const Step& step);
  // A linked peer says where it belongs now.
  void welcome(ConnectionId connection, const Belonging& theirs, const Step& step);
  // Calls there, too; of more than seeds_found_max the first are kept.
  void add_seed(const std::string& address, const Step& step);
  static constexpr std::size_t seeds_found_max = 8;
  // Calls whom we miss.
  void tick(const Step& step);

  // The member at the other end of an established link.
  std::optional<NodeId> peer_of(ConnectionId connection) const;
  std::optional<ConnectionId> link(NodeId peer, LinkClass link_class) const;
  // Members with a control link, in order of id.
  std::vector<NodeId> linked() const;
  std::size_t linked_count() const { return linked_count_; }

  const Belonging& belonging() const { return identity_.belonging; }
  // A cluster of our own, unless we belong to one. True if we did not.
  bool found(ClusterId id);
  // Our first write: from now on this cluster gives way to no other. True if that is new.
  bool establish();
  // Stops calling and answering; for a node that leaves.
  void stop() { stopping_ = true; }
  // True once after the belonging changed.
  bool take_belonging_changed();

 private:
  struct Connection {
    LinkClass link_class = LinkClass::control;
    bool dialled = false;
    std::string address;
    std::string local_host;
    std::optional<NodeId> peer;  // Set when established.
    std::uint64_t peer_nonce = 0;
    Time established{};
    bool refused = false;
  };
  using Address = std::pair<std::string, LinkClass>;
  struct Dial {
    Time next{};
    Duration wait{0};
    bool pending = false;
    std::optional<NodeId> reached;  // Who answered there last.
    std::string failure;            // Why the last call came to nothing; told once.
  };
  struct PeerLinks {
    std::optional<ConnectionId> control;
    std::optional<ConnectionId> bulk;

    std::optional<ConnectionId>& of(LinkClass link_class) {
      return link_class == LinkClass::control ? control : bulk;
    }
  };

  Hello own_hello() const;
  std::optional<HelloAck> refusal(const Hello& hello) const;
  // True if we changed over to another cluster.
  bool settle_belonging(const Belonging& theirs, const Step& step);
  LinkEvent establish_link(ConnectionId id, const Hello& hello, const Step& step);
  bool keeps_existing(const Connection& existing, const Connection& candidate, NodeId peer) const;
  void learn_own_address(const std::string& local_host);
  void dial(const std::string& address, LinkClass link_class, const Step& step);
  void dial_members(const Step& step);
  void dial_seeds(const Step& step);
  void forget_addresses();
  // `lasted` is how long the link held that came of it, if one did.
  void dial_settled(const Address& address, std::optional<Duration> lasted, const Step& step);

  const ClusterOptions& options_;
  Membership& membership_;
  Identity identity_;
  bool belonging_changed_ = false;
  bool stopping_ = false;
  std::size_t seeds_found_ = 0;
  std::map<ConnectionId, Connection> connections_;
  std::map<NodeId, PeerLinks> links_;  // Of who has one.
  std::size_t linked_count_ = 0;
  // As Membership::changes() was when everybody who is called had both links, and no link has ended
  // since.
  std::optional<std::uint64_t> linked_at_;
  std::map<Address, Dial> dials_;
  std::map<NodeId, Time> unlinked_since_;
  std::map<NodeId, std::pair<std::uint32_t, std::uint64_t>> starts_;  // Epoch and start nonce met.
  std::set<std::string> own_addresses_;  // Seeds that turned out to be ourselves.
};

}  // namespace dhrt
