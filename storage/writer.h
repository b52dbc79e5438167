// The one place that assigns version, dot and context, and that decides what a record from a
// peer does to the record held here. Client loops, the cluster core's apply actions and the
// simulator all write through it, so that what is proved is what runs.
//
// Five ways in, one per way a record travels:
//   write    a client's set or delete, on this node
//   push     live from the node that wrote it: the dot test makes it idempotent
//   pull     on request from any peer: by version, and without entering the context one by
//            one; the puller merges the peer's vector when the last record is in (merge)
//   mend     by comparison with a peer, key by key: what we have seen and do not hold was deleted
//   flush    "everything seen so far is deleted", here or at a peer
//
// Threads: those of the store. Time is an argument.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/result.h"
#include "storage/counter.h"
#include "storage/hlc.h"
#include "storage/store.h"

namespace dhrt {

// What a change puts in the place of a record. Borrows; what it borrows lives until the change is
// made: in the record that was shown, or with whoever decides.
struct Change {
  Bytes value;
  Bytes attributes;
  WallMilliseconds deadline = 0;
  bool deletes = false;
  // The value is the number that was there and so much more: it counts beside what is added
  // elsewhere (storage/counter.h).
  std::optional<std::int64_t> adds;
};

// Borrows what it names; none of it is copied on the way to the store.
struct WriteRequest {
  Bytes key;
  std::uint64_t hash = 0;  // hash64(key), from who has it already; 0 = not taken yet.
  bool deletes = false;
  Bytes value;
  Bytes attributes;
  WallMilliseconds deadline = 0;
  // Nobody asks for what Written says of the record before: it need not be read from a file.
  // Without a condition and not a delete.
  bool blind = false;
  bool if_absent = false;
  std::optional<Version> if_version;
  // The write also beats this version, seen elsewhere in the cluster.
  std::uint64_t above_hlc = 0;
};

struct Written {
  Position position = 0;
  Version version;
  Dot dot;
  bool existed = false;  // A visible record was there before.
  WallMilliseconds deadline = 0;
  WallMilliseconds created = 0;  // As in Record; created_unknown: a blind write did not look.
  std::optional<Dot> previous;   // What was held before, visible or not, if it was looked at.
};

// A write of this node that joins two records of a counter; peers are to hear of it.
struct Joined {
  KeyedRecord entry;
  Position position = 0;
};

struct WriterOptions {
  CounterMistake mistake = CounterMistake::none;
};

// The record that a write made, for those who tell peers of it. Borrows from `request`.
RecordView view_of(const WriteRequest& request, const Written& written);
// A copy of it.
Record record_of(const WriteRequest& request, const Written& written);
// The same into a record whose memory is used again.
void copy_record(const WriteRequest& request, const Written& written, Record& record);

// Hears of writes that lost against a concurrent one (storage/conflicts.h). Called when the record
// that won is in; it may not call the store or the writer.
class ConflictSink {
 public:
  ConflictSink() = default;
  ConflictSink(const ConflictSink&) = delete;
  ConflictSink& operator=(const ConflictSink&) = delete;
  virtual ~ConflictSink() = default;
  // Whether it wants to have what is lost in this collection.
  virtual bool keeps(const Collection& collection) const = 0;
  struct Lost {
    Bytes key;
    Dot loser;
    Dot winner;
  };
  // `record` is the loser's, absent unless it does.
  virtual void lost(const Collection& collection, const Lost& lost,
                    std::optional<Record> record) = 0;
};

class RecordWriter {
 public:
  // `store` and `clock` outlive the writer. `origin` is this node, this start, this loop.
  RecordWriter(Store& store, HybridClock& clock, Origin origin, WriterOptions options = {})
      : store_(store), clock_(clock), origin_(origin), options_(options) {}

  // precondition: if_absent or if_version does not hold; the message names the version held.
  // Another loop may write the same key meanwhile: which of the two came first is decided once.
  Result<Written> write(Collection& collection, const WriteRequest& request, WallMilliseconds wall);
  // Reads and writes a key in one step. `decide` sees the visible record, or null, and the change
  // that would leave everything as it is; it makes another of it, or says false: nothing is written
  // then, and the result is absent. It may be called more than once, holds a lock, and may not call
  // the store. corrupt: the record is damaged here, so that nobody knows what it was.
  using Decide = FunctionRef<bool(const RecordView* held, Change& change)>;
  Result<std::optional<Written>> change(Collection& collection, const HashedKey& key,
                                        WallMilliseconds wall, Decide decide);
  // Records that their origin sent live. Those of an epoch that is over are refused silently.
  // `may_join` is false if nobody knows yet what the origin had seen of ours: what it deleted and
  // forgot must not be counted again. A record that would have to be joined is then as if it had
  // not come; the comparison brings it, and says what had been seen.
  Result<Position> push(Collection& collection, std::span<const KeyedView> records,
                        WallMilliseconds wall, bool may_join = true);
  // One that was seen and is not held was deleted, and its delete forgotten: it stays away.
  Result<Position> pull(Collection& collection, const std::vector<KeyedRecord>& records,
                        WallMilliseconds wall);
  // The same of a donor that says what it had seen of all nodes' writes, which must cover the
  // records of its own among these.
  struct Donor {
    NodeId node = 0;  // 0: nobody says.
    const Context* vector = nullptr;
  };
  Result<Position> pull(Collection& collection, const std::vector<KeyedRecord>& records,
                        WallMilliseconds wall, const Donor& donor);
  // A copy from elsewhere of a record that is damaged here, perhaps beyond recognition.
  Result<Position> heal(Collection& collection, const KeyedRecord& record, WallMilliseconds wall);
  // Records that a comparison found to be missing here, or newer than what is held. `captured` is
  // our durable context from before the first of them was compared. A live one whose dot is in it
  // was seen here and deleted, and the delete is forgotten by now: a tombstone with its version and
  // a dot of ours takes its place, here and, by telling peers of it, everywhere. Any other is put
  // if it is newer. (storage/README.md, Deletes.)
  // The position is that of the last that was written: when it is durable, all is.
  // `seen_there`: what the sender had durably before it read these.
  Result<Position> mend(Collection& collection, const std::vector<KeyedRecord>& records,
                        const Context& captured, const Context& seen_there, WallMilliseconds wall);
  Result<Position> mend(Collection& collection, std::span<const KeyedView> records,
                        const Context& captured, const Context& seen_there, WallMilliseconds wall);
  // The end of a pull: the peer's vector, of which everything is held or known to be deleted.
  Result<Position> merge(Collection& collection, const Context& vector);
  // Deletes everything seen here; the result is what was flushed, for the peers.
  Result<Context> flush(Collection& collection);
  Result<Position> apply_flush(Collection& collection, const Context& flushed);

  // The attributes of the last change that said what it `adds`. Valid until the next one.
  Bytes counted_attributes() const { return attributes_; }
  // What push(), pull(), heal() and mend() of this collection wrote of their own since the last
  // call.
  std::vector<Joined> take_joined() { return std::exchange(joined_, {}); }
  // How many of these there ever were.
  std::uint64_t joins() const { return joins_; }

  const Origin& origin() const { return origin_; }
  // Null: nobody wants to know. It outlives the writer, or says so before it ends.
  void tell_conflicts_to(ConflictSink* sink) { conflicts_ = sink; }
  ConflictSink* conflict_sink() const { return conflicts_; }

 private:
  // What a write does once it is decided: fills in `written` and `put`.
  void make(const RecordView* held, const Change& change, bool existed, std::uint64_t above_hlc,
            WallMilliseconds wall, Written& written, RecordView& put) const;
  Result<Written> finish(Collection& collection, Written written, Position position,
                         WallMilliseconds wall, bool replaces_unseen);
  struct Put {
    Position position = 0;        // 0: what is held is newer.
    std::optional<Dot> replaced;  // A dot that was not in the context.
    bool is_missed = false;       // It counts as not received: it will be sent again.
    enum class Lost : std::uint8_t { nothing, incoming, held };
    Lost lost = Lost::nothing;      // Against a write that was concurrent.
    Dot held;                       // Beside the incoming one, if one of them was lost.
    std::optional<Record> loser;    // If somebody keeps it.
    bool must_join = false;         // Nothing was put: each has something of a counter.
    bool joined = false;            // What was put is a write of our own that has both.
    bool must_delete_anew = false;  // Nothing was put: a delete that was forgotten came again.
  };
  // How records came in, and what that proves.
  struct Arrival {
    WallMilliseconds wall = 0;
    bool live = false;
    bool may_join = true;
    bool heals = false;  // What is not held may have been lost, seen or not.
    bool keeps = false;  // What is lost to a concurrent write is wanted.
    Donor donor{};
    // By the sender, durably, before it read the records; null: nobody says.
    const Context* seen_there = nullptr;
  };
  // What the collection had seen and what of it was flushed, when a record comes in.
  struct Known {
    Context seen;
    Context flushed;
  };
  Result<Put> put_if_newer(Collection& collection, const KeyedView& incoming, const HashedKey& key,
                           const Known& known, const Arrival& arrival);
  Put::Lost lost_of(const RecordView& held, const RecordView& record, const Context& seen,
                    const Arrival& arrival) const;
  bool meet(const Collection& collection, const RecordView* held, const RecordView& record,
            const Context& flushed, const Arrival& arrival) const;
  Result<Put> join_with_held(Collection& collection, const HashedKey& key, const RecordView& record,
                             const Context& flushed, const Arrival& arrival);
  // One of `records`, whose keys are keys_.
  Result<Put> put_or_join(Collection& collection, std::span<const KeyedView> records,
                          std::size_t place, const Known& known, const Arrival& arrival);
  // Whether a later one of `records` has all that this one has.
  bool repeated_later(std::span<const KeyedView> records, std::size_t place) const;
  Result<Position> put_newer(Collection& collection, std::span<const KeyedView> records,
                             Arrival arrival);
  void announce(const Collection& collection, std::span<const KeyedView> records);
  Result<Put> bury(Collection& collection, const HashedKey& key, RecordView tombstone);
  Result<Put> mend_one(Collection& collection, std::span<const KeyedView> records,
                       std::size_t place, const Known& known, const Context& captured,
                       const Arrival& arrival);
  Result<Put> delete_anew(Collection& collection, const HashedKey& key,
                          const RecordView& tombstone);

  Store& store_;
  HybridClock& clock_;
  Origin origin_;
  WriterOptions options_;
  ConflictSink* conflicts_ = nullptr;
  std::vector<HashedKey> keys_;  // Of the records that are being put.
  std::string attributes_;
  std::vector<Joined> joined_;
  std::uint64_t joins_ = 0;
};

}  // namespace dhrt
