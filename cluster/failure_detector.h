// Decides which members are alive (SWIM: Das, Gupta, Motivala 2002, sections 3 and 4).
//
// Intuition: one member is asked each interval, in a shuffled round, so that each is asked in
// bounded time. If it is silent, three others are asked to try; if they hear nothing either it
// is a suspect, and only a suspect that nobody defends in time is declared dead.
//
// A node that was stopped for a while has heard nothing because it did not listen: what it was
// waiting for then is not held against anybody. Where it cannot know that, it goes by signs of its
// own slowness, and by how many others say the same (Lifeguard: Dadgar, Phillips, Currey 2017):
// with such signs its probes are more patient, and whom only one accuses has longer to defend
// itself than whom several accuse.
//
// Bounds: one probe in flight; relays live one interval; a round trip for each member, and accusers
// up to the confirmations wanted for each suspect. Threads: loop thread only.
// Errors: none; what a peer may send is never impossible.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "cluster/actions.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"

namespace dhrt {

// How long a suspect may defend itself: longer in larger clusters, where news takes longer, and
// while few accuse it. `accusers` found it silent themselves; 0: it is a rumour so far.
Duration suspicion_timeout(const ClusterOptions& options, std::size_t members,
                           std::size_t accusers);

class FailureDetector {
 public:
  FailureDetector(const ClusterOptions& options, Membership& membership, const Links& links)
      : options_(options), membership_(membership), links_(links) {}

  // What goes along: what is here, what our clock shows, and of which voters we know.
  struct Said {
    std::uint64_t root = 0;
    ClockReading clock{};
    LayoutStamp layout{};
    std::optional<CatchUp> catch_up{};
  };
  void tick(const Said& said, const Step& step);
  void ping(ConnectionId from, const Ping& ping, const Said& said, const Step& step);
  void ping_request(ConnectionId from, const PingRequest& request, const Said& said,
                    const Step& step);
  void ack(ConnectionId from, const Ack& ack, const Step& step);
  // How long ago what this answers was asked, if its sender was asked itself. Before ack().
  std::optional<Duration> answered_after(ConnectionId from, const Ack& ack, Time now) const;
  void nack(ConnectionId from, const Nack& nack);
  // A peer has found somebody silent, who is asked by us at once as well.
  void accuse(ConnectionId from, const Accuse& accuse, const Step& step);
  // Somebody accused us, and we answered.
  void accused_ourselves() { seem_slower(1); }
  // Part of a message came from it. What it answers us stands behind that message, so the part
  // counts as the answer, and as defence of a suspect.
  void message_coming(NodeId peer, Time now);
  // The link to a member broke: it is the next to be asked.
  void link_lost(NodeId peer);
  // Members whose death we declared ourselves; an accuser may also acquit.
  bool accused_by_us(NodeId node) const { return accused_.contains(node); }
  bool accused_somebody() const { return !accused_.empty(); }
  // Signs that we are slow ourselves, 0 to slowness_max.
  unsigned slowness() const { return slowness_; }

 private:
  struct Probe {
    NodeId target = 0;
    std::uint64_t sequence = 0;
    std::uint64_t incarnation = 0;  // The target's, when we asked.
    Time asked;
    Time direct_until;
    Time until;
    bool indirect = false;
    bool answered = false;
    std::set<NodeId> helpers;  // Who were asked to try, and have not said that they hear nothing.
  };
  struct Relay {
    ConnectionId requester = 0;
    std::uint64_t sequence = 0;
    NodeId target = 0;
    Time nack_at;
    Time until;
    bool nacked = false;
  };
  struct Suspicion {
    Time since;
    std::uint64_t incarnation = 0;
    std::set<NodeId> accusers;
  };

  void forgive_own_stall(const Step& step);
  bool urgent_now() const { return !urgent_.empty() && !was_urgent_; }
  void begin_probe(const Said& said, const Step& step);
  void probe_indirectly(const Step& step);
  void end_probe(const Step& step);
  void found_silent(const Member& member, const Step& step);
  void serve_relays(const Step& step);
  void ask_soon(NodeId node);
  void note_round_trip(const Probe& probe, Time now);
  Duration answer_time(NodeId node) const;
  void seem_slower(std::size_t signs);
  void judge_suspects(const Step& step);
  Suspicion& suspicion_of(const Member& member, Time now);
  std::optional<NodeId> next_target(const Step& step);

  const ClusterOptions& options_;
  Membership& membership_;
  const Links& links_;
  std::optional<Probe> probe_;
  Time next_probe_{};
  std::uint64_t sequence_ = 0;
  std::vector<NodeId> round_;
  std::deque<NodeId> urgent_;  // Each member at most once.
  bool was_urgent_ = false;    // The round goes on between two urgent probes.
  std::optional<Time> ticked_;
  std::uint64_t judged_ = 0;  // As Membership::changes() was then.
  std::map<std::uint64_t, Relay> relays_;
  std::map<NodeId, Suspicion> suspects_;
  std::set<NodeId> accused_;
  std::map<NodeId, Duration> round_trips_;  // Smoothed, of members that answered us directly.
  unsigned slowness_ = 0;
};

}  // namespace dhrt
