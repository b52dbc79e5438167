// What every node of the cluster has durably, so that deletes may be forgotten.
//
// Intuition: a tombstone is needed as long as something that it beats may still come. Nothing can
// once every member has reported a durable context with the tombstone in it, *and* we have all that
// was in those reports: an older write that was still under way to us is in its writer's report, so
// it has arrived before the report counts, and what has arrived is known by its dot for ever. (That
// all members have the tombstone is not enough. Links that keep the order of what they carry hide
// that nearly always: the simulator's mutant forget-early is seen in few histories, if at all.)
//
// Everybody counts but the evicted: who joins, syncs, is dead or has left may hold what the delete
// was about. Who was not compared with us since one of us may have forgotten something without the
// other counts with nothing.
//
// Of each peer one report waits until we have all of it, and the newest behind it: if always the
// newest waited, none would ever count under load. In the same way one context waits until it has
// been everywhere for remember_deletes.
// Bounds: three contexts per member and collection that is here, and three per collection.
// Threads: loop thread only.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "cluster/links.h"
#include "cluster/membership.h"
#include "cluster/options.h"

namespace dhrt {

// Of what a node holds of a collection; equal where both contexts are.
std::uint64_t digest_of(const Context& durable, const Context& flushed);

class Stability {
 public:
  // What is durable here, by collection name.
  struct Mirror {
    std::uint32_t generation = 0;
    Context durable;
    Context flushed;
    // The hash of both. Reckoned when it is first asked for: they change with every turn of a node
    // that is written to, and are looked at with every ping.
    std::uint64_t digest() const {
      if (!known_digest) known_digest = digest_of(durable, flushed);
      return *known_digest;
    }
    mutable std::optional<std::uint64_t> known_digest{};
  };
  using Mirrors = std::map<std::string, Mirror>;

  Stability(const ClusterOptions& options, const Membership& membership, const Links& links,
            const Mirrors& mirrors)
      : options_(options), membership_(membership), links_(links), mirrors_(mirrors) {}

  // Sends reports and says what may be forgotten, now and then. `compared`: see Synchronizer.
  // `root`: ours. `clock_is_wrong`: nothing may be forgotten, as what is written behind a delete
  // that is forgotten gets a version above what our clock shows now.
  void tick(const std::set<NodeId>& compared, std::uint64_t root, bool clock_is_wrong,
            const Step& step);
  // The collection has other mirrors, or is new.
  void store_changed(const std::string& name);
  // False: the peer has lost something that it reported earlier, so that it must be compared.
  [[nodiscard]] bool report(NodeId peer, const Report& report);
  // The peer's root is ours, so that everything durable here is durable there: as good as a report.
  void agrees(NodeId peer, std::uint64_t root);
  // The peer says what it has, and it is less than it had.
  bool has_lost(NodeId peer, const CollectionRef& collection, const Context& durable) const;
  // Nothing that the peer reported so far counts.
  void forget(NodeId peer);
  void link_lost(NodeId peer);
  void collection_gone(const CollectionRef& collection);

 private:
  struct Heard {
    std::uint32_t generation = 0;
    Context last;                   // Also of a link that is no more: it only grows.
    std::optional<Context> counts;  // All of it is here.
    std::optional<Context> waits;   // Until it is.
    std::optional<Context> behind;  // The newest.
  };
  struct Told {
    std::map<std::string, std::uint64_t> digests;
    std::set<std::string> due;  // What may have changed since.
    bool knows_what_is_due = false;
    std::string last;  // Which was looked at last: the next one comes behind it.
  };
  // Of one collection.
  struct Said {
    Context dots;        // Said last.
    Context remembered;  // Everywhere for remember_deletes.
    std::optional<Context> waits;
    Time everywhere_since{};
  };
  void send_reports(const Step& step);
  void look_at(const std::string& name, const Mirror& mirror, const std::set<NodeId>& compared,
               bool again, const Step& step);
  void promote(Heard& heard, const Context& durable) const;
  // Empty if somebody has not said anything.
  Context everywhere(const std::string& name, const Mirror& mirror,
                     const std::set<NodeId>& compared) const;

  const ClusterOptions& options_;
  const Membership& membership_;
  const Links& links_;
  const Mirrors& mirrors_;
  Time next_{};
  Time next_again_{};
  std::map<NodeId, std::map<std::string, Heard>> heard_;
  std::map<NodeId, std::uint64_t> agreed_;  // The root that was noted last.
  std::map<NodeId, Told> told_;
  std::map<std::string, Said> said_;
  std::set<std::string> touched_;  // Of which something is new since they were looked at.
};

}  // namespace dhrt
