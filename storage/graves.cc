#include "storage/graves.h"

namespace dhrt {

void Graves::find(OriginAlias origin, Interval interval, std::uint64_t hlc_max,
                  std::size_t entries_max, std::vector<Entry*>& found) const {
  const auto first = order({origin, interval.first});
  const auto before = [&](const Entry& entry) { return order(entry.dot()) < first; };
  entries_.visit_from(before, [&](Entry& entry) {
    const AliasDot dot = entry.dot();
    if (dot.origin != origin || dot.sequence > interval.last || found.size() >= entries_max)
      return false;
    // Few are ahead of the clock.
    if (entry.hlc() <= hlc_max) found.push_back(&entry);
    return true;
  });
}

}  // namespace dhrt
