// Writes that are answered when enough members have them durably.
//
// Intuition: a peer tells how far the writes of each of our event loops are durable there
// (WriteAck), without gaps; who has told of a write once has it for ever, also when its link breaks
// afterwards. Time that is up proves nothing: the write stays, and spreads.
//
// Waits are ordered by the last write of each: whoever has one has all before it, so an
// acknowledgement costs as much as there are waits that it is news for.
//
// Bounds: waits end by write_timeout; who begins them bounds their number. Threads: loop thread
// only.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "cluster/levels.h"
#include "cluster/peer_waits.h"

namespace dhrt {

class WriteLevels {
 public:
  WriteLevels(const ClusterOptions& options, const Membership& membership, const Links& links,
              const Quorums& quorums)
      : options_(options), membership_(membership), links_(links), quorums_(quorums) {}

  void begin(const WaitForLevel& wait, const PeerWaits::Heard& heard, const Step& step);
  // A peer has told more of these; `tips` is all that it told.
  void heard(NodeId peer, const std::vector<Tips::key_type>& news, const Tips& tips,
             const Step& step);
  void collection_gone(const CollectionRef& collection);
  // Time has passed, or somebody else votes.
  void settle_all(const Step& step);

 private:
  struct Wait {
    WriteLevel level = WriteLevel::quorum;
    Tips written;
    std::set<NodeId> have;
    Time until;
  };
  using Waits = std::map<std::uint64_t, Wait>;
  Tally tally(const Wait& wait) const;
  // The next one; this one is gone if it was answered.
  Waits::iterator settle(Waits::iterator wait, const Step& step);
  void forget(Waits::iterator wait);

  const ClusterOptions& options_;
  const Membership& membership_;
  const Links& links_;
  const Quorums& quorums_;
  Waits waits_;
  std::map<Tips::key_type, std::map<std::uint64_t, std::set<std::uint64_t>>> by_last_;
};

}  // namespace dhrt
