// What every node knows about a member of the cluster, and how two such records merge.
//
// Intuition: each field merges on its own by taking the later statement, so records may arrive
// in any order, any number of times, from anybody, and all nodes end with the same table.
// Source: SWIM (Das, Gupta, Motivala 2002), section 4.2, with an incarnation that only the
// member itself raises.
//
// Units: an epoch counts starts of a node, an incarnation its statements about itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/record.h"

namespace dhrt {

// In the order in which one overrides another at the same incarnation.
enum class Liveness : std::uint8_t { alive = 0, suspect = 1, dead = 2, left = 3, evicted = 4 };

// "Synced" is said by a peer after a pull in both directions: of which start of the member, and
// of which incarnation.
struct Attestation {
  std::uint32_t epoch = 0;  // 0 = never.
  std::uint64_t incarnation = 0;

  auto operator<=>(const Attestation&) const = default;
};

// Bits of Member::features.
namespace feature {
inline constexpr std::uint64_t levels = 1;         // Knows read and write levels: levels.h.
inline constexpr std::uint64_t retires = 2;        // Knows that voters may be retired: voters.h.
inline constexpr std::uint64_t compares = 1 << 8;  // Knows Audit and its kin, and Report.
}  // namespace feature

struct Member {
  NodeId id = 0;
  std::string name;
  std::string address;  // host:port where peers reach it; empty = not known yet.
  std::string zone;
  std::uint32_t epoch = 0;
  std::uint64_t incarnation = 0;
  Liveness liveness = Liveness::alive;
  std::uint64_t died = 0;  // The highest incarnation at which it was declared dead; 0 = never.
  Attestation synced;
  std::uint8_t protocol_min = 1;
  std::uint8_t protocol_max = 1;
  std::uint64_t features = 0;

  bool operator==(const Member&) const = default;
};

// A pull is not enough for who has this and forgets deletes (stability.h).
inline bool can_compare(const Member& member) {
  return (member.features & feature::compares) != 0;
}

// What people see.
enum class MemberState { joining, healthy, unhealthy, dead, syncing, left, evicted };

MemberState state_of(const Member& member);
std::string_view to_text(MemberState state);

// Takes from `theirs` what is later than in `ours`; both are about the same node. True if
// anything changed.
bool merge(Member& ours, const Member& theirs);

}  // namespace dhrt
