// The cluster's mind: everything that happens comes in, everything to be done comes out.
//
// The core owns no socket, clock, disk, thread or randomness, so a whole cluster of cores runs
// in one process from one seed (tests/simulator), and what runs there is what runs in node/.
// It is put together from parts that each do one thing: membership (who is there), links
// (connections), failure_detector (who is alive), synchronizer (catching up; with comparison, and
// stability for deletes that may be forgotten), fanout (reads).
//
// Threads: one. Nothing that a peer sends is impossible, so nothing that it sends is checked
// by assertion; unexpected messages are dropped or their connection is closed.
#pragma once

#include <map>
#include <set>
#include <string>

#include "cluster/actions.h"
#include "cluster/clock_skew.h"
#include "cluster/durable_reads.h"
#include "cluster/failure_detector.h"
#include "cluster/fanout.h"
#include "cluster/levels.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"
#include "cluster/peer_waits.h"
#include "cluster/quorum_reads.h"
#include "cluster/synchronizer.h"
#include "cluster/voters.h"
#include "cluster/write_levels.h"
#include "storage/base/random.h"

namespace dhrt {

struct CoreOptions {
  ClusterOptions cluster;
  Member self;                   // id, name, address (may be empty), zone, epoch, incarnation.
  Identity identity;             // Where the node belongs, as persisted, and its seeds.
  std::vector<Member> known;     // Members persisted by the last run.
  std::vector<NodeId> compared;  // The same: see Persist.
  LayoutNotes layout;            // As persisted.
  std::uint64_t random_seed = 0;
};

// A founder's identity and record are made with this: it is its whole cluster, and healthy.
void found_cluster(CoreOptions& options, ClusterId id);

class Core {
 public:
  explicit Core(CoreOptions options);
  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  // Takes in one input; appends what is to be done to `actions`, in order.
  void step(Time now, const Input& input, Actions& actions);

  const Member& self() const { return membership_.self(); }
  MemberState state() const { return state_of(membership_.self()); }
  const std::map<NodeId, Member>& members() const { return membership_.members(); }
  const Belonging& belonging() const { return links_.belonging(); }
  bool belongs() const { return !links_.belonging().id.none(); }
  // The member at the other end; absent: it has not greeted.
  std::optional<NodeId> peer_of(ConnectionId connection) const {
    return links_.peer_of(connection);
  }
  // The greeting is done; a shell closes connections for which it takes too long.
  bool greeted(ConnectionId connection) const { return links_.peer_of(connection).has_value(); }
  // Who votes, as far as this node knows.
  const Layout& layout() const { return voters_.layout(); }
  // Absent: a RetireRequested for this member can succeed, or need not.
  std::optional<std::string> why_not_retired(NodeId node) const {
    return voters_.obstacle_to_retire(node);
  }
  bool is_retiring_somebody() const { return voters_.is_retiring_somebody(); }
  // Who votes is not known to this node alone.
  bool layout_is_shared() const { return voters_.is_shared(); }
  std::size_t linked_count() const { return links_.linked_count(); }
  const SyncProgress& sync_progress() const { return synchronizer_.progress(); }
  // How far this node is with what it brings in, while it joins or syncs,
  std::optional<CatchUp> catch_up(Time now) const;
  // and those that are linked, as they told last. Nothing of those that do not.
  const std::map<NodeId, CatchUp>& catching_up() const { return catching_up_; }
  std::uint64_t root() const { return synchronizer_.root(); }
  bool agrees_with_all() const { return synchronizer_.agrees_with_all(); }
  // Whether the wall clock can be believed, and what the others' show.
  const ClockSkew& clocks() const { return clocks_; }

 private:
  void on(const Tick& tick, const Step& step);
  void on(const ConnectionUp& up, const Step& step);
  void on(const ConnectionDown& down, const Step& step);
  void on(const ConnectFailed& failed, const Step& step);
  void on(const MessageIn& in, const Step& step);
  void on(const MessageComing& coming, const Step& step);
  void on(const LocalWrites& writes, const Step& step);
  void on(const StoreChanged& changed, const Step& step);
  void on(const CollectionGone& gone, const Step& step);
  void on(const Applied& applied, const Step& step);
  void on(const LocalRead& read, const Step& step);
  void on(const Walked& walked, const Step& step);
  void on(const Ranged& ranged, const Step& step);
  void on(const FanoutRead& read, const Step& step);
  void on(const LocalPublish& publish, const Step& step);
  void on(const WaitForPeers& wait, const Step& step);
  void on(const WaitEnds& ends, const Step& step);
  void on(const WaitForLevel& wait, const Step& step);
  void on(const LayoutNoted& noted, const Step& step);
  void on(const LeaveRequested& leave, const Step& step);
  void on(const EvictRequested& evict, const Step& step);
  void on(const RetireRequested& retire, const Step& step);
  void on(const FoundRequested& found, const Step& step);
  void on(const SeedFound& seed, const Step& step);

  struct FromPeer;

  void link_event(const LinkEvent& event, const Step& step);
  std::vector<Member> table() const;
  FailureDetector::Said said(Time now) const;
  void note_catch_up(NodeId peer, const std::optional<CatchUp>& told);
  void send_table(ConnectionId connection, bool wants_reply, const Step& step);
  void apply_members(const std::vector<Member>& members);
  void read_for_peer(ConnectionId connection, const Read& read, const Step& step);
  void give(std::vector<DurableReads::Answer> answers, const Step& step);
  void acknowledge(NodeId peer, const CollectionRef& collection, const Context& durable,
                   const Step& step);
  void note_own_tips(const LocalWrites& writes);
  bool may_be_ours(const WriteAck::Tip& tip) const;
  void note_tips(NodeId peer, const WriteAck& ack, const Step& step);
  void publish_changes(const Step& step);
  void log_state(const Member& member, const Step& step);
  void exchange_tables(const Step& step);
  void continue_leaving(const Step& step);
  void evict_the_long_gone(const Step& step);
  bool someone_has_our_writes() const;
  void broadcast(Message message, const Step& step);
  void tell(const std::vector<NodeId>& nodes, Message message, const Step& step);
  std::vector<NodeId> hear_news(const Step& step);
  // Control links of all but the dead.
  std::vector<ConnectionId> listening() const;

  ClusterOptions options_;
  Random random_;
  Membership membership_;
  Links links_;
  FailureDetector detector_;
  ClockSkew clocks_;
  Synchronizer synchronizer_;
  Fanout fanout_;
  Voters voters_;
  Quorums quorums_;
  DurableReads durable_reads_;
  QuorumReads quorum_reads_;
  WriteLevels write_levels_;
  Time next_table_exchange_{};
  struct PeerRead {
    ConnectionId connection = 0;
    std::uint64_t request = 0;
  };
  std::map<Token, PeerRead> reads_;
  Token read_tokens_ = 0;
  std::map<NodeId, Tips> told_;  // Tips we acknowledged to a peer.
  PeerWaits::Heard heard_;       // Tips a peer acknowledged to us.
  PeerWaits waits_;
  std::map<CollectionRef, std::map<Origin, std::uint64_t>> own_tips_;  // What we wrote, durable.
  std::map<NodeId, MemberState> logged_states_;                        // Of the others.
  std::map<NodeId, CatchUp> catching_up_;
  std::map<NodeId, Time> gone_since_;  // Who is dead or has left, as far as we have seen.
  std::optional<Time> leaving_until_;
  bool left_ = false;
};

}  // namespace dhrt
