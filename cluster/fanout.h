// Reads that this node cannot answer alone: every healthy member is asked at once, the first
// one that has the key wins, or the newest that any of them has.
//
// Nothing is found only when all have said so or the time is up; the answer then tells whether
// somebody who may have it did not answer (partial).
// Bounds: fanout_reads_max reads under way; beyond, the answer is "not here, partial".
#pragma once

#include <cstdint>
#include <map>
#include <set>

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
  struct Pending {
    std::uint64_t client_request = 0;
    bool waits_for_all = false;
    std::set<NodeId> silent;       // Asked, and no answer yet.
    std::optional<Record> newest;  // Heard of: a delete, unless all are waited for.
    bool partial = false;
    Time until;
  };
  void finish(std::map<std::uint64_t, Pending>::iterator pending, std::optional<Record> record,
              const Step& step);

  const ClusterOptions& options_;
  const Membership& membership_;
  const Links& links_;
  std::uint64_t requests_ = 0;
  std::map<std::uint64_t, Pending> pending_;  // By request number, hence by age.
};

}  // namespace dhrt
