#include "tests/simulator/history.h"

#include <utility>

namespace dhrt::simulator {

std::string describe(const std::optional<Record>& record) {
  if (!record) return "nothing";
  return std::string(record->deleted ? "tombstone" : "value") + " hlc " +
         std::to_string(record->version.hlc) + " node " + std::to_string(record->version.node) +
         " dot " + std::to_string(record->dot.origin.node) + "." +
         std::to_string(record->dot.origin.epoch) + "." + std::to_string(record->dot.sequence);
}

void History::violated(const std::string& invariant, const std::string& what) {
  if (!violation_) violation_ = invariant + ": " + what;
}

void History::assigned(const CollectionRef& collection, const KeyedRecord& write) {
  const std::pair mine{write.key, write.record.version};
  const std::string life = collection.name + "/" + std::to_string(collection.generation);
  const auto [place, is_new] = dots_.try_emplace({life, write.record.dot}, mine);
  if (!is_new && place->second != mine)
    violated("VEC", "dot used twice: " + describe(write.record));
  if (!write.record.deleted) return;
  Record& greatest = deletes_[{collection.name, write.key}];
  if (newer(write.record, greatest)) greatest = write.record;
}

void History::conflicted(const CollectionRef& collection, const Dot& loser, const Dot& winner) {
  const auto saw = [&](const Dot& writer, const Dot& other) {
    const auto seen = seen_.find({collection, writer});
    return seen != seen_.end() && seen->second.contains(other);
  };
  const auto text = [](const Dot& dot) {
    return std::to_string(dot.origin.node) + "." + std::to_string(dot.origin.epoch) + "." +
           std::to_string(dot.sequence);
  };
  if (saw(winner, loser) || saw(loser, winner))
    violated("CONC", text(loser) + " and " + text(winner) + " are no conflict");
}

void History::acknowledged(NodeIndex coordinator, const std::string& collection,
                           KeyedRecord write) {
  promises_.push_back({coordinator, collection, std::move(write)});
}

void History::flush_acknowledged(const std::string& collection, const Context& flushed) {
  flushed_[collection].merge(flushed);
}

void History::check_promise(const Promise& promise, const Find& find,
                            const std::string& invariant) {
  if (excused_.contains(promise.collection)) return;
  const auto held = find(promise.collection, promise.write.key);
  if (held && compare(*held, promise.write.record) >= 0) return;
  const auto deleted = deletes_.find({promise.collection, promise.write.key});
  if (!held && deleted != deletes_.end() && compare(deleted->second, promise.write.record) >= 0)
    return;
  violated(invariant, "key " + promise.write.key + " of " + promise.collection +
                          " was acknowledged by node " + std::to_string(promise.coordinator) +
                          " as " + describe(promise.write.record) + ", found " + describe(held));
}

void History::check_durable(NodeIndex coordinator, const Find& find) {
  for (const Promise& promise : promises_) {
    if (promise.coordinator == coordinator) check_promise(promise, find, "DUR-1");
  }
}

void History::check_final(const Find& find) {
  for (const Promise& promise : promises_) {
    check_promise(promise, find, promise.write.record.deleted ? "NORES" : "NOLOSS");
    const auto flushed = flushed_.find(promise.collection);
    if (flushed == flushed_.end() || excused_.contains(promise.collection)) continue;
    const auto held = find(promise.collection, promise.write.key);
    if (held && !held->deleted && flushed->second.contains(held->dot))
      violated("NORES", "key " + promise.write.key + " was flushed, found " + describe(held));
  }
}

}  // namespace dhrt::simulator
