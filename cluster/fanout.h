// Reads that this node cannot answer alone: every healthy member is asked at once, the first
// one that has the key wins, or the newest that any of them has.
//
// Nothing is found only when all have said so or the time is up; the answer then tells whether
// somebody who may have it did not answer (partial).
//
// A key is not asked for once per client. Who comes while it is being asked for waits and shares
// the next question, which goes out when this one ends, or with the next tick. The one under way
// will not do: it may have passed a node before a write there that was acknowledged before the
// client came. So an answer is always of a question that is younger than the client's request,
// and a key that everybody wants costs one round at a time.
//
// Bounds: fanout_reads_max clients that wait; beyond, the answer is "not here, partial".
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"

namespace dhrt {

class Fanout {
 public:
  Fanout(const ClusterOptions& options, const Membership& membership, const Links& links)
      : options_(options), membership_(membership), links_(links) {}

  void read(const FanoutRead& read, const Step& step);
  void reply(NodeId from, const ReadReply& reply, const Step& step);
  void link_lost(NodeId peer, const Step& step);
  void tick(const Step& step);

 private:
  // What clients ask for.
  struct Subject {
    std::string collection;
    std::string key;
    bool waits_for_all = false;
    auto operator<=>(const Subject&) const = default;
  };
  using Clients = std::vector<std::uint64_t>;  // Their request numbers.
  // Of a subject that is being asked for.
  struct Round {
    std::uint64_t latest = 0;  // The youngest question; the round lasts as long as it is under way.
    Clients next;              // Came since, and share the next one.
  };
  using Rounds = std::map<Subject, Round>;
  // Sent to the others.
  struct Question {
    Subject subject;
    Clients clients;
    std::set<NodeId> silent;       // Asked, and no answer yet.
    std::optional<Record> newest;  // Heard of: a delete, unless all are waited for.
    bool partial = false;
    Time until;
  };
  using Questions = std::map<std::uint64_t, Question>;  // By number, hence by age.

  void ask(Rounds::iterator round, const Step& step);
  void finish(Questions::iterator question, std::optional<Record> record, const Step& step);

  const ClusterOptions& options_;
  const Membership& membership_;
  const Links& links_;
  std::uint64_t asked_ = 0;
  std::size_t clients_ = 0;  // Of all questions, and those that wait for one.
  Rounds rounds_;
  Questions questions_;
};

}  // namespace dhrt
