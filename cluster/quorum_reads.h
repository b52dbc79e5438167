// Reads of the levels quorum and linear: the newest record of a majority.
//
// Intuition: whatever a majority has durably is met by whoever asks a majority. For `quorum` the
// newest answer is the result, and those who showed less are given it in passing. For `linear` a
// majority must have it durably before the client hears of it, so that no later read is answered
// with less; a write that asks for the newest version first, and is made above it, completes that
// to a register. Source: Attiya, Bar-Noy, Dolev 1995, and Lynch, Shvartsman 1997 (many writers).
//
// Counters (storage/counter.h) may have several newest records, none of which has all of the
// others. The answer is what they are together; each of them is brought to those who lack it, whose
// stores join them.
//
// The voters are asked, and who is being let in. Those who were healthy since they started have a
// vote; what others show is taken into account.
//
// A delete that every member has durably is forgotten (stability.h), and a member that shows
// nothing may know more than one that shows a record: it was slow to answer and had the delete
// meanwhile, or was given up and is not compared yet. So who shows nothing, or little, says which
// dots it has seen. In the place of a record with one of them comes its tombstone, which is brought
// to all like a record, for at `linear` the word of one node is not enough.
//
// Bounds: quorum_reads_max reads under way, each by read_timeout; those that are answered give way.
// Threads: loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/durable_reads.h"
#include "cluster/levels.h"

namespace dhrt {

class QuorumReads {
 public:
  QuorumReads(const ClusterOptions& options, const Membership& membership, const Links& links,
              const Quorums& quorums, DurableReads& local)
      : options_(options),
        membership_(membership),
        links_(links),
        quorums_(quorums),
        local_(local) {}

  void read(const FanoutRead& read, const Step& step);
  // Of a peer, or our own.
  void answer(NodeId from, const DurableReadReply& reply, const Step& step);
  void stored(NodeId from, const StoreReply& reply, const Step& step);
  void link_lost(NodeId peer);
  // A voter that could not be asked, or whose answer may be lost, is asked when it is there again.
  void link_established(NodeId peer, const Step& step);
  void voters_changed(const Step& step);
  void tick(const Step& step);

 private:
  // Of the newest records one, and who has it, or more, durably.
  struct Part {
    Record record;
    std::set<NodeId> have;
    std::uint64_t store = 0;  // The request by which it is brought; 0: not yet.
  };
  struct Pending {
    FanoutRead read;
    std::set<NodeId> silent;  // Asked, and no answer yet.
    std::set<NodeId> heard;
    std::set<NodeId> voted;
    std::set<NodeId> without;  // Who has no record.
    std::uint32_t generation = 0;
    std::vector<Part> newest;
    std::map<NodeId, Context> forgotten;  // By whom: see Forgotten.
    std::uint64_t forgotten_hlc = 0;
    bool decided = false;  // They change no more.
    bool answered = false;
    Time until;
  };
  using All = std::map<std::uint64_t, Pending>;
  void take(Pending& pending, NodeId from, const DurableReadReply& reply) const;
  static void take_part(Pending& pending, Part taken);
  // Puts tombstones in the place of what is deleted.
  static void bury(Pending& pending);
  void decide(All::iterator entry, const Step& step);
  // To those of `to` who do not have it.
  void bring(All::iterator entry, Part& part, const std::set<NodeId>& to, const Step& step);
  // All parts are with a majority.
  Tally held(const Pending& pending) const;
  void finish(All::iterator entry, const Tally& tally, const Step& step);
  void end_if_over(All::iterator entry);
  void erase(All::iterator entry);
  bool makes_room();

  const ClusterOptions& options_;
  const Membership& membership_;
  const Links& links_;
  const Quorums& quorums_;
  DurableReads& local_;
  std::uint64_t requests_ = 0;
  All pending_;                                    // By request number, hence by age.
  std::set<std::uint64_t> answered_;               // Those of them that are.
  std::map<std::uint64_t, std::uint64_t> stores_;  // Request of a part, of its read.
};

}  // namespace dhrt
