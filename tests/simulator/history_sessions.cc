// What the history says of what clients of sessions were shown.
#include <algorithm>

#include "tests/simulator/history.h"

namespace dhrt::simulator {

std::optional<Record> History::made(const CollectionRef& collection, const std::string& key,
                                    const Dot& dot) const {
  const auto writes = made_of_key_.find({collection.name, key});
  if (writes == made_of_key_.end()) return std::nullopt;
  const auto found = std::ranges::find_if(writes->second, [&](const Made* one) {
    return one->generation == collection.generation && one->record.dot == dot;
  });
  return found == writes->second.end() ? std::nullopt : std::optional((*found)->record);
}

std::optional<Record> History::delete_above(const CollectionRef& collection, const std::string& key,
                                            const Record& shown) const {
  std::optional<Record> least;
  const auto writes = made_of_key_.find({collection.name, key});
  if (writes == made_of_key_.end()) return least;
  for (const Made* made : writes->second) {
    if (made->generation != collection.generation || !made->record.deleted) continue;
    if (compare(made->record, shown) < 0 || (least && newer(made->record, *least))) continue;
    least = made->record;
  }
  return least;
}

// A flush tells its dots only, and takes what is above others with them.
History::Gone History::why_gone(const CollectionRef& collection, const std::string& key,
                                const Record& shown) const {
  const auto flushed = flushes_.find(collection.name);
  const auto writes = made_of_key_.find({collection.name, key});
  const auto is_flushed = [&](const Made* made) {
    return made->generation == collection.generation && compare(made->record, shown) >= 0 &&
           flushed->second.contains(made->record.dot);
  };
  if (flushed != flushes_.end() && writes != made_of_key_.end() &&
      std::ranges::any_of(writes->second, is_flushed))
    return Gone::flushed;
  return delete_above(collection, key, shown) ? Gone::deleted : Gone::no;
}

bool History::may_have_come_late(const CollectionRef& collection, const std::string& key,
                                 const Record& shown, const Dot& late) const {
  if (!nodes_are_evicted_ && !is_of_joiner(collection.name, late)) return false;
  const auto flushed = flushes_.find(collection.name);
  const auto writes = made_of_key_.find({collection.name, key});
  return writes != made_of_key_.end() && std::ranges::any_of(writes->second, [&](const Made* made) {
           if (made->generation != collection.generation || compare(made->record, shown) < 0)
             return false;
           const bool is_flushed =
               flushed != flushes_.end() && flushed->second.contains(made->record.dot);
           if (is_flushed) return !flushed->second.contains(late);
           return made->record.deleted && !made->seen.contains(late);
         });
}

}  // namespace dhrt::simulator
