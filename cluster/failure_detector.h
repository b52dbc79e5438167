// Decides which members are alive (SWIM: Das, Gupta, Motivala 2002, sections 3 and 4).
//
// Intuition: one member is asked each interval, in a shuffled round, so that each is asked in
// bounded time. If it is silent, three others are asked to try; if they hear nothing either it
// is a suspect, and only a suspect that nobody defends in time is declared dead.
//
// A node that was stopped for a while has heard nothing because it did not listen: what it was
// waiting for then is not held against anybody.
//
// Bounds: one probe in flight; relays live one interval. Threads: loop thread only.
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

// How long a suspect may defend itself: longer in larger clusters, where news takes longer.
Duration suspicion_timeout(const ClusterOptions& options, std::size_t members);

class FailureDetector {
 public:
  FailureDetector(const ClusterOptions& options, Membership& membership, const Links& links)
      : options_(options), membership_(membership), links_(links) {}

  // `root` is told to whom we ping.
  void tick(std::uint64_t root, const Step& step);
  void ping(ConnectionId from, const Ping& ping, std::uint64_t root, const Step& step);
  void ping_request(ConnectionId from, const PingRequest& request, std::uint64_t root,
                    const Step& step);
  void ack(ConnectionId from, const Ack& ack, const Step& step);
  // Part of a message came from it. What it answers us stands behind that message, so the part
  // counts as the answer, and as defence of a suspect.
  void message_coming(NodeId peer, Time now);
  // The link to a member broke: it is the next to be asked.
  void link_lost(NodeId peer);
  // Members whose death we declared ourselves; an accuser may also acquit.
  bool accused_by_us(NodeId node) const { return accused_.contains(node); }

 private:
  struct Probe {
    NodeId target = 0;
    std::uint64_t sequence = 0;
    std::uint64_t incarnation = 0;  // The target's, when we asked.
    Time direct_until;
    Time until;
    bool indirect = false;
    bool answered = false;
  };
  struct Relay {
    ConnectionId requester = 0;
    std::uint64_t sequence = 0;
    NodeId target = 0;
    Time until;
  };

  void forgive_own_stall(const Step& step);
  bool urgent_now() const { return !urgent_.empty() && !was_urgent_; }
  void begin_probe(std::uint64_t root, const Step& step);
  void probe_indirectly(const Step& step);
  void end_probe();
  void judge_suspects(const Step& step);
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
  std::map<std::uint64_t, Relay> relays_;
  struct Suspicion {
    Time since;
    std::uint64_t incarnation = 0;
  };
  std::map<NodeId, Suspicion> suspects_;
  std::set<NodeId> accused_;
};

}  // namespace dhrt
