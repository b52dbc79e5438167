// The merge of member records (SWIM: Das, Gupta, Motivala 2002, section 4.2) and what is shown.
#include "cluster/member.h"

#include <array>
#include <vector>

#include <doctest/doctest.h>

#include "storage/base/random.h"

using namespace dhrt;

namespace {

Member with(std::uint64_t incarnation, Liveness liveness) {
  return {.id = 1, .epoch = 1, .incarnation = incarnation, .liveness = liveness};
}

Member merged(Member ours, const Member& theirs) {
  merge(ours, theirs);
  return ours;
}

// Anything a peer could send, lies included: two texts for one incarnation are possible.
Member random_member(Random& random) {
  const auto text = [&random] { return std::string(1, static_cast<char>('a' + random.below(3))); };
  return {.id = 1,
          .name = text(),
          .address = text(),
          .zone = text(),
          .epoch = static_cast<std::uint32_t>(random.below(3)),
          .incarnation = random.below(4),
          .liveness = static_cast<Liveness>(random.below(5)),
          .died = random.below(4),
          .synced = {static_cast<std::uint32_t>(random.below(3)), random.below(4)},
          .protocol_max = static_cast<std::uint8_t>(random.below(3)),
          .features = random.below(3)};
}

}  // namespace

TEST_CASE("member merge: the later statement about liveness wins, in either order") {
  struct Case {
    const char* why;
    Member one, other;
    Liveness kept;
  };
  for (const Case& c : {
           Case{"at one incarnation an accusation overrides alive (4.2)", with(5, Liveness::alive),
                with(5, Liveness::suspect), Liveness::suspect},
           Case{"a refutation is the member's own, with a higher incarnation (4.2)",
                with(5, Liveness::suspect), with(6, Liveness::alive), Liveness::alive},
           Case{"a confirmed death overrides a suspicion", with(5, Liveness::suspect),
                with(5, Liveness::dead), Liveness::dead},
           Case{"a restart refutes its own death", with(5, Liveness::dead),
                with(6, Liveness::alive), Liveness::alive},
           Case{"an old accusation does not touch a newer life", with(5, Liveness::evicted),
                with(6, Liveness::alive), Liveness::alive},
           Case{"who said goodbye is not called dead for hanging up", with(5, Liveness::dead),
                with(5, Liveness::left), Liveness::left},
           Case{"eviction is the last word at an incarnation", with(5, Liveness::left),
                with(5, Liveness::evicted), Liveness::evicted},
       }) {
    CAPTURE(c.why);
    CHECK(merged(c.one, c.other).liveness == c.kept);
    CHECK(merged(c.other, c.one).liveness == c.kept);
  }
}

TEST_CASE("member merge: what a member says of itself goes with its incarnation") {
  Member ours = with(5, Liveness::alive);
  ours.address = "old:1";
  Member theirs = with(6, Liveness::alive);
  theirs.address = "new:1";
  CHECK(merged(ours, theirs).address == "new:1");
  CHECK(merged(theirs, ours).address == "new:1");
}

TEST_CASE("member merge: epoch, death and attestation are each the highest ever heard") {
  Member ours = with(9, Liveness::alive);
  Member theirs = with(3, Liveness::dead);
  theirs.epoch = 4;
  theirs.died = 3;
  theirs.synced = {2, 2};
  const Member both = merged(ours, theirs);
  CHECK(both.incarnation == 9);
  CHECK(both.liveness == Liveness::alive);
  CHECK(both.epoch == 4);
  CHECK(both.died == 3);
  CHECK(both.synced == Attestation{2, 2});
}

TEST_CASE("member merge: order, grouping and repetition do not matter") {
  Random random(7);
  for (int i = 0; i < 20000; ++i) {
    CAPTURE(i);
    const Member a = random_member(random);
    const Member b = random_member(random);
    const Member c = random_member(random);
    REQUIRE(merged(a, b) == merged(b, a));
    REQUIRE(merged(merged(a, b), c) == merged(a, merged(b, c)));
    REQUIRE(merged(a, a) == a);
    Member again = merged(a, b);
    REQUIRE_FALSE(merge(again, b));  // True only if something changed.
    REQUIRE_FALSE(merge(again, a));
  }
}

TEST_CASE("member state: what people see is derived from the record") {
  struct Case {
    const char* why;
    Member member;
    MemberState state;
  };
  const auto alive = [](std::uint32_t epoch, std::uint64_t died, Attestation synced) {
    return Member{.id = 1, .epoch = epoch, .incarnation = 9, .died = died, .synced = synced};
  };
  for (const Case& c : {
           Case{"never attested", alive(1, 0, {}), MemberState::joining},
           Case{"attested in this start", alive(2, 0, {2, 9}), MemberState::healthy},
           Case{"attested in an earlier start", alive(2, 0, {1, 9}), MemberState::syncing},
           Case{"died since it was attested", alive(2, 8, {2, 8}), MemberState::syncing},
           Case{"attested after its death", alive(2, 8, {2, 9}), MemberState::healthy},
           Case{"suspect", with(5, Liveness::suspect), MemberState::unhealthy},
           Case{"dead", with(5, Liveness::dead), MemberState::dead},
           Case{"left", with(5, Liveness::left), MemberState::left},
           Case{"evicted", with(5, Liveness::evicted), MemberState::evicted},
       }) {
    CAPTURE(c.why);
    CHECK(state_of(c.member) == c.state);
  }
}

TEST_CASE("member state: every state has a name of its own") {
  std::vector<std::string_view> names;
  for (const MemberState state :
       {MemberState::joining, MemberState::healthy, MemberState::unhealthy, MemberState::dead,
        MemberState::syncing, MemberState::left, MemberState::evicted}) {
    for (const std::string_view other : names)
      CHECK(to_text(state) != other);
    names.push_back(to_text(state));
  }
}
