#include "cluster/member.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace dhrt {

namespace {

auto statement(const Member& member) {
  return std::tuple(member.incarnation, std::string_view(member.name),
                    std::string_view(member.address), std::string_view(member.zone),
                    member.protocol_min, member.protocol_max, member.features);
}

}  // namespace

MemberState state_of(const Member& member) {
  switch (member.liveness) {
    case Liveness::suspect:
      return MemberState::unhealthy;
    case Liveness::dead:
      return MemberState::dead;
    case Liveness::left:
      return MemberState::left;
    case Liveness::evicted:
      return MemberState::evicted;
    case Liveness::alive:
      break;
  }
  if (member.synced.epoch == 0) return MemberState::joining;
  const bool synced_since_start = member.synced.epoch == member.epoch;
  const bool synced_since_death = member.died == 0 || member.synced.incarnation > member.died;
  return synced_since_start && synced_since_death ? MemberState::healthy : MemberState::syncing;
}

std::string_view to_text(MemberState state) {
  switch (state) {
    case MemberState::joining:
      return "joining";
    case MemberState::healthy:
      return "healthy";
    case MemberState::unhealthy:
      return "unhealthy";
    case MemberState::dead:
      return "dead";
    case MemberState::syncing:
      return "syncing";
    case MemberState::left:
      return "left";
    case MemberState::evicted:
      return "evicted";
  }
  return "unknown";
}

bool merge(Member& ours, const Member& theirs) {
  const Member before = ours;
  // What a member says of itself goes with its incarnation. It says one thing at each; should
  // somebody make up a second, the order of the texts decides, or the tables would never agree.
  if (statement(theirs) > statement(ours)) {
    ours.name = theirs.name;
    ours.address = theirs.address;
    ours.zone = theirs.zone;
    ours.protocol_min = theirs.protocol_min;
    ours.protocol_max = theirs.protocol_max;
    ours.features = theirs.features;
  }
  std::tie(ours.incarnation, ours.liveness) = std::max(
      std::pair(ours.incarnation, ours.liveness), std::pair(theirs.incarnation, theirs.liveness));
  ours.epoch = std::max(ours.epoch, theirs.epoch);
  ours.died = std::max(ours.died, theirs.died);
  ours.synced = std::max(ours.synced, theirs.synced);
  return ours != before;
}

}  // namespace dhrt
