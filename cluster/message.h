// What nodes say to each other. Types only: protocol/peer_codec turns them into bytes, and the
// numbers below are part of the wire format for ever.
//
// Every payload may grow at its end: a decoder ignores what stands behind the fields it knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cluster/layout.h"
#include "cluster/member.h"
#include "storage/context.h"
#include "storage/record.h"
#include "storage/record_batch.h"

namespace dhrt {

enum class MessageType : std::uint8_t {
  hello = 1,
  hello_ack = 2,
  ping = 3,
  ack = 4,
  ping_request = 5,
  nack = 6,
  members = 7,
  join = 8,
  welcome = 9,
  leave = 10,
  resynced = 11,
  write = 12,
  write_ack = 13,
  read = 14,
  read_reply = 15,
  pull = 16,
  pull_reply = 17,
  audit = 18,
  audit_reply = 19,
  hot = 20,  // Given away, as 23 to 25 are, but not sent by this version.
  fetch = 21,
  fetch_reply = 22,
  forward = 23,
  forward_reply = 24,
  config = 25,
  summary = 26,
  summary_reply = 27,
  publish = 28,
  accuse = 29,
  durable_read = 30,
  durable_read_reply = 31,
  store_record = 32,
  store_reply = 33,
  mend = 34,
  mended = 35,
  compared = 36,
  report = 37,
  layout = 38,
  vote_request = 39,
  vote_reply = 40,  // 240 to 247 are of the link itself: protocol/peer_handshake.h.
};

// Control carries membership, live writes and reads; bulk carries pulls, so that a ping never
// waits behind data.
enum class LinkClass : std::uint8_t { control = 0, bulk = 1 };

// Which cluster a node belongs to. Provisional until a first write: such a cluster gives way to
// an established one and to a lower id, so that fresh nodes can still become one. A second
// member does not end that, or three that meet at once could end as two clusters.
struct Belonging {
  ClusterId id;
  bool provisional = false;

  bool operator==(const Belonging&) const = default;
};

// The first message of either side. `member` is the sender's own record.
struct Hello {
  Member member;
  Belonging belonging;
  std::uint64_t start_nonce = 0;  // Random per start: tells two processes with one id apart.
  std::uint64_t nonce = 0;        // Not in use: keys are proven below the core.
};

enum class HelloStatus : std::uint8_t {
  accepted = 0,
  foreign_cluster = 1,
  no_cluster = 2,      // Neither side belongs to a cluster yet.
  same_node = 3,       // The caller has our own id: a connection to itself or a copied directory.
  duplicate_node = 4,  // Another process runs under the caller's id.
  protocol_version = 5,
  not_accepting = 6,  // We are leaving.
};

struct HelloAck {
  HelloStatus status = HelloStatus::accepted;
  std::string explanation;  // For people; empty when accepted.
  Hello hello;              // The answering side's own.
  std::string proof;        // Not in use, either.
};

// The hash of one collection's durable and flushed contexts: equal hashes, nothing to pull.
struct CollectionDigest {
  CollectionRef collection;
  std::uint64_t hash = 0;

  bool operator==(const CollectionDigest&) const = default;
};

// What a node's wall clock shows, and whether the node takes no writes because of it.
struct ClockReading {
  WallMilliseconds wall = 0;  // 0: it does not say.
  bool fenced = false;

  bool operator==(const ClockReading&) const = default;
};

// How far the sender is with a collection that it brings in from others.
struct CatchUp {
  std::uint64_t records = 0;  // Brought in, or found to be here.
  // All in all; about, and where keys were written more than once meanwhile at most. 0: not known.
  std::uint64_t records_expected = 0;
  std::uint64_t bytes = 0;             // Of keys and values that came.
  std::uint32_t collections_left = 0;  // Behind this one.
  std::uint32_t seconds_left = 0;      // For this one, at the speed so far; 0: not known.

  bool operator==(const CatchUp&) const = default;
};

struct Ping {
  std::uint64_t sequence = 0;
  NodeId target = 0;
  std::uint64_t root = 0;       // Hash over all digests, see root_hash().
  std::vector<Member> updates;  // At most updates_per_message_max.
  LayoutStamp layout{};         // Here and below: nodes of earlier versions send none.
  std::optional<CatchUp> catch_up{};
};
struct Ack {
  std::uint64_t sequence = 0;
  NodeId target = 0;  // Who is alive.
  std::uint64_t root = 0;
  std::vector<Member> updates;
  ClockReading clock{};  // Of the sender; nodes of earlier versions send none.
  LayoutStamp layout{};
  std::optional<CatchUp> catch_up{};
};
struct PingRequest {
  std::uint64_t sequence = 0;
  NodeId target = 0;
  std::vector<Member> updates;
};
struct Nack {
  std::uint64_t sequence = 0;
  NodeId target = 0;
};

// The sender itself has found this suspect silent. Tells independent accusers apart from those who
// pass a rumour on; an optional message.
struct Accuse {
  NodeId node = 0;
  std::uint64_t incarnation = 0;
};

// Records of the member table: all of them when two nodes meet, or what just changed.
struct Members {
  bool wants_reply = false;
  std::vector<Member> members;
};

// A joiner asks in; the whole table comes back. Sent without members to every link when the
// sender's belonging has changed.
struct Join {
  Member member;
};
struct Welcome {
  Belonging belonging;
  std::vector<Member> members;
};
struct Leave {
  NodeId node = 0;
  std::uint64_t incarnation = 0;
};
// attested_by 0: the node itself says that its pull from the receiver is complete and durable.
// Otherwise: that node says so for the cluster, and `node` is healthy from now on.
struct Resynced {
  NodeId node = 0;
  Attestation attestation;
  NodeId attested_by = 0;
};

// Live writes of the sender's own origin, durable there.
struct Write {
  CollectionRef collection;
  std::uint16_t partition = 0;
  SharedBatch records;
  Context flushed;  // Non-empty: everything in it is deleted.
};
// How far the receiver's durable context covers, without gaps, an origin of the peer.
struct WriteAck {
  struct Tip {
    CollectionRef collection;
    std::uint16_t partition = 0;
    Origin origin;
    std::uint64_t sequence = 0;

    bool operator==(const Tip&) const = default;
  };
  std::vector<Tip> tips;
  LayoutStamp layout{};  // Of the sender when it sent this.
};

enum class ReadWant : std::uint8_t { value = 0, version = 1 };
struct Read {
  std::uint64_t request = 0;
  std::string collection;
  std::string key;
  ReadWant want = ReadWant::value;
};
struct ReadReply {
  std::uint64_t request = 0;
  bool synced = false;           // The answering node is healthy: its absence counts.
  std::optional<Record> record;  // Tombstones included; absent: never heard of the key.
};
// What a node knows, once it has forgotten deletes of a collection, of a key of which it has
// nothing or a record below `hlc`: another record with one of these dots was there and is deleted,
// by a version that is not above `hlc`.
struct Forgotten {
  Context dots;  // Empty where records are evicted: absent does not mean deleted there.
  std::uint64_t hlc = 0;
};
// A read of which several answers are compared (quorum_reads.h). It is answered when what it shows
// is durable at the receiver, and not at all if that takes too long. Optional messages, like the
// three below.
struct DurableRead {
  std::uint64_t request = 0;
  std::string collection;
  std::string key;
  ReadWant want = ReadWant::value;
};
struct DurableReadReply {
  std::uint64_t request = 0;
  bool synced = false;           // The answering node is healthy.
  std::uint32_t generation = 0;  // Of the collection there; 0: there is none.
  std::optional<Record> record;  // Tombstones included.
  Forgotten forgotten{};
  LayoutStamp layout{};
};
// A record that the receiver lacks, and that is durable elsewhere. Applied as if it had been
// pulled, and answered when it, or a newer one, is durable.
struct StoreRecord {
  std::uint64_t request = 0;
  CollectionRef collection;
  KeyedRecord record;
};
struct StoreReply {
  std::uint64_t request = 0;
  bool stored = false;
  LayoutStamp layout{};
};

// Who votes, as far as the sender knows. Optional messages, like the two below.
struct LayoutTold {
  ClusterId cluster;
  Layout layout;
  bool wants_reply = false;
};
// The sender wants the voters to change (voters.h): first nobody with a lower ballot is to be let
// through any more, then the sender is. Before somebody is retired, the receiver is to have all
// that those have who let it through: `hold`.
enum class VotePhase : std::uint8_t { promise = 0, accept = 1, hold = 2 };
struct VoteRequest {
  ClusterId cluster;
  std::vector<NodeId> voters;
  Ballot ballot;
  VotePhase phase = VotePhase::promise;
  std::vector<NodeId> retired{};      // Behind `voters`, the layout that is to change.
  std::vector<NodeId> let_through{};  // By these voters; hold only.
};
struct VoteReply {
  ClusterId cluster;
  std::uint32_t number = 0;  // Of the layout that is to change.
  Ballot ballot;             // Of the request.
  VotePhase phase = VotePhase::promise;
  bool given = false;
  // Not given: what was promised already. A promise: who was let through last.
  Ballot other;
};

struct Pull {
  std::uint64_t request = 0;
  CollectionRef collection;
  std::uint16_t partition = 0;
  Context excluded;  // Dots that need not be sent.
  Context flushed;
  std::optional<Dot> from;  // Where the last slice stopped.
  std::uint32_t bytes_max = 0;
};
struct PullReply {
  std::uint64_t request = 0;
  CollectionRef collection;
  std::uint16_t partition = 0;
  Context vector;  // Durable context, taken before the slice's first record.
  Context flushed;
  std::vector<KeyedRecord> records;  // By dot.
  std::optional<Dot> next;           // Where to go on; absent: the walk is at its end.
  bool unknown = false;              // No such collection in that generation here (any more).
  bool uncompared = false;           // A pull is not enough between us: see Audit.
  // Not empty: the durable context, of which `vector` leaves out what the walk could not show.
  Context unshown{};
};

// A comparison of a collection, key by key, between two nodes that may have forgotten deletes
// without telling each other. Who asks sends what it holds of a range as a count and a sum of
// hashes; the answer has the keys only if they differ.
struct Fingerprint {
  std::uint64_t count = 0;
  std::uint64_t sum_low = 0;  // 128 bits over key and dot of every record and tombstone.
  std::uint64_t sum_high = 0;

  void add(const KeyedRecord& entry);
  bool operator==(const Fingerprint&) const = default;
};
struct Audit {
  std::uint64_t request = 0;
  CollectionRef collection;
  std::uint16_t partition = 0;
  bool begins = false;            // Only the contexts are wanted; the rest is empty.
  std::string from;               // The range is [from, to).
  std::optional<std::string> to;  // Absent: to the end.
  Fingerprint fingerprint;
  Context flushed;
};
struct AuditReply {
  std::uint64_t request = 0;
  CollectionRef collection;
  std::uint16_t partition = 0;
  bool unknown = false;  // No such collection in that generation here (any more).
  bool failed = false;   // It cannot be read here.
  bool equal = false;
  Context vector;  // Durable context, taken before the first record.
  Context flushed;
  Context forgotten;                // Deletes that the sender keeps no tombstone of,
  std::uint64_t forgotten_hlc = 0;  // and the highest hlc among them.
  bool with_values = false;         // The asker had nothing in this range: `batch` is the answer,
  SharedBatch batch;                // or else `records`, by key, tombstones too.
  std::vector<KeyedRecord> records;
  std::optional<std::string> next;  // Where the records end; absent: at the end of the range.
  std::uint64_t records_held = 0;   // In all ranges, about; earlier versions do not say.
  // To an asker who has nothing at all: keys that are read most of late. Earlier versions name
  // none.
  std::vector<std::string> hot;
};
// Asks for records by key.
struct Fetch {
  std::uint64_t request = 0;
  CollectionRef collection;
  std::uint16_t partition = 0;
  std::vector<std::string> keys;
};
struct FetchReply {
  std::uint64_t request = 0;
  CollectionRef collection;
  std::uint16_t partition = 0;
  bool unknown = false;  // As in AuditReply.
  Context vector;
  std::uint32_t done = 0;  // Of the keys; the others did not fit. 0: they cannot be read.
  std::vector<KeyedRecord> records;
};
// Records that the receiver lacks, or holds older ones of.
struct Mend {
  std::uint64_t request = 0;
  CollectionRef collection;
  std::uint16_t partition = 0;
  std::vector<KeyedRecord> records;
  Context captured;   // The receiver's own context from before the comparison.
  Context vector;     // What the sender had before it; at the end, without records: joins ours.
  Context forgotten;  // As in AuditReply; with the vector.
  std::uint64_t forgotten_hlc = 0;
};
struct Mended {
  std::uint64_t request = 0;
  bool ok = false;  // All of it is durable.
};
// How often the sender came to doubt, since it started, that a pull is enough between the two.
struct Doubts {
  std::uint64_t count = 0;

  bool operator==(const Doubts&) const = default;
};
// All collections were compared: from now on pulls are enough. The receiver answers with a reply,
// unless it came to doubt that meanwhile.
struct Compared {
  bool reply = false;
  Doubts doubts;  // The receiver's, as the session began.
};
// Durable contexts of the sender; an optional message. Who knows everybody's may forget tombstones.
struct Report {
  struct Vector {
    CollectionRef collection;
    Context durable;
  };
  std::vector<Vector> vectors;
};

struct Summary {
  std::uint64_t request = 0;
};
struct SummaryReply {
  std::uint64_t request = 0;
  std::vector<CollectionDigest> digests;  // By name.
  Doubts doubts;
};

// Something that clients of the sender said on a channel, for those who listen at the receiver. It
// is told once, to whoever is linked then, and kept by nobody.
struct Publish {
  std::string channel;
  std::string payload;
};

using Message =
    std::variant<Hello, HelloAck, Ping, Ack, PingRequest, Nack, Members, Join, Welcome, Leave,
                 Resynced, Write, WriteAck, Read, ReadReply, Pull, PullReply, Summary, SummaryReply,
                 Publish, Accuse, Audit, AuditReply, Fetch, FetchReply, Mend, Mended, Compared,
                 Report, DurableRead, DurableReadReply, StoreRecord, StoreReply, LayoutTold,
                 VoteRequest, VoteReply>;

MessageType type_of(const Message& message);
// A receiver of an older version may do without it.
bool is_optional(MessageType type);
std::string_view to_text(MessageType type);

inline constexpr std::size_t updates_per_message_max = 8;
// A channel has a name, not data in it.
inline constexpr std::size_t channel_bytes_max = std::size_t{64} << 10;
inline constexpr std::uint8_t protocol_version_min = 1;
inline constexpr std::uint8_t protocol_version_max = 1;

}  // namespace dhrt
