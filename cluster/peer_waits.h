// Clients that want to know when so many peers have durably what was written here.
//
// Intuition: a peer tells how far the writes of each of our event loops are durable there
// (WriteAck). A wait notes how far a loop had come when it began, and counts the peers that have
// told as much. Who is not linked is not counted, whatever it has.
//
// Bounds: waits are ended by whoever began them, also when nobody hears the answer any more.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "cluster/actions.h"

namespace dhrt {

// The writes of an origin in a collection, up to where.
using TipKey = std::pair<CollectionRef, Origin>;
using Tips = std::map<TipKey, std::uint64_t>;
// Who told of these has all of those.
bool covers(const Tips& told, const Tips& written);

class PeerWaits {
 public:
  // By linked peer: what it told us.
  using Heard = std::map<NodeId, Tips>;

  void begin(const WaitForPeers& wait, Tips written) {
    waits_[wait.request] = {wait.peers, std::move(written)};
  }
  // Answers those that have enough.
  void look(const std::vector<NodeId>& linked, const Heard& heard, const Step& step);
  // Answers this one, whatever it has.
  void end(std::uint64_t request, const std::vector<NodeId>& linked, const Heard& heard,
           const Step& step);
  void collection_gone(const CollectionRef& collection);

 private:
  struct Wait {
    std::uint64_t peers = 0;
    Tips written;
  };
  static std::uint64_t count(const Wait& wait, const std::vector<NodeId>& linked,
                             const Heard& heard);

  std::map<std::uint64_t, Wait> waits_;
};

}  // namespace dhrt
