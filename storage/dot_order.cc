#include "storage/dot_order.h"

#include <algorithm>

namespace dhrt {

namespace {

std::optional<std::uint64_t> next_present(const IntervalSet& set, std::uint64_t from) {
  const auto found = std::ranges::lower_bound(set.intervals(), from, {}, &Interval::last);
  if (found == set.intervals().end()) return std::nullopt;
  return std::max(found->first, from);
}

}  // namespace

Dot next_absent(const Context& context, const Dot& from) {
  const IntervalSet* set = context.find(from.origin);
  if (set == nullptr) return from;
  return {from.origin, set->next_absent(from.sequence)};
}

std::optional<Dot> next_present(const Context& context, const Dot& from) {
  const auto& origins = context.origins();
  for (auto it = origins.lower_bound(from.origin); it != origins.end(); ++it) {
    const std::uint64_t first = it->first == from.origin ? from.sequence : 0;
    if (const auto sequence = next_present(it->second, first)) return Dot{it->first, *sequence};
  }
  return std::nullopt;
}

std::optional<Dot> first_not_in(const Context& excluded, const Dot& from, const SeekDot& seek) {
  std::optional<Dot> dot = seek(from);
  while (dot) {
    const Dot wanted = next_absent(excluded, *dot);
    if (wanted == *dot) break;
    dot = seek(wanted);
  }
  return dot;
}

std::optional<Dot> first_between(const Context& wanted, const Context& excluded, const Dot& from,
                                 const SeekDot& seek) {
  std::optional<Dot> next = next_present(wanted, from);
  while (next) {
    const Dot open = next_absent(excluded, *next);
    if (open != *next) {
      next = next_present(wanted, open);
      continue;
    }
    const std::optional<Dot> held = seek(*next);
    if (!held || *held == *next) return held;
    next = next_present(wanted, *held);
  }
  return std::nullopt;
}

}  // namespace dhrt
