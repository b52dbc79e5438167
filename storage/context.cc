#include "storage/context.h"

#include <algorithm>
#include <limits>

#include "storage/base/hash.h"

namespace dhrt {

namespace {

// The first interval whose end is at or behind `sequence`.
auto find_interval(const std::vector<Interval>& intervals, std::uint64_t sequence) {
  return std::ranges::lower_bound(intervals, sequence, {}, &Interval::last);
}

constexpr std::size_t interval_bytes_min = 2;
constexpr std::size_t origin_bytes_min = 8 + 4 + 2 + 1;

}  // namespace

bool IntervalSet::contains(std::uint64_t sequence) const {
  const auto found = find_interval(intervals_, sequence);
  return found != intervals_.end() && found->first <= sequence;
}

bool IntervalSet::contains(const IntervalSet& other) const {
  return std::ranges::all_of(other.intervals_, [this](const Interval& theirs) {
    const auto ours = find_interval(intervals_, theirs.last);
    return ours != intervals_.end() && ours->first <= theirs.first;
  });
}

bool IntervalSet::add(std::uint64_t sequence) {
  // The common case by far: the next number of an origin without gaps.
  if (!intervals_.empty() && intervals_.back().last + 1 == sequence) {
    intervals_.back().last = sequence;
    return true;
  }
  if (contains(sequence)) return false;
  add(Interval{sequence, sequence});
  return true;
}

void IntervalSet::add(Interval interval) {
  // Everything that overlaps or touches the new interval melts into it.
  const std::uint64_t before = interval.first == 0 ? 0 : interval.first - 1;
  const auto begin = find_interval(intervals_, before);
  auto end = begin;
  while (end != intervals_.end() &&
         (end->first <= interval.last || end->first - 1 == interval.last)) {
    interval.first = std::min(interval.first, end->first);
    interval.last = std::max(interval.last, end->last);
    ++end;
  }
  const auto place = intervals_.erase(begin, end);
  intervals_.insert(place, interval);
}

void IntervalSet::add(const IntervalSet& other) {
  for (const Interval& interval : other.intervals_)
    add(interval);
}

std::uint64_t IntervalSet::size() const {
  std::uint64_t size = 0;
  for (const Interval& interval : intervals_)
    size += interval.last - interval.first + 1;
  return size;
}

void IntervalSet::intersect(const IntervalSet& other) {
  std::vector<Interval> both;
  auto ours = intervals_.begin();
  auto theirs = other.intervals_.begin();
  while (ours != intervals_.end() && theirs != other.intervals_.end()) {
    const Interval common{std::max(ours->first, theirs->first), std::min(ours->last, theirs->last)};
    if (common.first <= common.last) both.push_back(common);
    if (ours->last < theirs->last)
      ++ours;
    else
      ++theirs;
  }
  intervals_ = std::move(both);
}

std::uint64_t IntervalSet::next_absent(std::uint64_t from) const {
  const auto found = find_interval(intervals_, from);
  if (found == intervals_.end() || found->first > from) return from;
  return found->last + 1;
}

std::uint64_t IntervalSet::tip() const {
  if (intervals_.empty() || intervals_.front().first > 1) return 0;
  return intervals_.front().last;
}

bool Context::contains(const Dot& dot) const {
  const IntervalSet* set = find(dot.origin);
  return set != nullptr && set->contains(dot.sequence);
}

bool Context::contains(const Context& other) const {
  return std::ranges::all_of(other.origins_, [this](const auto& theirs) {
    const IntervalSet* ours = find(theirs.first);
    return ours != nullptr && ours->contains(theirs.second);
  });
}

bool Context::add(const Dot& dot) {
  return origins_[dot.origin].add(dot.sequence);
}

void Context::merge(const Context& other) {
  for (const auto& [origin, set] : other.origins_)
    origins_[origin].add(set);
}

void Context::intersect(const Context& other) {
  for (auto it = origins_.begin(); it != origins_.end();) {
    const IntervalSet* theirs = other.find(it->first);
    it->second.intersect(theirs == nullptr ? IntervalSet() : *theirs);
    it = it->second.empty() ? origins_.erase(it) : std::next(it);
  }
}

std::uint64_t Context::count_beyond(const Context& other) const {
  std::uint64_t count = 0;
  for (const auto& [origin, dots] : origins_) {
    IntervalSet common = dots;
    const IntervalSet* theirs = other.find(origin);
    common.intersect(theirs == nullptr ? IntervalSet() : *theirs);
    count += dots.size() - common.size();
  }
  return count;
}

bool Context::knows_later_epoch(const Origin& origin) const {
  // The last entry of this node carries its highest epoch.
  const auto after =
      origins_.upper_bound(Origin{origin.node, std::numeric_limits<std::uint32_t>::max(),
                                  std::numeric_limits<std::uint16_t>::max()});
  if (after == origins_.begin()) return false;
  const Origin& highest = std::prev(after)->first;
  return highest.node == origin.node && highest.epoch > origin.epoch;
}

const IntervalSet* Context::find(const Origin& origin) const {
  const auto found = origins_.find(origin);
  return found == origins_.end() ? nullptr : &found->second;
}

std::uint64_t Context::hash() const {
  std::string bytes;
  ByteWriter writer(bytes);
  encode(writer, *this);
  return hash64(bytes);
}

void encode(ByteWriter& writer, const Context& context) {
  writer.varint(context.origins().size());
  for (const auto& [origin, set] : context.origins()) {
    writer.u64(origin.node);
    writer.u32(origin.epoch);
    writer.u16(origin.loop);
    writer.varint(set.intervals().size());
    std::uint64_t end = 0;
    for (const Interval& interval : set.intervals()) {
      writer.varint(interval.first - end);
      writer.varint(interval.last - interval.first);
      end = interval.last;
    }
  }
}

Context decode_context(ByteReader& reader) {
  Context context;
  constexpr std::uint64_t sequence_max = std::numeric_limits<std::uint64_t>::max() - 1;
  for (std::size_t origins = reader.count(origin_bytes_min); origins > 0; --origins) {
    Origin origin;
    origin.node = reader.u64();
    origin.epoch = reader.u32();
    origin.loop = reader.u16();
    std::uint64_t end = 0;
    const std::size_t intervals = reader.count(interval_bytes_min);
    if (intervals == 0) reader.fail();
    for (std::size_t i = 0; i < intervals; ++i) {
      const std::uint64_t gap = reader.varint();
      const std::uint64_t length = reader.varint();
      // Sequences start at 1, and intervals that touch would have been one.
      const bool in_order = gap >= (i == 0 ? 1U : 2U);
      const bool in_range = gap <= sequence_max - end && length <= sequence_max - end - gap;
      if (!reader.ok() || !in_order || !in_range) {
        reader.fail();
        return {};
      }
      const Interval interval{end + gap, end + gap + length};
      context.add(origin, interval);
      end = interval.last;
    }
  }
  return context;
}

}  // namespace dhrt
