// What clients do to data, whatever their dialect: reads that may ask the cluster, writes with
// their position in the store, collections.
//
// Intuition: a healthy node that holds a record or a tombstone of a key knows; anything else is
// asked of the others. A write answers with a position, and whoever relays that answer waits
// until the store is durable up to it.
//
// Errors: invalid_argument, precondition, not_found as the writer and the catalog give them;
// unavailable: this node belongs to no cluster yet, or takes no writes because of its clock.
// Threads: loop thread only.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "cluster/actions.h"
#include "node/cluster_view.h"
#include "node/figures.h"
#include "node/redis_events.h"
#include "node/store_driver.h"
#include "node/turn_clock.h"

namespace dhrt {

class Database {
 public:
  struct Parts {
    Store& store;
    Catalog& catalog;
    RecordWriter& writer;
    StoreDriver& driver;
    const ClusterView& view;
    TurnClock& clock;
    NodeFigures& figures;
    KeyEvents* events = nullptr;      // Are told what clients write; null: nobody wants to know.
    std::function<void()> cleared{};  // The default collection was emptied; for nodes of nkvd.
  };
  // `ask` hands a read to the core; fanout_reply() brings its answer, at once or later.
  Database(const Parts& parts, std::string waits_for, std::function<void(FanoutRead)> ask)
      : parts_(parts), waits_for_(std::move(waits_for)), ask_(std::move(ask)) {}

  // Of a collection that is made without saying how.
  CollectionConfig default_config(Bytes collection) const {
    return parts_.catalog.default_config(collection);
  }
  // Unavailable until the node belongs to a cluster.
  Status member() const;
  // And while its clock is too wrong for writes of clients: the message begins with CLOCK_SKEW.
  Status writable() const;

  struct Found {
    std::optional<Record> record;  // Visible; absent: the key is not there.
    bool partial = false;          // A node that may hold the key did not answer.
    Dot dot{};                     // Of what was found, also where that is a delete.
  };
  using FoundDone = std::function<void(Result<Found>)>;
  enum class ReadFrom { cluster, here };
  // `done` is called once, within the call or later. corrupt: the key is there, but its value is
  // damaged, and nobody who was asked has an intact copy.
  void read(Bytes collection, Bytes key, ReadFrom from, FoundDone done);

  struct SetOptions {
    std::optional<std::uint64_t> ttl_milliseconds;  // Absent: the collection's own.
    bool if_absent = false;
    std::optional<Version> if_version;
    std::string attributes;
    bool blind = false;           // Nobody is told of what was there before (storage/writer.h).
    bool copies = false;          // What another node has already; taken in with any clock.
    std::uint64_t above_hlc = 0;  // As in WriteRequest.
  };
  // Makes the collection if it is not there.
  Result<Written> set(Bytes collection, Bytes key, Bytes value, const SetOptions& options);

  struct Removed {
    bool existed = false;
    Position position = 0;  // 0: nothing was written.
    Dot dot{};              // Of what was written, or else of the delete that was there.
  };
  using RemovedDone = std::function<void(Result<Removed>)>;
  struct RemoveOptions {
    std::string attributes;  // Of the tombstone.
  };
  void remove(Bytes collection, Bytes key, RemovedDone done) {
    remove(collection, key, {}, std::move(done));
  }
  void remove(Bytes collection, Bytes key, const RemoveOptions& options, RemovedDone done);
  // Deletes what others showed, whatever is held here.
  Result<Removed> remove_above(Bytes collection, Bytes key, const Record& shown) {
    if (auto status = writable(); !status) return tl::unexpected(status.error());
    return bury(collection, key,
                {.existed = visible(shown, wall()), .above_hlc = shown.version.hlc});
  }

  // --- The quick ways, for whom a lookup of the collection or a copy of the value is too much.
  struct Place {
    Collection* collection = nullptr;  // Null if there is none; valid for this turn.
    std::uint64_t ttl_milliseconds = 0;
  };
  Place place(Bytes collection) const;
  // If what is held here is the answer: shows it, or null if the key is not there. False: only
  // read() can tell; nothing was shown. `show` may not call the store.
  bool read_at_once(const Place& place, const HashedKey& key,
                    FunctionRef<void(const RecordView*)> show);
  // As set() without conditions; the collection must be there.
  enum class Tells { nothing, created };
  Result<Written> set_at_once(const Place& place, const HashedKey& key, Bytes value,
                              Bytes attributes, Tells tells);
  // Call at the end of every turn, before the store's commit().
  void publish();

  // --- Reading and writing in one step, and reads of whoever asks the other nodes himself.
  // As RecordWriter::change(), about what is held here; the change of a key that is not there has
  // the collection's deadline. A collection that is not there is made if something is written.
  Result<std::optional<Written>> change(Bytes collection, const HashedKey& key,
                                        RecordWriter::Decide decide);
  // While it lives, within one turn: what is written goes to peers together.
  class Together {
   public:
    explicit Together(Database& database) : driver_(database.parts_.driver) {
      driver_.begin_together();
    }
    Together(const Together&) = delete;
    Together& operator=(const Together&) = delete;
    ~Together() { driver_.end_together(); }

   private:
    StoreDriver& driver_;
  };
  // Other nodes may hold a newer record of any key: ask() them and take_in() what they have before
  // a change.
  bool asks_before_change(Bytes collection) const { return !healthy() && asks_others(collection); }
  // The same for a condition on one key: also if nothing is known of it here.
  bool asks_before_condition(Bytes collection, Bytes key);
  Status take_in(Bytes collection, Bytes key, const Record& record);
  // Shows what is visible of the newer one of the record held here and `brought`. False: nobody was
  // asked yet (`brought` is null), and others may hold a newer one; nothing was shown.
  using Brought = std::optional<Record>;
  Result<bool> read_with(Bytes collection, const HashedKey& key, const Brought* brought,
                         FunctionRef<void(const RecordView*)> show);
  KeyEvents* events() const { return parts_.events; }
  WallMilliseconds wall() const { return parts_.clock.wall(); }
  // Of the last write that was made here.
  Position last_written() const { return last_written_; }

  // Null if there is no such collection here.
  Collection* find(Bytes collection) { return parts_.catalog.find(collection); }
  Result<Position> flush(Bytes collection);
  // The same of which nodes of nkvd are not to hear.
  Result<Position> flush_here(Bytes collection);
  Result<Position> create(Bytes collection, const CollectionConfig& config);
  Result<Position> drop(Bytes collection);
  CollectionConfig config(Bytes collection) const { return parts_.catalog.config(collection); }
  std::vector<std::string> collections() const { return parts_.catalog.names(); }

  // Asks the other nodes, whatever is held here; `done` is called within the call or later. The
  // first that has it answers, or the newest of all.
  using ReplyDone = std::function<void(FanoutReply)>;
  void ask(Bytes collection, Bytes key, ReplyDone done, bool waits_for_all = false);
  // The same at any level; the number of `read` is given here.
  void ask_at(FanoutRead read, ReplyDone done);
  void fanout_reply(FanoutReply reply);
  std::size_t reads_waiting() const { return waiting_.size(); }

 private:
  bool belongs() const { return parts_.view.belongs.get(); }
  bool healthy() const { return parts_.view.healthy.get(); }
  struct Held {
    std::optional<Record> record;  // Absent with `damaged`: it does not even decode.
    bool damaged = false;
  };
  Result<Held> held(Bytes collection, Bytes key);
  bool was_seen_here(Bytes collection, const Held& local, const Record& theirs) const;
  Result<Found> found(Bytes collection, Bytes key, Held local, const FanoutReply* reply);
  bool alone() const { return parts_.view.alone.get(); }
  // Nobody is there to hear of every write.
  bool unheard() const { return alone() && !parts_.view.watched.get(); }
  // Nobody else can hold what is missing here.
  bool knows_all() const { return healthy() && alone(); }
  bool asks_others(Bytes collection) const;
  // A write must look whether its key was there.
  bool tells_of_new_keys() const {
    return parts_.events != nullptr && parts_.events->wants(event_flags::created);
  }
  // Writes, and sees to it that peers hear of it.
  Result<Written> write(Collection& collection, const WriteRequest& request, WallMilliseconds now);
  void publish_later(const Collection& collection, const WriteRequest& request,
                     const Written& written);
  // What peers are to hear of.
  void wrote(const Collection& collection, const WriteRequest& request, const Written& written);
  struct Burial {
    bool existed = false;
    std::uint64_t above_hlc = 0;
    Bytes attributes{};
  };
  Result<Removed> bury(Bytes collection, Bytes key, const Burial& burial);
  Result<Removed> remove_answered(const std::string& collection, const std::string& key,
                                  const RemoveOptions& options, const FanoutReply& reply);
  void tell_cleared(Bytes collection) const;
  // Hands on what the catalog wrote; the position up to which it must be durable.
  Position configurations_written();

  Parts parts_;
  std::string waits_for_;
  std::function<void(FanoutRead)> ask_;
  std::uint64_t requests_ = 0;
  std::map<std::uint64_t, ReplyDone> waiting_;
  // The last write of this turn, while nobody is there to hear of all of them: from it the core
  // learns that there was one, and how far writing has come.
  struct Unpublished {
    const Collection* collection = nullptr;  // May be gone at the end of the turn.
    CollectionRef ref;
    KeyedRecord record;
    Position position = 0;
  };
  Unpublished unpublished_;
  Position last_written_ = 0;
  std::string changed_value_;  // Of the change under way.
  std::string changed_attributes_;
};

// "<hlc>-<node>", as replies and ETags show a version.
class VersionText {
 public:
  explicit VersionText(const Version& version);
  Bytes bytes() const { return {text_.data(), size_}; }

 private:
  std::array<char, 41> text_;  // Two numbers of 20 digits.
  std::size_t size_;
};
std::string to_text(const Version& version);
std::optional<Version> parse_version(Bytes text);

}  // namespace dhrt
