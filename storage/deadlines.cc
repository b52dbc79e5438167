#include "storage/deadlines.h"

namespace dhrt {

void Deadlines::add(Entry& entry) {
  if (entry.deadline() != 0) entries_.insert(entry);
}

void Deadlines::remove(const Entry& entry) {
  if (entry.deadline() != 0) entries_.remove(entry);
}

WallMilliseconds Deadlines::next() const {
  const Entry* const first = entries_.first();
  return first == nullptr ? 0 : first->deadline();
}

bool Deadlines::take_due(WallMilliseconds now, std::size_t entries_max, std::vector<Entry*>& due) {
  const auto is_due = [&] {
    const Entry* const first = entries_.first();
    return first != nullptr && first->deadline() <= now;
  };
  for (; entries_max > 0 && is_due(); --entries_max) {
    due.push_back(entries_.first());
    entries_.remove(*due.back());
  }
  return is_due();
}

}  // namespace dhrt
