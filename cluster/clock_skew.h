// Whether this node's wall clock can be believed, going by those of the others.
//
// Intuition: who answers a probe says what its clock shows. That was between our question and its
// answer, so we know it to half a round trip (Cristian 1989). Kept is by how much it is ahead of
// our monotonic clock, which nobody sets: when our own wall clock is set, everything that was heard
// before tells by how much, at the next tick.
//
// All clocks, ours among them, stand in a row. If a majority of three or more is on one side of
// ours and surely further away than max_clock_offset, this node is *fenced*: it takes no writes of
// clients (node/database) and goes on replicating, until the clock in the middle of the row is well
// within the limit again. The clock in the middle is never fenced, so that no set of clocks stops a
// whole cluster that sees itself. Where half of the clocks or more differ from ours and yet no
// majority is on one side - with two nodes, always - nobody can tell who is right: the clocks are
// *apart*, which is told and changes nothing.
//
// No promise rests on this: versions are right with any clocks (storage/hlc.h). It bounds how
// surprising it is which of two concurrent writes wins, and when records expire.
//
// Bounds: a sample for each member. Threads: loop thread only. Errors: none; a clock that shows
// what no version can hold is not listened to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "cluster/membership.h"
#include "cluster/options.h"

namespace dhrt {

// The value in the middle of `ahead` and 0, which is our own clock; of two, the one nearer to 0.
Duration middle_clock(std::vector<Duration> ahead);

// How the reason begins, and in dialects whose errors have a first word, what that is.
inline constexpr Bytes clock_skew_word = "CLOCK_SKEW ";
// Why a node refuses writes whose clock is so far ahead of (or, negative, behind) the others', and
// what to do.
std::string clock_skew_explanation(Duration offset, Duration max_clock_offset);

class ClockSkew {
 public:
  ClockSkew(const ClusterOptions& options, const Membership& membership)
      : options_(options), membership_(membership) {}

  // Our wall clock shows this; 0: nobody says, and nothing is concluded.
  void tick(WallMilliseconds wall, const Step& step);
  // A member's clock showed `wall` within the last `round_trip`; 0: it does not say.
  void heard(NodeId peer, const ClockReading& reading, Duration round_trip, Time now);
  // What to tell others; its wall is 0 if our clock is not known.
  ClockReading reading(Time now) const;

  bool fenced() const { return fenced_; }
  bool apart() const { return apart_; }
  // By how much our clock is ahead (or, negative, behind) of the one in the middle of three and
  // more, or of the only other one. 0 if there is none.
  Duration offset() const { return offset_; }
  struct PeerClock {
    Duration ahead{};  // Of ours.
    bool fenced = false;
  };
  // Of those that were heard within the last minutes.
  std::map<NodeId, PeerClock> peers() const;

 private:
  struct Sample {
    Duration ahead;  // Of our monotonic clock, which may be any number.
    Duration uncertain;
    Time heard;
    bool fenced = false;
  };
  void forget_old_ones(Time now);
  void judge();
  Duration well_within() const;
  bool differs(Duration ahead, Duration surely_ahead) const;
  void tell(bool was_fenced, bool was_apart, const Step& step) const;
  Duration ahead_of_ours(const Sample& sample) const { return sample.ahead - *own_ahead_; }

  const ClusterOptions& options_;
  const Membership& membership_;
  std::optional<Duration> own_ahead_;  // Our wall clock, of our monotonic clock.
  std::map<NodeId, Sample> samples_;
  std::uint64_t members_seen_ = 0;  // As Membership::changes() was at the last look.
  Duration offset_{};
  bool fenced_ = false;
  bool apart_ = false;
};

}  // namespace dhrt
