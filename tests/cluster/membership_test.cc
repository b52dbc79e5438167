// Rumours and refutation (SWIM: Das, Gupta, Motivala 2002, sections 4.1 and 4.2).
#include "cluster/membership.h"

#include <algorithm>
#include <limits>

#include <doctest/doctest.h>

#include "tests/cluster/core_fixture.h"

using namespace dhrt;
using test::member;

namespace {

constexpr NodeId us = 1;

Member accused(NodeId node, Liveness liveness, std::uint64_t incarnation) {
  Member record = member(node, incarnation);
  record.liveness = liveness;
  if (liveness == Liveness::dead) record.died = incarnation;
  return record;
}

bool tells_of(const std::vector<Member>& updates, NodeId node) {
  return std::ranges::any_of(updates, [&](const Member& update) { return update.id == node; });
}

}  // namespace

TEST_CASE("membership: an accusation against us is answered with a higher incarnation (4.2)") {
  struct Case {
    const char* why;
    Liveness liveness;
    std::uint64_t theirs, ours_after;
  };
  for (const Case& c : {
           Case{"a suspicion of what we are now", Liveness::suspect, 10, 11},
           Case{"a death", Liveness::dead, 10, 11},
           Case{"a goodbye that we did not say", Liveness::left, 10, 11},
           Case{"an accusation from the future: our clock went back", Liveness::suspect, 50, 51},
           Case{"news of us from the future", Liveness::alive, 50, 51},
           Case{"an old accusation is answered already", Liveness::dead, 9, 10},
           Case{"what we said ourselves", Liveness::alive, 10, 10},
       }) {
    CAPTURE(c.why);
    Membership membership(member(us));
    membership.apply(accused(us, c.liveness, c.theirs));
    CHECK(membership.self().incarnation == c.ours_after);
    CHECK(membership.self().liveness == Liveness::alive);
  }
}

TEST_CASE("membership: our answer is news for the others") {
  Membership membership(member(us));
  membership.apply(accused(us, Liveness::suspect, 10));
  CHECK(membership.take_changed() == std::set<NodeId>{us});
  CHECK(tells_of(membership.updates_for(2), us));
}

TEST_CASE("membership: whoever was called dead is not healthy until it is attested again") {
  Membership membership(test::healthy(member(us)));
  REQUIRE(membership.state(us) == MemberState::healthy);
  membership.apply(accused(us, Liveness::dead, 10));
  CHECK(membership.state(us) == MemberState::syncing);
  membership.attest(us, {1, 11});
  CHECK(membership.state(us) == MemberState::healthy);
}

TEST_CASE("membership: who is leaving does not deny it") {
  Membership membership(member(us));
  membership.leave();
  membership.apply(accused(us, Liveness::left, 10));
  CHECK(membership.self().incarnation == 10);
}

TEST_CASE("membership: a rumour is passed on a bounded number of times (4.1)") {
  Membership membership(member(us));
  membership.apply(member(2));
  int told = 0;
  for (int i = 0; i < 1000; ++i)
    told += tells_of(membership.updates_for(3), 2) ? 1 : 0;
  CHECK(told >= 3);
  CHECK(told <= 20);
}

TEST_CASE("membership: what was told least goes first, eight at a time") {
  Membership membership(member(us));
  for (NodeId node = 2; node <= 9; ++node)
    membership.apply(member(node));
  while (membership.updates_for(100).size() == updates_per_message_max) {
    if (membership.updates_for(100).empty()) break;
  }
  for (NodeId node = 2; node <= 9; ++node)
    membership.apply(member(node, 11));
  membership.updates_for(100);
  membership.apply(member(50));
  const auto updates = membership.updates_for(100);
  CHECK(updates.size() == updates_per_message_max);
  CHECK(tells_of(updates, 50));
}

TEST_CASE("membership: what is held against the receiver goes along, however old") {
  Membership membership(member(us));
  membership.apply(accused(2, Liveness::suspect, 10));
  for (int i = 0; i < 1000; ++i)
    REQUIRE(tells_of(membership.updates_for(2), 2));
}

TEST_CASE("membership: an accusation of somebody unknown is kept") {
  Membership membership(member(us));
  membership.apply(accused(7, Liveness::dead, 10));
  CHECK(membership.state(7) == MemberState::dead);
}

TEST_CASE("membership: what no honest node says is not believed") {
  constexpr auto highest = std::numeric_limits<std::uint64_t>::max();
  Membership membership(test::healthy(member(us)));
  membership.apply(test::healthy(member(2)));

  SUBCASE("an incarnation that leaves no room for an answer") {
    CHECK_FALSE(membership.apply(accused(us, Liveness::dead, highest)));
    CHECK_FALSE(membership.apply(accused(2, Liveness::dead, highest)));
    membership.mark_left(2, highest);
  }
  SUBCASE("a death after the incarnation that died") {
    Member lie = member(us);
    lie.died = highest;
    membership.apply(lie);
    membership.attest(us, {1, membership.self().incarnation});
    lie.id = 2;
    membership.apply(lie);
    membership.apply(test::healthy(member(2, 11)));
  }
  SUBCASE("an attestation of a state that never was") {
    membership.attest(2, {std::numeric_limits<std::uint32_t>::max(), highest});
    Member lie = member(2);
    lie.synced = {2, highest};
    membership.apply(lie);
  }
  SUBCASE("no node at all") {
    CHECK_FALSE(membership.apply({}));
    CHECK(membership.find(0) == nullptr);
  }
  CHECK(membership.state(us) == MemberState::healthy);
  CHECK(membership.state(2) == MemberState::healthy);
}

TEST_CASE("membership: only the node itself says that it leaves, and not for a later life") {
  Membership membership(member(us));
  membership.apply(member(2));
  membership.mark_left(us, 10);
  CHECK(membership.self().liveness == Liveness::alive);
  membership.mark_left(2, 9);
  CHECK(membership.find(2)->liveness == Liveness::alive);
  membership.mark_left(2, 10);
  CHECK(membership.state(2) == MemberState::left);
  membership.mark_left(99, 10);
  CHECK(membership.find(99) == nullptr);
}

TEST_CASE("membership: a changed address is a new statement of ours") {
  Membership membership(member(us));
  membership.set_own_address("h1:1");
  CHECK(membership.self().incarnation == 10);
  membership.set_own_address("elsewhere:1");
  CHECK(membership.self().incarnation == 11);
}

TEST_CASE("membership: members of the last run come back as they were, ourselves excepted") {
  Membership membership(member(us, 20));
  membership.restore({member(us, 5), member(2), Member{}});
  CHECK(membership.self().incarnation == 20);
  CHECK(membership.members().size() == 2);
  CHECK(membership.take_changed().empty());
}
