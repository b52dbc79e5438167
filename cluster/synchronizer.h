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
// A pull is enough between two nodes that were *compared* (cluster/comparison.h), and since then
// have counted each other before they forgot a delete. Others are compared first: who joins, who
// was evicted, whose disk has lost something. Once in a while a collection is compared anyway.
//
// A node is healthy again when a healthy one attests that both have pulled from each other. If
// nobody reachable is healthy (everything was off), who has exchanged pulls with everyone
// reachable attests itself.
//
// Bounds: one pull under way per node, a few walks per peer served. Threads: loop thread only.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/actions.h"
#include "cluster/catch_up.h"
#include "cluster/comparison.h"
#include "cluster/failure_detector.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"
#include "cluster/stability.h"
#include "cluster/unapplied.h"

namespace dhrt {

// The hash that two nodes compare in every ping: equal roots, equal contexts everywhere.
std::uint64_t root_hash(const std::vector<CollectionDigest>& digests);

struct SyncProgress {
  bool pulling = false;
  NodeId donor = 0;
  std::uint64_t records_pulled = 0;
  std::uint64_t sessions = 0;
  std::uint64_t comparisons = 0;     // Of collections, since the start,
  std::uint64_t records_mended = 0;  // and what differed, either way.
};

class Synchronizer {
 public:
  Synchronizer(const ClusterOptions& options, Membership& membership, const Links& links,
               const FailureDetector& detector)
      : options_(options),
        membership_(membership),
        links_(links),
        detector_(detector),
        comparisons_(options, links, numbers_),
        stability_(options, membership, links, mirrors_) {}

  // With whom we were compared in earlier starts.
  void restore_compared(const std::vector<NodeId>& compared);
  // Before it is compared with the peer's nothing is pulled from there, nor joined with ours.
  bool must_compare(NodeId peer, const CollectionRef& collection) const;
  // Whether a counter may be joined with what the peer sends live.
  bool may_join(NodeId peer, const CollectionRef& collection) const {
    return options_.mutate_join_uncompared || !must_compare(peer, collection);
  }
  std::vector<NodeId> compared() const { return {compared_.begin(), compared_.end()}; }
  bool take_compared_changed() { return std::exchange(compared_changed_, false); }
  // A delete may be forgotten without this node.
  void evicted(NodeId peer);

  void tick(bool clock_is_wrong, const Step& step);
  // At the end of a step: a session that is over makes room for the next one.
  void go_on(const Step& step);
  void link_established(NodeId peer, LinkClass link_class);
  void link_lost(NodeId peer, LinkClass link_class, const Step& step);

  void store_changed(const StoreChanged& changed);
  void collection_gone(const CollectionRef& collection);
  void applied(const Applied& applied, const Step& step);
  void walked(const Walked& walked, const Step& step);
  void ranged(const Ranged& ranged, const Step& step);

  void root_heard(NodeId peer, std::uint64_t root, Time now);
  void summary(ConnectionId from, const Summary& summary, const Step& step);
  void summary_reply(NodeId from, const SummaryReply& reply, const Step& step);
  void pull(ConnectionId from, const Pull& pull, const Step& step);
  void pull_reply(NodeId from, const PullReply& reply, const Step& step);
  void resynced(NodeId from, const Resynced& resynced, const Step& step);
  void audit(ConnectionId from, const Audit& audit, const Step& step);
  void audit_reply(NodeId from, const AuditReply& reply, const Step& step);
  void fetch(ConnectionId from, const Fetch& fetch, const Step& step);
  void fetch_reply(NodeId from, const FetchReply& reply, const Step& step);
  void mend(ConnectionId from, const Mend& mend, const Step& step);
  void mended(NodeId from, const Mended& mended, const Step& step);
  void compared(ConnectionId from, const Compared& compared, const Step& step);
  void report(NodeId from, const Report& report, const Step& step);
  // Part of a large message has come.
  void message_coming(ConnectionId from, Time now);

  // Reckoned when it is first asked for, as a mirror's digest.
  std::uint64_t root() const;
  const Context* durable(const CollectionRef& collection) const;
  const Context* flushed(const CollectionRef& collection) const;
  const SyncProgress& progress() const { return progress_; }
  // How far the session is that is under way.
  std::optional<CatchUp> catch_up(Time now) const { return meter_.read(now); }

  using Mirror = Stability::Mirror;
  // From whom we have pulled everything since this start.
  const std::set<NodeId>& pulled_from() const { return pulled_from_; }
  // Counted since this start.
  std::uint64_t sessions_begun() const { return sessions_begun_; }
  // A session that begins from now on asks for everything that we lack, also where the contexts are
  // equal: the peer may hold for others what is in nobody's context yet.
  void want_all_of(NodeId peer);
  void want_all_of_nobody() { wanted_all_.clear(); }
  // Such a session has begun behind that one and is over, and nothing that the peer had durably
  // before it is missing here.
  bool has_all_of(NodeId peer, std::uint64_t after_session) const;
  // Everybody is here, healthy, and told the root that we had then: what is in no context of ours
  // is in nobody's. Who left may come back with what it has; who was evicted is not asked.
  bool agrees_with_all() const;
  // Something that is missing may come with another session.
  void go_on_with(NodeId peer, Time now);
  // What the store holds durably, by collection name.
  const std::map<std::string, Mirror>& mirrors() const { return mirrors_; }

 private:
  // What we know of one linked peer. Dropped with the link.
  struct Peer {
    const Member* member = nullptr;        // In the table of members.
    bool wanted = false;                   // A session is to be held.
    std::optional<Time> mismatch_since;    // Its root differs from ours since then.
    bool agreed = false;                   // It was equal when it was told last.
    Time coming{};                         // When part of a large live message came last.
    std::optional<Attestation> pulled;     // The peer's state when our last session began,
    std::optional<Attestation> pulled_as;  // and ours.
    std::optional<Attestation> claimed;    // It says it has pulled all from us in this state.
    Time finished;                         // When our last session ended.
    Time not_before{};                     // After a session that failed.
    bool has_asked = false;                // It has begun a comparison with us,
    bool has_listed = false;               // or asked at least what there is.
    std::set<CollectionRef> compared;      // Of these a pull is enough, though not of all yet.
    unsigned failed_comparisons = 0;       // In a row.
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
    Unapplied unapplied;       // Its records that are on their way into the store.
    std::optional<Dot> waits;  // From where on is asked for when the store has taken some of them.
    bool ended = false;        // There are no more.
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
    std::unique_ptr<Comparison> comparison;
    std::deque<CollectionRef> compared;  // Before, and pulled if something cannot be compared.
    bool compares = false;               // Instead of pulling.
    bool audits = false;                 // And nothing comes of it if nothing is found.
    bool says_compared = false;          // The last word is under way.
    Doubts doubts;                       // As it began,
    Doubts peer_doubts;                  // and the peer's.
    std::set<Token> unapplied;
    bool listed = false;
    bool incomplete = false;  // Something could not be had; nothing may be claimed.
    std::uint64_t number = 0;
    bool asks_all = false;
    std::map<CollectionRef, Context> unshown;  // What the donor had, and could not show all of.
  };

  void begin_session(const Step& step);
  void next_transfer(const Step& step);
  void ask(std::optional<Dot> from, const Step& step);
  void end_round(const Step& step);
  void go_on_if_stored(const Step& step);
  void conclude_transfer(const Step& step);
  void merge_vector(const Step& step);
  void conclude_session(const Step& step);
  void finish_session(const Step& step);
  void begin_audit(const Step& step);
  void next_comparison(const Step& step);
  void look_at_comparison(const Step& step);
  template <typename Reply>
  void comparison_reply(NodeId from, const Reply& reply, const Step& step);
  bool must_compare(NodeId peer) const;
  bool has_compared_all(NodeId peer) const;
  void set_compared(NodeId peer, bool compared);
  // A later life of it is here.
  bool is_over(const CollectionRef& collection) const;
  void is_asked(ConnectionId from, const Step& step);
  void too_much(ConnectionId from, const Step& step) const;
  void abandon_session(const Step& step, const std::string& why);
  bool is_dead(NodeId node) const;
  // Whom to ask: the healthy, or else all others, or else the dead.
  std::vector<NodeId> donors(const Step& step) const;
  std::optional<NodeId> choose_donor(const Step& step) const;
  bool joins_by_us(NodeId peer) const;
  void consider_attesting(NodeId node, const Peer& peer, const Step& step);
  void consider_self(const Step& step);
  void want_again(NodeId peer, const Step& step);
  bool exchanged_since_change(const Member& member, const Peer& peer) const;
  // Its root differs for longer than writes are under way.
  bool differs_for_long(const Peer& peer, Time now) const;
  void attest(NodeId node, const Step& step);

  const ClusterOptions& options_;
  Membership& membership_;
  const Links& links_;
  const FailureDetector& detector_;
  std::map<std::string, Mirror> mirrors_;
  mutable std::optional<std::uint64_t> known_root_;
  std::map<NodeId, Peer> peers_;
  std::optional<Session> session_;
  bool finished_one_ = false;  // In this step.
  Numbers numbers_;
  Comparisons comparisons_;
  Stability stability_;
  std::set<NodeId> compared_;
  std::map<NodeId, Doubts> doubts_;  // That a pull is enough, since we started.
  bool compared_changed_ = false;
  std::optional<Time> next_audit_;
  std::optional<Time> unsynced_since_;
  std::uint64_t died_ = 0;  // Our last death that sessions were asked for.
  struct Walk {
    ConnectionId connection = 0;
    std::uint64_t request = 0;
    CollectionRef collection;
  };
  std::map<Token, Walk> walks_;
  std::set<NodeId> pulled_from_;
  std::uint64_t sessions_begun_ = 0;
  std::map<NodeId, std::uint64_t> wanted_all_;  // How many sessions had begun by then.
  struct HadAll {
    std::uint64_t session = 0;
    Time over;
    std::map<CollectionRef, Context> unshown;
  };
  std::map<NodeId, HadAll> had_all_;
  SyncProgress progress_;
  CatchUpMeter meter_;
};

}  // namespace dhrt
