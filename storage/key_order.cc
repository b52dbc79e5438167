#include "storage/key_order.h"

#include <algorithm>
#include <cstdint>

#include "storage/hashed_key.h"

namespace dhrt {

namespace {

// How many bytes all keys begin with.
std::size_t shared_bytes(const std::vector<Entry*>& entries) {
  if (entries.empty()) return 0;
  const Bytes first = entries.front()->key();
  std::size_t shared = first.size();
  for (const Entry* const entry : entries) {
    const Bytes key = entry->key().substr(0, shared);
    const auto differs = std::ranges::mismatch(first.substr(0, shared), key);
    shared = static_cast<std::size_t>(differs.in2 - key.begin());
  }
  return shared;
}

}  // namespace

// Most comparisons are of the bytes that stand beside the pointer: looking at two entries costs
// two waits for memory.
void KeyOrder::build(std::vector<Entry*> entries) {
  struct Item {
    std::uint64_t begin;  // Of what the keys do not share.
    Entry* entry;
  };
  const std::size_t shared = shared_bytes(entries);
  std::vector<Item> items;
  items.reserve(entries.size());
  for (Entry* const entry : entries)
    items.push_back({begin_of(entry->key().substr(shared)), entry});
  std::ranges::sort(items, [](const Item& left, const Item& right) {
    return left.begin != right.begin ? left.begin < right.begin
                                     : Before()(*left.entry, *right.entry);
  });
  for (std::size_t i = 0; i < items.size(); ++i)
    entries[i] = items[i].entry;
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
