// The doors of the core: what is told to it (Input) and what it wants done (Action).
//
// The core never waits and never does anything itself. Whoever runs it (node/ with sockets and
// a disk, the simulator with neither) feeds inputs in one at a time and carries out the actions
// in the order given.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/level_words.h"
#include "cluster/message.h"

namespace dhrt {

using ConnectionId = std::uint64_t;  // Given by the shell; never used twice.
using Token = std::uint64_t;         // Given by the core; ties an answer to its question.

// --- Inputs -------------------------------------------------------------------------------

// Time has passed; at least every 100 ms.
struct Tick {
  WallMilliseconds wall = 0;  // What the wall clock shows; 0: nobody says.
};

// A stream to a peer is open (and its preface exchanged); no message has passed.
struct ConnectionUp {
  ConnectionId connection = 0;
  LinkClass link_class = LinkClass::control;
  bool dialled = false;    // By us, as asked for by Connect.
  std::string address;     // What was dialled; empty if the peer called.
  std::string local_host;  // Our end's address, as the peer can reach it.
};
struct ConnectionDown {
  ConnectionId connection = 0;
};
struct ConnectFailed {
  std::string address;
  LinkClass link_class = LinkClass::control;
  std::string reason;
};
struct MessageIn {
  ConnectionId connection = 0;
  Message message;
};
// So much more of a large message has come that its sender is at it, though it is not complete.
struct MessageComing {
  ConnectionId connection = 0;
};
// Writes made on this node that are durable now, in the order made; as many as fit into a message.
struct LocalWrites {
  CollectionRef collection;
  SharedBatch records;
  Context flushed;
};
// What is durable in a collection now. Only this is ever reported to anybody.
struct StoreChanged {
  CollectionRef collection;
  Context durable;
  Context flushed;
};
struct CollectionGone {
  CollectionRef collection;
};
// An ApplyRecords or MergeContext is done and durable, or has failed.
struct Applied {
  Token token = 0;
  bool ok = false;
};
struct LocalRead {
  Token token = 0;
  std::optional<Record> record;
  std::uint32_t generation = 0;  // Of the collection; 0: there is none.
  bool ok = true;         // False: the store could not say; that no record came means nothing.
  bool flushed = false;   // The record is deleted because a flush has seen its dot.
  Forgotten forgotten{};  // If that was asked for.
};
struct Walked {
  Token token = 0;
  bool ok = false;  // False: no such collection in that generation.
  std::vector<KeyedRecord> records;
  std::optional<Dot> next;
  Context vector;
};
// What the store holds of a range, or of some keys.
struct Ranged {
  Token token = 0;
  bool ok = false;    // False: it cannot be read,
  bool gone = false;  // or that life of the collection is over.
  std::vector<KeyedRecord> records;
  SharedBatch batch;  // Instead of them, where values were asked for; null: none.
  std::optional<std::string> next;
  Context vector;
  Context forgotten;  // Of the collection: see storage/store.h.
  std::uint64_t forgotten_hlc = 0;
  std::uint32_t done = 0;          // Of the keys asked for.
  std::uint64_t records_held = 0;  // In all ranges, about.
  std::vector<std::string> hot;    // Keys that are read most of late, if they were asked for.
};
// A client's read that the node cannot answer alone.
struct FanoutRead {
  std::uint64_t request = 0;
  std::string collection;
  std::string key;
  ReadLevel level = ReadLevel::fanout;
  // Version: above fanout only; the newest record's value is not wanted, nor is the record brought
  // to those who lack it.
  ReadWant want = ReadWant::value;
  bool waits_for_all = false;  // Fanout only: the newest of all is wanted, not the first.
};
// A client said this; its node's own listeners have heard it.
struct LocalPublish {
  Publish said;
};
// A client waits until so many peers have durably what an event loop of this node has written so
// far, as told by LocalWrites. Answered once by Waited, when it is so or when WaitEnds comes.
struct WaitForPeers {
  std::uint64_t request = 0;  // Not in use.
  std::uint16_t loop = 0;
  std::uint64_t peers = 0;
};
struct WaitEnds {
  std::uint64_t request = 0;
};
// Writes of one event loop of this node, durable here; at most one sequence of each collection,
// that of the last one. Answered once by LevelReached, at the latest after write_timeout.
struct WaitForLevel {
  std::uint64_t request = 0;  // Not in use.
  WriteLevel level = WriteLevel::quorum;
  struct Last {
    CollectionRef collection;
    Dot dot;
  };
  std::vector<Last> written;
};
// What NoteLayout asked for is on the disk, or could not be brought there.
struct LayoutNoted {
  std::uint64_t number = 0;
  bool ok = false;
};
struct LeaveRequested {};
// Somebody says that this node, which is dead or has left, does not come back. Ignored if it lives.
struct EvictRequested {
  NodeId node = 0;
};
// Somebody says that this member is to vote no more, for good; itself perhaps. It goes on until
// layout() says so, or why_not_retired() why it cannot be.
struct RetireRequested {
  NodeId node = 0;
  bool unless_alive = false;  // Forgotten when it is there again before that was begun.
};
// Nobody was there to join: a cluster of our own, unless we belong to one meanwhile.
struct FoundRequested {
  ClusterId id;
};
// Another address to join by, found out while the node runs.
struct SeedFound {
  std::string address;
};

using Input =
    std::variant<Tick, ConnectionUp, ConnectionDown, ConnectFailed, MessageIn, MessageComing,
                 LocalWrites, StoreChanged, CollectionGone, Applied, LocalRead, Walked, Ranged,
                 FanoutRead, LocalPublish, WaitForPeers, WaitEnds, WaitForLevel, LayoutNoted,
                 LeaveRequested, EvictRequested, RetireRequested, FoundRequested, SeedFound>;

// --- Actions ------------------------------------------------------------------------------

struct Connect {
  std::string address;
  LinkClass link_class = LinkClass::control;
};
struct Close {
  ConnectionId connection = 0;
};
struct Send {
  std::vector<ConnectionId> connections;
  std::shared_ptr<const Message> message;  // Shared: one broadcast is encoded once.
};
// What a peer wrote, live. To be pushed by storage/writer.
struct ApplyWrite {
  CollectionRef collection;
  SharedBatch records;
  Context flushed;
  // False until its writer was compared with us: as in storage/writer, push().
  bool may_join = true;
};
// What was pulled from a peer. To be applied by storage/writer in the order given; answered by
// Applied if token is not 0.
struct ApplyRecords {
  Token token = 0;
  CollectionRef collection;
  std::vector<KeyedRecord> records;
  Context flushed;
  // Who sent the records, and what it had durably at a moment before the first of them; 0: nobody.
  NodeId donor = 0;
  Context vector{};
  bool heals = false;  // Copies of what is damaged here, which may not be recognised as held.
};
struct MergeContext {
  Token token = 0;
  CollectionRef collection;
  Context vector;
  Context forgotten;  // By the peer, and the highest hlc of it.
  std::uint64_t forgotten_hlc = 0;
};
struct ReadLocal {
  Token token = 0;
  std::string collection;
  std::string key;
  bool asks_forgotten = false;
};
struct WalkLocal {
  Token token = 0;
  CollectionRef collection;
  Context excluded;
  std::optional<Dot> from;
  std::uint32_t bytes_max = 0;
};
// Answered by Ranged, as is the next one; a collection that is new here is made.
struct RangeLocal {
  Token token = 0;
  CollectionRef collection;
  std::string from;
  std::optional<std::string> to;
  bool with_values = false;
  std::size_t records_max = 0;
  std::size_t bytes_max = 0;
  std::size_t hot_keys_max = 0;
};
// The records of these keys that nobody can lose any more; at least the first is looked at.
struct FetchLocal {
  Token token = 0;
  CollectionRef collection;
  std::vector<std::string> keys;
  std::size_t bytes_max = 0;
};
// What a comparison brought, for storage/writer's mend(); what that buries is broadcast as a write
// of this node. Answered by Applied.
struct MendRecords {
  Token token = 0;
  CollectionRef collection;
  SharedBatch records;  // Never null.
  Context captured;
  Context seen_there;  // By the sender, durably, before it read the records.
};
// Tombstones of these dots may be dropped.
struct ForgetTombstones {
  CollectionRef collection;
  Context everywhere;
};
struct FanoutReply {
  std::uint64_t request = 0;
  std::optional<Record> record;
  bool partial = false;  // Some node that may hold the key did not answer.
  // Of a level above fanout; not reached: there was not time enough, and `record` says nothing.
  Tally tally{.reached = true};
  // Above fanout: what was deleted and is forgotten had no version above it; as peers say.
  std::uint64_t forgotten_hlc = 0;
};
// So many of those who are needed have the writes durably.
struct LevelReached {
  std::uint64_t request = 0;
  Tally tally;
};
struct Waited {
  std::uint64_t request = 0;
  std::uint64_t peers = 0;  // That are linked, and have it.
};
// A client of a peer said this; for those who listen here.
struct Published {
  Publish said;
};
// What must survive a restart changed: where the node belongs, and whom it knows.
struct Persist {
  Belonging belonging;
  std::vector<Member> members;
  std::vector<NodeId> compared;  // With which a pull is enough.
  LayoutNotes layout;
};
// Must be on the disk, with what the last Persist said, before LayoutNoted is told with this
// number.
struct NoteLayout {
  std::uint64_t number = 0;
  LayoutNotes notes;
};
enum class LogLevel { debug, info, warning, error };
struct Log {
  LogLevel level = LogLevel::info;
  std::string text;
};
// The node has told everybody that it leaves; the process may end when all is sent.
struct Left {};

using Action =
    std::variant<Connect, Close, Send, ApplyWrite, ApplyRecords, MergeContext, ReadLocal, WalkLocal,
                 RangeLocal, FetchLocal, MendRecords, ForgetTombstones, FanoutReply, Waited,
                 LevelReached, Published, Persist, NoteLayout, Log, Left>;
using Actions = std::vector<Action>;

// What every part of the core works with during one step.
class Random;
struct Step {
  Time now;
  Random& random;
  Actions& actions;

  void log(LogLevel level, std::string text) const {
    actions.emplace_back(Log{level, std::move(text)});
  }
  void send(ConnectionId connection, Message message) const {
    actions.emplace_back(Send{{connection}, std::make_shared<const Message>(std::move(message))});
  }
};

}  // namespace dhrt
