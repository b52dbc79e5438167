#include "cluster/clock_skew.h"

#include <algorithm>
#include <utility>

namespace dhrt {

namespace {

// What the milliseconds of a version can hold.
constexpr WallMilliseconds wall_max = (WallMilliseconds{1} << (64 - hlc_counter_bits)) - 1;
constexpr std::size_t clocks_min = 3;

Duration to_duration(WallMilliseconds wall) {
  return Duration(static_cast<Duration::rep>(wall));
}

Duration magnitude(Duration duration) {
  return duration < Duration{0} ? -duration : duration;
}

// As far as it surely is.
Duration surely(Duration ahead, Duration uncertain) {
  if (magnitude(ahead) <= uncertain) return Duration{0};
  return ahead > Duration{0} ? ahead - uncertain : ahead + uncertain;
}

std::string milliseconds(Duration duration) {
  return std::to_string(magnitude(duration).count()) + " ms";
}

}  // namespace

Duration middle_clock(std::vector<Duration> ahead) {
  ahead.emplace_back(0);
  std::ranges::sort(ahead);
  const Duration low = ahead[(ahead.size() - 1) / 2];
  const Duration high = ahead[ahead.size() / 2];
  return magnitude(low) < magnitude(high) ? low : high;
}

void ClockSkew::heard(NodeId peer, const ClockReading& reading, Duration round_trip, Time now) {
  if (reading.wall == 0 || reading.wall > wall_max) return;
  const MemberState state = membership_.state(peer);  // Evicted as well, if it is none.
  if (state == MemberState::left || state == MemberState::evicted) return;
  const Duration uncertain = round_trip / 2;
  samples_[peer] = {.ahead = to_duration(reading.wall) + uncertain - now.since_start,
                    .uncertain = uncertain,
                    .heard = now,
                    .fenced = reading.fenced};
}

ClockReading ClockSkew::reading(Time now) const {
  if (!own_ahead_) return {};
  const Duration wall = now.since_start + *own_ahead_;
  if (wall <= Duration{0}) return {};
  return {.wall = static_cast<WallMilliseconds>(wall.count()), .fenced = fenced_};
}

void ClockSkew::tick(WallMilliseconds wall, const Step& step) {
  if (wall == 0 || wall > wall_max) return;
  own_ahead_ = to_duration(wall) - step.now.since_start;
  forget_old_ones(step.now);
  const bool was_fenced = fenced_;
  const bool was_apart = apart_;
  judge();
  tell(was_fenced, was_apart, step);
}

// A round of probes comes to everybody in so many intervals.
void ClockSkew::forget_old_ones(Time now) {
  const auto members = static_cast<Duration::rep>(membership_.members().size());
  const Duration age_max = options_.clock_age_max + options_.probe_interval * members;
  const bool some_may_be_gone =
      std::exchange(members_seen_, membership_.changes()) != membership_.changes();
  std::erase_if(samples_, [&](const auto& entry) {
    if (now - entry.second.heard > age_max) return true;
    if (!some_may_be_gone) return false;
    const MemberState state = membership_.state(entry.first);
    return state == MemberState::left || state == MemberState::evicted;
  });
}

void ClockSkew::judge() {
  std::vector<Duration> ahead;
  std::vector<Duration> surely_ahead;
  std::size_t differ = 0;
  for (const auto& [node, sample] : samples_) {
    ahead.push_back(ahead_of_ours(sample));
    surely_ahead.push_back(surely(ahead.back(), sample.uncertain));
    differ += differs(ahead.back(), surely_ahead.back()) ? 1 : 0;
  }
  const std::size_t clocks = samples_.size() + 1;
  offset_ = clocks == 2 ? -ahead.front() : -middle_clock(ahead);
  const bool is_off = magnitude(middle_clock(surely_ahead)) > options_.max_clock_offset;
  const bool stays = fenced_ && magnitude(offset_) > well_within();
  fenced_ = clocks >= clocks_min && (is_off || stays) && !options_.mutate_no_fence;
  apart_ = !fenced_ && differ > 0 && 2 * differ >= clocks;
}

// What is measured sways: what is at the limit is not to come and go with it.
Duration ClockSkew::well_within() const {
  return std::max(options_.max_clock_offset * 3 / 4, Duration{1});
}

bool ClockSkew::differs(Duration ahead, Duration surely_ahead) const {
  return apart_ ? magnitude(ahead) > well_within()
                : magnitude(surely_ahead) > options_.max_clock_offset;
}

std::string clock_skew_explanation(Duration offset, Duration max_clock_offset) {
  return std::string(clock_skew_word) + "the clock of this node is " + milliseconds(offset) +
         (offset > Duration{0} ? " ahead of" : " behind") +
         " the clocks of the others, and more than " + milliseconds(max_clock_offset) +
         " (--max-clock-offset) is too much for writes; set the clock, with NTP for instance, or "
         "write to another node";
}

void ClockSkew::tell(bool was_fenced, bool was_apart, const Step& step) const {
  if (fenced_ && !was_fenced) {
    step.log(LogLevel::error, "no writes are taken from clients: " +
                                  clock_skew_explanation(offset_, options_.max_clock_offset));
  } else if (was_fenced && !fenced_) {
    step.log(LogLevel::info, "writes are taken from clients again: the clock of this node is " +
                                 milliseconds(offset_) + " from those of the others");
  }
  if (apart_ && !was_apart) {
    const auto furthest = std::ranges::max_element(
        samples_, {}, [this](const auto& entry) { return magnitude(ahead_of_ours(entry.second)); });
    const Member* member = membership_.find(furthest->first);
    step.log(LogLevel::warning,
             "the clocks of the nodes differ by up to " +
                 milliseconds(ahead_of_ours(furthest->second)) + " (node " +
                 (member == nullptr ? std::string("?") : member->name) +
                 "), and no majority says which are right; set them, with NTP for instance: of two "
                 "writes at about the same time the wrong one may win");
  } else if (was_apart && !apart_ && !fenced_) {
    step.log(LogLevel::info, "the clocks of the nodes agree again");
  }
}

std::map<NodeId, ClockSkew::PeerClock> ClockSkew::peers() const {
  std::map<NodeId, PeerClock> peers;
  if (!own_ahead_) return peers;
  for (const auto& [node, sample] : samples_)
    peers[node] = {.ahead = ahead_of_ours(sample), .fenced = sample.fenced};
  return peers;
}

}  // namespace dhrt
