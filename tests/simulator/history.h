// What clients were promised, and whether it was kept. The names are those of the invariants in
// cluster/README.md.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/context.h"
#include "storage/counter.h"
#include "storage/record.h"
#include "tests/simulator/network.h"

namespace dhrt::simulator {

class History {
 public:
  // A write got its dot: no other write may ever get the same (VEC). `seen`: by its node, the write
  // included. `joining`: its node was, and could not know what the others had deleted and
  // forgotten. `by_client`: or by the node itself, which repeats what is in other writes.
  void assigned(const CollectionRef& collection, const KeyedRecord& write, Context seen,
                bool joining, bool by_client);
  bool is_of_joiner(const std::string& collection, const Dot& write) const;
  // A node says that neither writer had seen the other's write (CONC).
  void conflicted(const CollectionRef& collection, const Dot& loser, const Dot& winner);
  // The client was told that the write is done.
  void acknowledged(NodeIndex coordinator, const std::string& collection, KeyedRecord write);
  // A client asked for `more` on a number; the result names it for addition_acknowledged().
  // `expires`: a deadline may take the number away.
  std::size_t added(const std::string& collection, const KeyedRecord& write, std::int64_t more,
                    bool expires);
  void addition_acknowledged(std::size_t addition) { additions_[addition].acknowledged = true; }
  // From now on numbers of the collection may be gone.
  void flush_began(const std::string& collection) { may_be_flushed_.insert(collection); }
  // Members are given up in this history, and deletes forgotten without them.
  void nodes_are_evicted() { nodes_are_evicted_ = true; }
  void flush_attempted(const std::string& collection, const Context& flushed);
  void flush_acknowledged(const std::string& collection, const Context& flushed);
  // The collection was dropped: nothing is owed for what it held.
  void dropped(const std::string& collection) { excused_.insert(collection); }

  bool excuses(const std::string& collection) const { return excused_.contains(collection); }

  using Find = std::function<std::optional<Record>(const std::string&, const std::string&)>;
  // What a client was shown, by its dot; absent: nobody made that in this life of the collection.
  std::optional<Record> made(const CollectionRef& collection, const std::string& key,
                             const Dot& dot) const;
  // Why a key of which `shown` was shown may be gone without a trace.
  enum class Gone {
    no,
    deleted,  // By a delete that is forgotten: then all know it who were not given up.
    flushed,  // Perhaps here, and not yet elsewhere.
  };
  Gone why_gone(const CollectionRef& collection, const std::string& key, const Record& shown) const;
  // The least delete above `shown`, if there is one.
  std::optional<Record> delete_above(const CollectionRef& collection, const std::string& key,
                                     const Record& shown) const;
  // Something older than what was shown is new to all who know what deleted that, and forgot it: a
  // joiner or a node that was given up brought it.
  bool may_have_come_late(const CollectionRef& collection, const std::string& key,
                          const Record& shown, const Dot& late) const;
  bool gives_up_nodes() const { return nodes_are_evicted_; }

  // DUR-1: what a coordinator acknowledged is there after its restart, or something greater is.
  void check_durable(NodeIndex coordinator, const Find& find);
  // NOLOSS and NORES: every acknowledged write or delete is there, or something greater is; or
  // the key is absent and was deleted by something greater.
  void check_final(const Find& find);

  // CTR: a number is what its base wrote and all that was acknowledged on top, and perhaps what was
  // not, or was counted later on what the base replaced; the base is no older than any acknowledged
  // set, delete, or base of an addition.
  void check_counters(const Find& find);

  void violated(const std::string& invariant, const std::string& what);
  const std::optional<std::string>& violation() const { return violation_; }

 private:
  struct Promise {
    NodeIndex coordinator = 0;
    std::string collection;
    KeyedRecord write;
  };
  void check_promise(const Promise& promise, const Find& find, const std::string& invariant);

  struct Addition {
    std::string collection;
    std::string key;
    Dot dot;
    Version version;
    CounterState::Base base;
    std::int64_t more = 0;
    std::uint64_t opened = 0;  // The cell that it came into.
    bool acknowledged = false;
  };
  void check_counter(const std::string& collection, const std::string& key,
                     const std::optional<Record>& held);
  bool was_folded(const Addition& addition) const;
  // What its base wrote; absent: it is not the newest set or delete that was acknowledged.
  std::optional<std::int64_t> number_of(const std::string& collection, const std::string& key,
                                        const CounterState& counter) const;

  std::vector<Promise> promises_;
  struct Made {
    std::uint32_t generation = 0;  // Of the collection.
    Record record;
    Context seen;  // By the node that made it.
    bool by_client = false;
  };
  // What is counted on where a base is all zero: nothing, or a delete that was forgotten, which is
  // the greatest below all cells; of an addition: that its node had seen.
  CounterState::Base base_of(const Addition& addition) const;
  CounterState::Base base_of(const std::string& collection, const std::string& key,
                             const CounterState& held) const;
  bool was_deleted(const Addition& addition) const;
  bool may_have_come_back(const std::string& collection, const std::string& key,
                          const CounterState::Base& base) const;
  bool was_counted_alone(const std::string& collection, const std::string& key,
                         const CounterState& held) const;
  CounterState::Base greatest_delete(
      const std::string& collection, const std::string& key,
      const std::function<bool(const Made&, const CounterState::Base&)>& counts) const;

  std::map<std::pair<CollectionRef, Dot>, Made> made_;
  std::map<std::string, Context> flushed_;
  std::map<std::string, Context> flushes_;  // Also those that were not acknowledged.
  std::map<std::pair<std::string, Dot>, std::pair<std::string, Version>> dots_;
  // Those of made_, by collection and key.
  std::map<std::pair<std::string, std::string>, std::vector<const Made*>> made_of_key_;
  std::map<std::string, Context> of_joiners_;
  bool nodes_are_evicted_ = false;
  std::set<std::string> excused_;
  std::set<std::string> may_be_flushed_;
  std::vector<Addition> additions_;
  std::set<std::pair<std::string, Dot>> dots_of_additions_;
  std::set<std::pair<std::string, std::string>> counters_;
  std::set<std::pair<std::string, std::string>> expiring_;
  std::map<std::pair<std::string, Dot>, Record> writes_;
  std::optional<std::string> violation_;
};

std::string describe(const std::optional<Record>& record);

}  // namespace dhrt::simulator
