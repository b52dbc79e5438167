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
  writes_[{collection.name, write.record.dot}] = write.record;
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

std::size_t History::added(const std::string& collection, const KeyedRecord& write,
                           std::int64_t more, bool expires) {
  const std::pair name{collection, write.key};
  counters_.insert(name);
  if (expires) expiring_.insert(name);
  dots_of_additions_.insert({collection, write.record.dot});
  const auto counter = counter_of(view_of(write.record));
  if (!counter) violated("CTR", "an addition to " + write.key + " is no counter");
  additions_.push_back({collection, write.key, write.record.version,
                        counter ? counter->base : CounterState::Base(), more});
  return additions_.size() - 1;
}

std::optional<std::int64_t> History::number_of(const std::string& collection,
                                               const std::string& key,
                                               const CounterState::Base& base) const {
  if (base == CounterState::Base()) return 0;
  const auto write = writes_.find({collection, base.dot});
  const auto place = dots_of_additions_.find({collection, base.dot});
  const bool is_of_key = write != writes_.end() && place == dots_of_additions_.end();
  if (!is_of_key || write->second.version != base.version) return std::nullopt;
  for (const Promise& promise : promises_) {
    const bool is_base = promise.collection == collection && promise.write.key == key &&
                         !dots_of_additions_.contains({collection, promise.write.record.dot});
    if (is_base && promise.write.record.version > base.version) return std::nullopt;
  }
  return write->second.deleted ? 0 : std::stoll(write->second.value);
}

void History::check_counter(const std::string& collection, const std::string& key,
                            const std::optional<Record>& held) {
  CounterState counter;
  std::int64_t value = 0;
  if (held) {
    const RecordView view = view_of(*held);
    counter.base = {held->version, held->deleted, held->dot};
    if (const auto known = counter_of(view)) counter = *known;
    if (!held->deleted) value = std::stoll(held->value);
  }
  const auto number = number_of(collection, key, counter.base);
  if (!number)
    return violated("CTR", "key " + key + " does not count on the newest set or delete, found " +
                               describe(held));
  std::int64_t least = *number;
  std::int64_t most = *number;
  for (const Addition& addition : additions_) {
    if (addition.collection != collection || addition.key != key) continue;
    const bool is_of_base = addition.base == counter.base;
    if (addition.acknowledged && counter.base < addition.base)
      return violated("CTR", "key " + key + " has lost what " + std::to_string(addition.more) +
                                 " was added to, found " + describe(held));
    if (!is_of_base && addition.version.hlc <= counter.base.version.hlc) continue;
    const bool is_owed = is_of_base && addition.acknowledged;
    if (is_owed || addition.more < 0) least += addition.more;
    if (is_owed || addition.more > 0) most += addition.more;
  }
  if (value >= least && value <= most) return;
  violated("CTR", "key " + key + " is " + std::to_string(value) + ", not from " +
                      std::to_string(least) + " to " + std::to_string(most) + ", found " +
                      describe(held));
}

void History::check_counters(const Find& find) {
  for (const auto& [collection, key] : counters_) {
    const bool is_owed = !excused_.contains(collection) && !may_be_flushed_.contains(collection) &&
                         !expiring_.contains({collection, key});
    if (is_owed) check_counter(collection, key, find(collection, key));
  }
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
