// Brings to this node what it missed, and says who is up to date.
//
// Intuition: two contexts show exactly which writes one side has not seen, so a node that was
// away asks each peer for just those (cost: what was missed, not what is stored). A pull walks
// the donor's records by dot and ends with the donor's vector, which then joins our context.
// Three rules make that safe, each broken by a mutant of the simulator:
//   - the vector is the one from before the first record, for the walk is not a snapshot, without
//     what a later slice took out of it;
//   - what changes at the donor meanwhile is walked again, until one slice holds all of it;
//   - the vector is merged behind the last record, and told to anybody only when durable.
//
// A node is healthy again when a healthy one attests that both have pulled from each other. If
// nobody reachable is healthy (everything was off), who has exchanged pulls with everyone
// reachable attests itself.
//
// Bounds: one pull under way per node, a few walks per peer served. Threads: loop thread only.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "cluster/failure_detector.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"

namespace dhrt {

// The hash that two nodes compare in every ping: equal roots, equal contexts everywhere.
std::uint64_t digest_of(const Context& durable, const Context& flushed);
std::uint64_t root_hash(const std::vector<CollectionDigest>& digests);

struct SyncProgress {
  bool pulling = false;
  NodeId donor = 0;
  std::uint64_t records_pulled = 0;
  std::uint64_t sessions = 0;
};

class Synchronizer {
 public:
  Synchronizer(const ClusterOptions& options, Membership& membership, const Links& links,
               const FailureDetector& detector)
      : options_(options), membership_(membership), links_(links), detector_(detector) {}

  void tick(const Step& step);
  void link_established(NodeId peer, LinkClass link_class);
  void link_lost(NodeId peer, LinkClass link_class, const Step& step);

  void store_changed(const StoreChanged& changed);
  void collection_gone(const CollectionRef& collection);
  void applied(const Applied& applied, const Step& step);
  void walked(const Walked& walked, const Step& step);

  void root_heard(NodeId peer, std::uint64_t root, Time now);
  void summary(ConnectionId from, const Summary& summary, const Step& step);
  void summary_reply(NodeId from, const SummaryReply& reply, const Step& step);
  void pull(ConnectionId from, const Pull& pull, const Step& step);
  void pull_reply(NodeId from, const PullReply& reply, const Step& step);
  void resynced(NodeId from, const Resynced& resynced, const Step& step);
  // Part of a large message has come.
  void message_coming(ConnectionId from, Time now);

  std::uint64_t root() const { return root_; }
  const Context* durable(const CollectionRef& collection) const;
  const SyncProgress& progress() const { return progress_; }

  struct Mirror {
    std::uint32_t generation = 0;
    Context durable;
    Context flushed;
    std::uint64_t digest = 0;
  };
  // What the store holds durably, by collection name.
  const std::map<std::string, Mirror>& mirrors() const { return mirrors_; }

 private:
  // What we know of one linked peer. Dropped with the link.
  struct Peer {
    bool wanted = false;                   // A session is to be held.
    std::optional<Time> mismatch_since;    // Its root differs from ours since then.
    Time coming{};                         // When part of a large live message came last.
    std::optional<Attestation> pulled;     // The peer's state when our last session began,
    std::optional<Attestation> pulled_as;  // and ours.
    std::optional<Attestation> claimed;    // It says it has pulled all from us in this state.
    Time finished;                         // When our last session ended.
    Time not_before{};                     // After a session that failed.
  };
  // One collection of a session.
  struct Transfer {
    CollectionRef collection;
    Context excluded;
    std::optional<Context> first_vector;  // From before the first record: merged at the end.
    std::optional<Context> round_vector;
    std::uint64_t request = 0;  // Of the slice asked for last; no other answer counts.
    std::optional<Dot> from;    // Where that slice begins.
    unsigned rounds = 0;
    bool round_is_one_slice = true;
    std::set<Token> unapplied;  // Its records that are on their way into the store.
    bool ended = false;         // There are no more.
  };
  struct Session {
    NodeId peer = 0;
    std::uint64_t request = 0;
    Time heard;
    Time asked;  // The list, or the last slice.
    Attestation peer_state;
    Attestation own_state;
    std::deque<CollectionRef> queue;
    std::optional<Transfer> transfer;
    std::set<Token> unapplied;
    bool listed = false;
    bool incomplete = false;  // Something could not be had; nothing may be claimed.
  };

  void begin_session(const Step& step);
  void next_transfer(const Step& step);
  void ask(std::optional<Dot> from, const Step& step);
  void end_round(const Step& step);
  void conclude_transfer(const Step& step);
  void merge_vector(const Step& step);
  void finish_session(const Step& step);
  void abandon_session(const Step& step, const std::string& why);
  std::optional<NodeId> choose_donor(const Step& step) const;
  void consider_attesting(const Step& step);
  void consider_self(const Step& step);
  void want_again(NodeId peer, const Step& step);
  bool exchanged_since_change(const Member& member, const Peer& peer) const;
  // Its root differs for longer than writes are under way.
  bool differs_for_long(const Peer& peer, Time now) const;
  void attest(NodeId node, const Step& step);
  void refresh_root();

  const ClusterOptions& options_;
  Membership& membership_;
  const Links& links_;
  const FailureDetector& detector_;
  std::map<std::string, Mirror> mirrors_;
  std::uint64_t root_ = root_hash({});
  std::map<NodeId, Peer> peers_;
  std::optional<Session> session_;
  std::uint64_t requests_ = 0;
  Token tokens_ = 0;
  std::optional<Time> unsynced_since_;
  std::uint64_t died_ = 0;  // Our last death that sessions were asked for.
  struct Walk {
    ConnectionId connection = 0;
    std::uint64_t request = 0;
    CollectionRef collection;
  };
  std::map<Token, Walk> walks_;
  SyncProgress progress_;
};

}  // namespace dhrt
