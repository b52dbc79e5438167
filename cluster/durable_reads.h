// What this node answers to reads that compare several answers: only what is durable here; and
// what it takes in because it lacked it.
//
// Intuition: what is answered may be stored at other nodes, and counts as being here. What a power
// cut could still take back would then be held elsewhere under a dot that is in nobody's context,
// and nothing would ever bring it to the rest. So an answer waits until the dot that it shows is in
// the durable context, or is one that was stored here for a reader (whose dot joins the context
// then, so that it is durable also after the next start). What a flush deleted is shown as deleted
// when the flush is durable.
//
// Bounds: reads_max waiting answers, durable_reads_bytes_max of what they show (beyond, the key is
// read again), stored_dots_max remembered dots. Threads: loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cluster/actions.h"
#include "cluster/options.h"
#include "cluster/synchronizer.h"

namespace dhrt {

class DurableReads {
 public:
  // Tells its answers apart from those that others wait for.
  static constexpr Token token_bit = Token{1} << 63;
  static bool is_own(Token token) { return (token & token_bit) != 0; }

  // Whose question it is; absent: this node's own.
  struct Asker {
    std::optional<ConnectionId> connection;
    std::uint64_t request = 0;
  };
  struct Answer {
    Asker asker;
    std::uint32_t generation = 0;
    std::optional<Record> record;
    Forgotten forgotten{};
  };
  struct Stored {
    Asker asker;
    bool stored = false;
  };

  DurableReads(const ClusterOptions& options, const Synchronizer& synchronizer)
      : options_(options), synchronizer_(synchronizer) {}

  void read(const Asker& asker, const DurableRead& read, const Step& step);
  // What can be answered now: none or one.
  std::vector<Answer> local_read(const LocalRead& read);
  std::vector<Answer> store_changed(const CollectionRef& collection, const Step& step);
  void collection_gone(const CollectionRef& collection);
  void store(const Asker& asker, const StoreRecord& store, const Step& step);
  std::optional<Stored> applied(const Applied& applied, const Step& step);
  std::vector<Answer> tick(const Step& step);

 private:
  struct Asked {
    Asker asker;
    std::string collection;
    std::string key;
    ReadWant want = ReadWant::value;
    Time until;
  };
  struct Waiting {
    Asked asked;
    Answer answer;  // Without a record: there was no room for it.
    bool flushed = false;
    std::size_t bytes = 0;
  };
  // By the dot that is shown.
  using OfCollection = std::map<Dot, std::vector<Waiting>>;
  struct Storing {
    Asker asker;
    CollectionRef collection;
    Dot dot;
    bool merging = false;  // It is durable, and its dot on the way into the context.
  };
  using StoredDot = std::pair<CollectionRef, Dot>;
  bool is_durable(const CollectionRef& collection, const Dot& dot, bool flushed) const;
  void ask(Asked asked, const Step& step);
  void wait(const CollectionRef& collection, Waiting waiting, const Dot& dot);
  void forget(const Waiting& waiting);
  std::vector<Answer> look(const CollectionRef& collection, bool looks_at_all, const Step& step);
  // Takes those out that are durable now.
  std::vector<Waiting> take_durable(const CollectionRef& collection, OfCollection& waiting,
                                    bool looks_at_all);
  void remember(StoredDot stored);

  const ClusterOptions& options_;
  const Synchronizer& synchronizer_;
  Token tokens_ = 0;
  std::map<Token, Asked> asked_;
  std::map<CollectionRef, OfCollection> waiting_;
  std::size_t waiting_count_ = 0;
  std::size_t waiting_bytes_ = 0;
  std::map<Token, Storing> storing_;
  std::deque<StoredDot> stored_order_;
  std::set<StoredDot> stored_;
};

}  // namespace dhrt
