// Who votes, how a member becomes a voter, and how one is retired.
//
// Intuition: a change of the voters is safe if a majority before it and one after it always share a
// node (Ongaro 2014, section 4.1: one member at a time), if there is only one next list, and if
// what majorities had before is had by a majority afterwards. Enough of the voters for a change are
// those who share one of them with each other such set, and with each majority: a majority, or half
// of them with the first one (Layout::can_decide). So the member that wants to vote
//   1. pulls from enough of the voters, to have little left to do in step 4;
//   2. asks them to let nobody with a lower ballot through, and hears whom they let through before;
//   3. asks them to let it through, unless somebody else may have enough already;
//   4. pulls all from each of enough of them after that let it through, and is a voter.
// Steps 2 and 3 are the two phases of Paxos (Lamport 1998), for each change of the list anew; who
// asks to be added proposes nobody but itself. A voter answers when what it answers is on its disk.
//
// Who was let in may die before it votes, and may be counted already. Then any voter asks in its
// name (a ballot of a node always proposes the same, whoever makes it), and instead of 4 a majority
// of the voters that there will be pulls all from each of those who let it through. So nobody is
// held up by it, and it can be retired. Whom the only voter let in, which is no majority of two, is
// waited for until it is retired.
//
// Who wants somebody to vote no more - any member, also the one itself - does the same without 1,
// and instead of 4 it has a majority of those who stay, who must have let the change through, pull
// all from each other. What was only with the one who goes, and with one less than a
// majority of the others, is with a majority of them then. It is for good: a retired member does
// not vote again. Whoever began may stop half-way: any voter goes on with a retirement that it
// knows of.
//
// From when a voter has let a change through it says so with all that it acknowledges
// (LayoutStamp); who counts answers counts by a layout that is at least as late as the latest that
// it heard of. The argument that this is enough is in cluster/README.md.
//
// Bounds: one attempt of our own; held_max answers that wait for the disk. Errors: none; who is not
// answered asks again. Threads: loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/actions.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"
#include "cluster/synchronizer.h"

namespace dhrt {

// The notes with which a node starts: those that it kept, or, of a cluster in which nobody noted
// who votes yet, all members that were healthy once.
LayoutNotes notes_at_start(LayoutNotes kept, const Belonging& belonging, const Member& self,
                           const std::vector<Member>& known);

class Voters {
 public:
  Voters(const ClusterOptions& options, const Membership& membership, const Links& links,
         Synchronizer& synchronizer, LayoutNotes notes)
      : options_(options),
        membership_(membership),
        links_(links),
        synchronizer_(synchronizer),
        notes_(std::move(notes)) {}

  const LayoutNotes& notes() const { return notes_; }
  const Layout& layout() const { return notes_.layout; }
  LayoutStamp stamp() const { return notes_.layout.stamp(); }
  // Nobody has told of a later layout than ours.
  bool is_current() const;

  // The cluster is one of our own.
  void found(ClusterId cluster);
  // To which cluster we belong; what was known of another one is void.
  void belong_to(ClusterId cluster);

  void tick(const Step& step);
  void link_established(ConnectionId connection, const Step& step);
  // A peer's layout has this stamp. `tells`: let it know of ours if that is later.
  void heard(ConnectionId connection, const LayoutStamp& stamp, bool tells, const Step& step);
  void told(ConnectionId connection, const LayoutTold& told, const Step& step);
  void asked(ConnectionId connection, NodeId peer, const VoteRequest& request, const Step& step);
  void answered(NodeId peer, const VoteReply& reply, const Step& step);
  void noted(const LayoutNoted& noted, const Step& step);
  // Somebody is to vote no more; this goes on until it is so, or this node ends.
  // obstacle_to_retire() says why that cannot be.
  void retire(const RetireRequested& request);
  std::optional<std::string> obstacle_to_retire(NodeId node) const;
  bool is_retiring_somebody() const { return !retiring_.empty(); }
  // Somebody else knows of a layout that is as late.
  bool is_shared() const { return heard_.number >= layout().number(); }
  // The layout is another one since the last call.
  bool take_changed() { return std::exchange(changed_, false); }
  LayoutTold tell(bool wants_reply) const { return {notes_.cluster, notes_.layout, wants_reply}; }

 private:
  // When somebody let something through, or said that it did: how many pulls had begun here.
  using PullsBefore = std::map<NodeId, std::uint64_t>;
  struct Attempt {
    Ballot ballot;
    VotePhase phase = VotePhase::promise;
    std::map<NodeId, Ballot> promises;  // Of whom, and what it had let through before.
    PullsBefore let_through;            // By whom.
    std::set<NodeId> holding;           // Who has all that is needed to retire somebody.
    Time asked;
    Time all_linked;  // Who is to be pulled from, for the last time.
    Time progress;    // One more holds all.
  };
  // What we pull as one of those who stay.
  struct Holding {
    Ballot ballot;
    PullsBefore from;
    std::optional<ConnectionId> asker;  // Absent: ourselves.
    bool done = false;
  };
  void learn(const Layout& theirs, const Step& step);
  void note(const Step& step);

  void decide(std::optional<ConnectionId> asker, const VoteRequest& request, const Step& step);
  void hold(std::optional<ConnectionId> asker, const VoteRequest& request, const Step& step);
  void continue_holding(const Step& step);
  // To ourselves, if nobody is named.
  void reply_to(std::optional<ConnectionId> asker, const VoteReply& reply, const Step& step);
  VoteReply reply_for(const Ballot& ballot, VotePhase phase) const;

  bool may_change() const;
  // Not a retirement, nor for one that was let in and is away.
  bool is_our_vote(const Ballot& ballot) const;
  // In one step, as only the only voter can.
  bool lets_in_and_retires(const Ballot& ballot) const;
  // With the next change.
  bool may_retire(NodeId node) const;
  bool wants_to_vote() const;
  bool has_pulled_from_enough() const;
  // Enough of the voters for a change of them.
  template <typename ByNode>
  bool has_enough(const ByNode& answers) const {
    return layout().can_decide([&](NodeId node) { return answers.contains(node); });
  }
  static bool is_majority_of(std::size_t count, const std::vector<NodeId>& nodes) {
    return count >= nodes.size() / 2 + 1;
  }
  std::optional<Ballot> next_attempt(const Step& step) const;
  bool must_complete(const Step& step) const;
  bool is_left_to_others(const Step& step) const;
  void ask(const Step& step);
  void end_attempt();
  void give_up(const Step& step);
  void wait_for_what_is_next(const Step& step);
  bool something_else_may_be_next() const;
  void consider_accepting(const Step& step);
  void consider_holding(const Step& step);
  bool must_hold_anew(const Step& step);
  void forget_who_is_back();
  void consider_done(const Step& step);
  void warn_of_silence(const Step& step);

  const ClusterOptions& options_;
  const Membership& membership_;
  const Links& links_;
  Synchronizer& synchronizer_;
  LayoutNotes notes_;
  LayoutStamp heard_;               // The latest that anybody told.
  std::set<ConnectionId> ahead_;    // Who told of a later one than ours.
  std::optional<Time> next_since_;  // The change that may come is known.
  std::optional<Attempt> attempt_;
  std::optional<Holding> holding_;
  std::map<NodeId, bool> retiring_;  // Unless it is alive?
  Time next_attempt_{};
  std::uint64_t highest_round_ = 0;  // Of anybody, for the next change.
  bool changed_ = false;

  // What was noted, counted; what is on the disk; and what waits for that.
  std::uint64_t notes_made_ = 0;
  std::uint64_t notes_kept_ = 0;
  bool note_again_ = false;
  struct Held {
    std::uint64_t note = 0;
    std::optional<ConnectionId> asker;
    VoteReply reply;
  };
  std::vector<Held> held_;
  std::optional<Time> silent_since_;
  bool warned_ = false;
};

}  // namespace dhrt
