#include "tests/simulator/history.h"

#include <algorithm>
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

void History::assigned(const CollectionRef& collection, const KeyedRecord& write, Context seen,
                       bool joining, bool by_client) {
  if (joining) of_joiners_[collection.name].add(write.record.dot);
  const std::pair mine{write.key, write.record.version};
  const std::string life = collection.name + "/" + std::to_string(collection.generation);
  const auto [place, is_new] = dots_.try_emplace({life, write.record.dot}, mine);
  if (!is_new && place->second != mine)
    violated("VEC", "dot used twice: " + describe(write.record));
  writes_[{collection.name, write.record.dot}] = write.record;
  const auto [made, is_first] =
      made_.try_emplace({collection, write.record.dot},
                        Made{collection.generation, write.record, std::move(seen), by_client});
  if (is_first) made_of_key_[{collection.name, write.key}].push_back(&made->second);
}

bool History::is_of_joiner(const std::string& collection, const Dot& write) const {
  const auto joiners = of_joiners_.find(collection);
  return joiners != of_joiners_.end() && joiners->second.contains(write);
}

void History::conflicted(const CollectionRef& collection, const Dot& loser, const Dot& winner) {
  const auto saw = [&](const Dot& writer, const Dot& other) {
    const auto made = made_.find({collection, writer});
    return made != made_.end() && made->second.seen.contains(other);
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

void History::flush_attempted(const std::string& collection, const Context& flushed) {
  flushes_[collection].merge(flushed);
}

void History::flush_acknowledged(const std::string& collection, const Context& flushed) {
  flushed_[collection].merge(flushed);
}

void History::check_promise(const Promise& promise, const Find& find,
                            const std::string& invariant) {
  if (excused_.contains(promise.collection)) return;
  const auto held = find(promise.collection, promise.write.key);
  if (held && compare(*held, promise.write.record) >= 0) return;
  // Whatever is left of a delete may be older than it: of a record that came back after the delete
  // was forgotten, and was deleted once more. And a node that was given up, or joins, may write
  // what nobody had seen who forgot the delete: to them that is a new write.
  const bool absent = !held || held->deleted;
  const bool is_excused =
      nodes_are_evicted_ || (held && is_of_joiner(promise.collection, held->dot));
  const auto writes = made_of_key_.find({promise.collection, promise.write.key});
  const auto flushed = flushes_.find(promise.collection);
  const auto excuses = [&](const Made* made) {
    const bool is_flushed = flushed != flushes_.end() && flushed->second.contains(made->record.dot);
    if (compare(made->record, promise.write.record) < 0) return false;
    // What goes by itself leaves no tombstone that lasts.
    const bool goes = is_flushed || made->record.deadline != 0;
    const auto is_new = [&] {
      return is_excused && !(is_flushed && flushed->second.contains(held->dot));
    };
    if (!made->record.deleted) return goes && (absent || is_new());
    return absent || (is_excused && !made->seen.contains(held->dot));
  };
  if (writes != made_of_key_.end() && std::ranges::any_of(writes->second, excuses)) return;
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
  const CounterState state = counter ? *counter : CounterState();
  std::uint64_t opened = 0;
  for (const CounterCell& cell : state.cells) {
    const Origin& origin = write.record.dot.origin;
    if (cell.node == origin.node && cell.epoch == origin.epoch) opened = cell.opened;
  }
  additions_.push_back(
      {collection, write.key, write.record.dot, write.record.version, state.base, more, opened});
  return additions_.size() - 1;
}

CounterState::Base History::greatest_delete(
    const std::string& collection, const std::string& key,
    const std::function<bool(const Made&, const CounterState::Base&)>& counts) const {
  CounterState::Base found;
  const auto writes = made_of_key_.find({collection, key});
  if (writes == made_of_key_.end()) return found;
  for (const Made* made : writes->second) {
    if (!made->record.deleted || !made->by_client) continue;
    const CounterState::Base deleted{made->record.version, true, made->record.dot};
    if (found < deleted && counts(*made, deleted)) found = deleted;
  }
  return found;
}

namespace {

// Nothing in it was counted without knowing of the delete. Who joins brings what it had counted
// alone, and others go on with that.
bool is_below_cells(const CounterState::Base& deleted, const std::vector<CounterCell>& cells) {
  return std::ranges::all_of(
      cells, [&](const CounterCell& cell) { return deleted.version.hlc < cell.opened; });
}

// A delete that had been forgotten was written anew, with a dot of its own.
bool is_same(const CounterState::Base& one, const CounterState::Base& other) {
  return one == other || (one.deleted && other.deleted && one.version == other.version);
}

bool is_below_cells(const CounterState::Base& deleted, const Record& record) {
  const auto counter = counter_of(view_of(record));
  return !counter || is_below_cells(deleted, counter->cells);
}

}  // namespace

CounterState::Base History::base_of(const Addition& addition) const {
  const auto writes = made_of_key_.find({addition.collection, addition.key});
  if (addition.base != CounterState::Base() || writes == made_of_key_.end()) return addition.base;
  const auto made = std::ranges::find_if(
      writes->second, [&](const Made* one) { return one->record.dot == addition.dot; });
  if (made == writes->second.end()) return addition.base;
  return greatest_delete(addition.collection, addition.key,
                         [&](const Made& deleting, const CounterState::Base& deleted) {
                           return (*made)->seen.contains(deleting.record.dot) &&
                                  is_below_cells(deleted, (*made)->record);
                         });
}

CounterState::Base History::base_of(const std::string& collection, const std::string& key,
                                    const CounterState& held) const {
  if (held.base != CounterState::Base()) return held.base;
  return greatest_delete(collection, key, [&](const Made&, const CounterState::Base& deleted) {
    return is_below_cells(deleted, held.cells);
  });
}

// A node that was given up, or joins, brings what those had not seen who deleted the key and forgot
// that: to them it is a new write, also if it counts on what they had seen.
bool History::may_have_come_back(const std::string& collection, const std::string& key,
                                 const CounterState::Base& base) const {
  const bool is_excused = nodes_are_evicted_ || is_of_joiner(collection, base.dot);
  const auto writes = made_of_key_.find({collection, key});
  return is_excused && writes != made_of_key_.end() &&
         std::ranges::any_of(writes->second, [&](const Made* made) {
           const auto is_unseen = [&](const Addition& addition) {
             return addition.collection == collection && addition.key == key &&
                    addition.base == base && !made->seen.contains(addition.dot);
           };
           return made->record.deleted && base.version < made->record.version &&
                  (!made->seen.contains(base.dot) || std::ranges::any_of(additions_, is_unseen));
         });
}

// A node that was given up, or joins, had counted on nothing, which those had not seen who deleted
// the key, forgot that and counted on nothing, too: both is joined, as if there had been no delete.
bool History::was_counted_alone(const std::string& collection, const std::string& key,
                                const CounterState& held) const {
  const auto writes = made_of_key_.find({collection, key});
  if (held.base != CounterState::Base() || writes == made_of_key_.end()) return false;
  const auto is_held = [&held](const Addition& addition) {
    return std::ranges::any_of(held.cells, [&addition](const CounterCell& cell) {
      return cell.node == addition.dot.origin.node && cell.opened == addition.opened;
    });
  };
  const auto is_alone = [&](const Addition& addition) {
    return nodes_are_evicted_ || is_of_joiner(collection, addition.dot);
  };
  return std::ranges::any_of(additions_, [&](const Addition& addition) {
    return addition.collection == collection && addition.key == key && is_held(addition) &&
           is_alone(addition) && std::ranges::any_of(writes->second, [&](const Made* made) {
             return made->record.deleted && addition.opened < made->record.version.hlc &&
                    !made->seen.contains(addition.dot);
           });
  });
}

// By somebody who had seen it, in what is forgotten by now: what others had counted alone goes on.
bool History::was_deleted(const Addition& addition) const {
  return std::ranges::any_of(promises_, [&](const Promise& promise) {
    if (promise.collection != addition.collection || promise.write.key != addition.key ||
        !promise.write.record.deleted)
      return false;
    const auto writes = made_of_key_.find({addition.collection, addition.key});
    return writes != made_of_key_.end() &&
           std::ranges::any_of(writes->second, [&](const Made* made) {
             return made->record.dot == promise.write.record.dot &&
                    made->seen.contains(addition.dot);
           });
  });
}

// Into a cell that was opened earlier, and goes with whatever takes that.
bool History::was_folded(const Addition& addition) const {
  const auto writes = made_of_key_.find({addition.collection, addition.key});
  const auto has_folded_it = [&addition](const CounterCell& cell) {
    const Origin& origin = addition.dot.origin;
    return cell.from < cell.epoch && cell.node == origin.node && cell.from <= origin.epoch &&
           origin.epoch <= cell.epoch;
  };
  return writes != made_of_key_.end() && std::ranges::any_of(writes->second, [&](const Made* made) {
           const auto counter = counter_of(view_of(made->record));
           return counter && std::ranges::any_of(counter->cells, has_folded_it);
         });
}

std::optional<std::int64_t> History::number_of(const std::string& collection,
                                               const std::string& key,
                                               const CounterState& counter) const {
  const CounterState::Base& base = counter.base;
  if (base == CounterState::Base()) return 0;
  const auto write = writes_.find({collection, base.dot});
  const auto place = dots_of_additions_.find({collection, base.dot});
  const bool is_of_key = write != writes_.end() && place == dots_of_additions_.end();
  if (!is_of_key || write->second.version != base.version) return std::nullopt;
  for (const Promise& promise : promises_) {
    const Record& asked = promise.write.record;
    const bool is_base = promise.collection == collection && promise.write.key == key &&
                         !dots_of_additions_.contains({collection, asked.dot});
    if (!is_base || asked.version <= base.version) continue;
    // Who forgot a delete counts on nothing, and what that meets may have the base of an older one.
    const bool is_forgotten = base.deleted && asked.deleted && !counter.cells.empty() &&
                              is_below_cells({asked.version, true, asked.dot}, counter.cells);
    if (!is_forgotten) return std::nullopt;
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
  if (was_counted_alone(collection, key, counter)) return;
  counter.base = base_of(collection, key, counter);
  if (may_have_come_back(collection, key, counter.base)) return;
  const auto number = number_of(collection, key, counter);
  if (!number)
    return violated("CTR", "key " + key + " does not count on the newest set or delete, found " +
                               describe(held));
  std::int64_t least = *number;
  std::int64_t most = *number;
  for (const Addition& addition : additions_) {
    if (addition.collection != collection || addition.key != key) continue;
    if (counter.base == CounterState::Base() && was_deleted(addition)) continue;
    const CounterState::Base base = base_of(addition);
    // What somebody counted on a delete that is forgotten, and what a joiner had counted alone, are
    // joined: both count on nothing. So is what was opened after the base, on an older one.
    const bool is_later = base < counter.base && counter.base.version.hlc < addition.opened;
    const bool is_of_base = is_same(base, counter.base) || is_later ||
                            std::max(addition.base, counter.base) == CounterState::Base();
    if (!is_of_base && addition.acknowledged && counter.base < base)
      return violated("CTR", "key " + key + " has lost what " + std::to_string(addition.more) +
                                 " was added to, found " + describe(held));
    if (!is_of_base && addition.version.hlc <= counter.base.version.hlc) continue;
    // A node that was given up counted on the old number, which nobody else had any more, in a cell
    // that is older than the delete; when the delete is made anew, the cell goes with it.
    const bool is_old = nodes_are_evicted_ && !is_same(addition.base, counter.base) &&
                        addition.opened < counter.base.version.hlc;
    const bool is_owed =
        is_of_base && addition.acknowledged && !is_old && !(is_later && was_folded(addition));
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
