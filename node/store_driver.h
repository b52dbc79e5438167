// Carries out the core's storage actions on a store, and tells the core what became durable.
//
// Intuition: every event loop has a driver for the writes of its own clients. The loop of the core
// has the driver that carries out actions and talks to the core; the drivers of the others only
// collect news, which are brought to it.
// Node and simulator share it, so that the order proved in the simulator - store first, tell
// afterwards - is the order that runs: a local write is broadcast, a vector reported and a pull
// acknowledged only when the disk has it.
//
// Threads: those of the store. No clock, no socket.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "storage/base/function_ref.h"
#include "storage/catalog.h"
#include "storage/conflicts.h"
#include "storage/store.h"
#include "storage/writer.h"

namespace dhrt {

// What a peer says it has forgotten had no version above this: no clock is more than a year wrong,
// and who says so must not take the last version there is.
std::uint64_t believed_forgotten_hlc(std::uint64_t told, WallMilliseconds now);

struct StoreDriverOptions {
  // A mistake on purpose, which only the simulator makes: vectors are told before they are durable.
  bool mutate_report_early = false;
};

// What clients of a loop wrote and is durable now, for the core on another loop. The core's own
// store says which collections changed, whoever changed them.
struct StoreNews {
  std::vector<LocalWrites> writes;  // In the order made.

  bool empty() const { return writes.empty(); }
  void add(StoreNews later);
  // When nobody is to hear of every write: the last one says how far writing has come.
  void keep_last_writes();
};

class StoreDriver {
 public:
  // Live records go out in messages of about this size, so that pings fit between them.
  static constexpr std::size_t message_bytes = std::size_t{256} << 10;

  // And what belongs together in one of up to this, which is what one value may take.
  static constexpr std::size_t together_bytes = std::size_t{16} << 20;

  // All outlive the driver.
  StoreDriver(Store& store, Catalog& catalog, RecordWriter& writer, StoreDriverOptions options)
      : store_(store), catalog_(catalog), writer_(writer), options_(options) {}

  // Is shown the records that were written anywhere, when they are durable here if they are this
  // node's own, else when they are applied. For the driver of the core's loop; once, before it is
  // used.
  class Observer {
   public:
    Observer() = default;
    Observer(const Observer&) = delete;
    Observer& operator=(const Observer&) = delete;
    virtual ~Observer() = default;
    virtual bool wants(const CollectionRef& collection) const = 0;
    virtual void changed(Bytes key) = 0;  // In a collection that it wants.
    // Whether deletes in it are to be remembered, although all nodes of the cluster know them.
    virtual bool remembers_deletes(const CollectionRef& collection) const = 0;
  };
  void observe(Observer& observer) { observer_ = &observer; }

  // From now on writes that were lost to concurrent ones are counted, and kept where a collection
  // wants that. For the driver of the core's loop; once, before it is used.
  void note_conflicts() { conflicts_.emplace(catalog_, writer_); }
  const std::map<std::string, std::uint64_t>& conflicts() const;

  // Tells the core what the store holds. Call once, before anything else.
  void announce(std::vector<Input>& inputs);
  // Carries out a storage action; false: it is none. Answers that are ready at once go to
  // `inputs`, the others come with a later collect().
  bool perform(const Action& action, WallMilliseconds now, std::vector<Input>& inputs);

  // A client's write or flush was made through the writer; peers hear of it when it is durable.
  // `previous` is what it replaced, if that was looked at.
  void wrote(const Collection& collection, Bytes key, const RecordView& record,
             const std::optional<Dot>& previous, Position position);
  void wrote(const Collection& collection, const KeyedRecord& entry, Position position) {
    wrote(collection, entry.key, view_of(entry.record), entry.record.previous, position);
  }
  void flushed(const Collection& collection, Context context, Position position);
  // The writer took in records of this collection: peers hear of what it joined on the way.
  void took_in(const Collection& collection);
  // Writes what was lost to a concurrent write in what was taken in just now, where it is to be
  // kept.
  void keep_losers(Collection& collection, WallMilliseconds now);

  // Writes between these two, of one turn, go out in one message per collection, so that a peer
  // applies them in one turn; more than together_bytes of them, or of more than 256 collections, in
  // several.
  void begin_together();
  void end_together() { together_from_.reset(); }

  // Every local write is durable and was told.
  bool settled() const { return local_.empty() && open_.empty(); }

  // Notes what became durable, tells the core, and says up to which position that is.
  // Call when the store wakes, and at the end of a turn after Store::commit().
  Position collect(std::vector<Input>& inputs);
  // The same on a loop without the core: adds to `news`, to be given to the driver that has it.
  Position collect(StoreNews& news);
  // News of another loop; the next collect() tells them.
  void bring(StoreNews news) { brought_.add(std::move(news)); }

 private:
  void show(const CollectionRef& collection, const RecordBatch& records) const;
  void apply(const ApplyWrite& action, WallMilliseconds now, std::vector<Input>& inputs);
  Result<Position> put_by_group(Collection& collection, const RecordBatch& records,
                                FunctionRef<Result<Position>()> put);
  Result<Position> push(Collection& collection, const RecordBatch& records, WallMilliseconds now,
                        bool may_join);
  void apply(const ApplyRecords& action, WallMilliseconds now, std::vector<Input>& inputs);
  void merge(const MergeContext& action, WallMilliseconds now, std::vector<Input>& inputs);
  void read(const ReadLocal& action, std::vector<Input>& inputs);
  void walk(const WalkLocal& action, std::vector<Input>& inputs);
  void list(const RangeLocal& action, std::vector<Input>& inputs);
  void fetch(const FetchLocal& action, std::vector<Input>& inputs);
  void mend(const MendRecords& action, WallMilliseconds now, std::vector<Input>& inputs);
  void forget(const ForgetTombstones& action, WallMilliseconds now);
  // Null: not in that generation.
  Collection* find(const CollectionRef& ref);
  static void settle(std::multimap<Position, Token>& applying, Token token,
                     const Result<Position>& position, std::vector<Input>& inputs);
  static void take_applied(std::multimap<Position, Token>& applying, Position stored,
                           std::vector<Input>& inputs);
  StoreChanged changed(const Collection& collection) const;

  Store& store_;
  Catalog& catalog_;
  RecordWriter& writer_;
  StoreDriverOptions options_;
  Observer* observer_ = nullptr;  // Null: nobody wants to know.
  std::optional<Conflicts> conflicts_;
  // Writes of one collection, as many as go out in one message.
  struct Local {
    CollectionRef collection;
    RecordBatch records;
    Context flushed;
    Position last = 0;
  };
  // The one that so many bytes more of a collection go to; 0: the last one, however full.
  Local& open(const Collection& collection, std::size_t bytes);
  void close_all();
  std::optional<std::size_t> together_from_;  // Of open_: what was opened since begin_together().
  std::vector<Local> open_;  // Of this turn; what is written goes to the last of its collection.
  std::deque<Local> local_;  // Of earlier ones: not durable yet, hence not told. By position.
  std::vector<KeyedView> pushed_;  // Of the write that is being applied.
  std::multimap<Position, Token> applying_;
  std::multimap<Position, Token> applying_slices_;  // For which a peer waits before it goes on.
  StoreNews brought_;
};

}  // namespace dhrt
