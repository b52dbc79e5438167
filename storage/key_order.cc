#include "storage/key_order.h"

#include <algorithm>

namespace dhrt {

void KeyOrder::build(std::vector<Entry*> entries) {
  std::ranges::sort(entries,
                    [](const Entry* left, const Entry* right) { return Before()(*left, *right); });
  entries_.assign(entries);
}

void KeyOrder::insert(Entry& entry) {
  entries_.insert(entry);
}

void KeyOrder::remove(const Entry& entry) {
  entries_.remove(entry);
}

void KeyOrder::replace(const Entry& old, Entry& next) {
  if (!entries_.replace(old, next)) entries_.insert(next);
}

void KeyOrder::visit(Bytes from, Bytes prefix, FunctionRef<bool(Entry&)> visit_entry) const {
  const Bytes first = std::max(from, prefix);
  const auto before = [&](const Entry& entry) { return entry.key() < first; };
  entries_.visit_from(
      before, [&](Entry& entry) { return entry.key().starts_with(prefix) && visit_entry(entry); });
}

}  // namespace dhrt
