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

}  // namespace dhrt
