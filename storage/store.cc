// What a store on one thread need not think about: the ways in that spare copies and locks, made
// of those that do not.
#include "storage/store.h"

#include <utility>

namespace dhrt {

Status Collection::read(const HashedKey& key, FunctionRef<void(const RecordView*)> show) {
  const auto found = find(key.bytes);
  if (!found) return tl::unexpected(found.error());
  if (!*found) {
    show(nullptr);
    return {};
  }
  const RecordView view = view_of(**found);
  show(&view);
  return {};
}

bool Collection::settle_counts(CountCursor& /*at*/, std::size_t /*records_max*/) {
  return false;
}

void Collection::prefetch(const HashedKey& /*key*/) const {}

void Collection::prefetch_record(const HashedKey& /*key*/) const {}

std::uint64_t Collection::last_sequence(const Origin& origin) const {
  const Context context = seen();
  const IntervalSet* own = context.find(origin);
  return own == nullptr ? 0 : own->last();
}

Result<Position> Store::update(Collection& collection, const HashedKey& key, const Terms& terms,
                               Decide decide) {
  const auto held = collection.find(key.bytes);
  if (!held) return tl::unexpected(held.error());
  RecordView shown;
  if (*held) {
    shown = view_of(**held);
    shown.unseen = !collection.seen().contains(shown.dot);
  }
  RecordView put;
  if (!decide(*held ? &shown : nullptr, put)) return Position{0};
  Batch batch;
  if (terms.joins == Joins::seen) batch.seen.add(put.dot);
  batch.puts.push_back({std::string(key.bytes), copy_of(put)});
  return append(collection, std::move(batch));
}

}  // namespace dhrt
