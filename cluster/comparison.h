// Compares one collection with a peer's, key by key, and mends what differs on both sides.
//
// Intuition: a pull by context finds what one side has not seen. It does not find what one side has
// seen, deleted and forgotten while the other still holds it, and after an eviction, a join that
// not everybody knew of, or a copy of old files, there may be such records. So both go through
// their keys in order. Where a range has the same count and sum of hashes, that is all; where not,
// the keys of the range are exchanged. Of two records the newer one stays, or both go to the other
// side, if they may be counters, which are joined. But a live record whose
// dot a side had seen before the comparison began, and which it does not hold, or holds something
// older of, was deleted there: it gets a tombstone (storage/writer.h, mend()). Absence proves a
// delete because nothing but a delete everybody knew of ever makes a record absent.
//
// Each side decides by its own context, from before the first record was compared. A range is
// listed once; whatever is written to it later travels as every write does, and is decided again
// under the key's lock. At the end each side takes in the other's context, for it holds, or knows
// to be deleted, everything in it.
//
// The side that asks drives; the other one answers each question by itself (Comparisons).
// Cost of equal collections: one question for `compared_keys` keys, about 100 bytes each way.
// Bounds: one range of keys and one answer. Threads: loop thread only.
// Source: range-based set reconciliation (Meyer, 2023), with ranges in a row instead of a tree.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/actions.h"
#include "cluster/catch_up.h"
#include "cluster/links.h"
#include "cluster/options.h"
#include "cluster/unapplied.h"

namespace dhrt {

// Gives out numbers that are not used twice.
struct Numbers {
  std::uint64_t requests = 0;
  Token tokens = 0;
};

// The vector of the first answer counts, without what a later one takes out of it: something that
// may yet be lost has replaced that.
void keep_common(std::optional<Context>& vector, const Context& of_slice);

// Of keys and values.
std::uint64_t bytes_of(const std::vector<KeyedRecord>& records);
// The same, with what stands around them.
std::uint64_t bytes_of(const SharedBatch& records);

class Comparison {
 public:
  enum class State { under_way, done, unknown, failed };

  // All outlive the comparison.
  Comparison(const ClusterOptions& options, const Links& links, Numbers& numbers,
             CatchUpMeter& meter, NodeId peer, CollectionRef collection)
      : options_(options),
        links_(links),
        numbers_(numbers),
        meter_(meter),
        peer_(peer),
        collection_(std::move(collection)) {}

  const CollectionRef& collection() const { return collection_; }
  State state() const { return state_; }
  std::uint64_t records_mended() const { return records_mended_; }

  // `flushed`: ours.
  void begin(const Context& flushed, const Step& step);
  // Each is false if it is not the answer that is waited for.
  bool reply(const AuditReply& reply, const Step& step);
  bool reply(const FetchReply& reply, const Step& step);
  bool reply(const Mended& reply, const Step& step);
  bool ranged(const Ranged& ranged, const Step& step);
  bool applied(const Applied& applied, const Step& step);

 private:
  void ask(Message message, const Step& step);
  std::uint64_t next_request() { return request_ = ++numbers_.requests; }
  Token apply_token(std::uint64_t bytes = 0);
  void list(const Step& step);
  void audit(const Step& step);
  bool is_in_order(const AuditReply& reply) const;
  bool does_not_get_on(const AuditReply& reply);
  bool answers(std::uint64_t request, MessageType asked);
  void compare(const AuditReply& reply, const Step& step);
  void compare_each(const std::vector<KeyedRecord>& records, const AuditReply& reply,
                    const Step& step);
  // `seen_there`: by the peer, durably, before it read the records.
  void mend_here(SharedBatch records, const Context& seen_there, const Step& step);
  void mend_and_go_on(SharedBatch records, const Context& seen_there, const Step& step);
  void want_hot_ones(std::vector<std::string> keys, const std::string& behind);
  void go_on(const Step& step);
  void next_range(const Step& step);
  void finish(const Step& step);
  void conclude(const Step& step);
  void look_whether_done();

  const ClusterOptions& options_;
  const Links& links_;
  Numbers& numbers_;
  CatchUpMeter& meter_;
  const NodeId peer_;
  const CollectionRef collection_;
  State state_ = State::under_way;

  bool begun_ = false;
  bool finishing_ = false;
  bool concluded_ = false;  // Both sides were told to take in the other's context.
  unsigned times_put_off_ = 0;
  bool peer_finished_ = false;
  std::uint64_t request_ = 0;  // No other answer of the peer counts,
  MessageType asked_{};        // nor one to another kind of question.
  Token listing_ = 0;          // Nor another one of the store.
  Context flushed_;
  std::optional<Context> captured_;       // Ours, from before the first record; see mend().
  std::optional<Context> common_;         // The same, as all slices had it.
  std::optional<Context> peer_captured_;  // The peer's.
  std::optional<Context> peer_common_;
  Context forgotten_;
  Context peer_forgotten_;
  std::uint64_t forgotten_hlc_ = 0;
  std::uint64_t peer_forgotten_hlc_ = 0;
  std::string from_;               // Where the range begins,
  std::optional<std::string> to_;  // and ends.
  std::vector<KeyedRecord> mine_;  // What is held from there on, up to
  std::optional<std::string> listed_to_;
  std::vector<std::string> wanted_;  // Keys to be had from the peer.
  std::vector<std::string> owed_;    // Keys that the peer is to be sent.
  Unapplied unapplied_;
  bool waits_for_store_ = false;  // The next question is asked when it has taken some of these.
  std::uint64_t records_mended_ = 0;
};

// The other side: answers questions, each on its own.
class Comparisons {
 public:
  Comparisons(const ClusterOptions& options, const Links& links, Numbers& numbers)
      : options_(options), links_(links), numbers_(numbers) {}

  // `is_over`: a later life of the collection is here. False: the peer asks for more at once than
  // it may.
  bool asked(ConnectionId from, const Audit& audit, bool is_over, const Context& durable,
             const Context& flushed, const Step& step);
  bool asked(ConnectionId from, const Fetch& fetch, bool is_over, const Step& step);
  bool asked(ConnectionId from, const Mend& mend, bool is_over, const Step& step);
  void ranged(const Ranged& ranged, const Step& step);
  // Who has ended the comparison of which collection with us, if it is that.
  struct Ended {
    ConnectionId connection = 0;
    CollectionRef collection;
  };
  std::optional<Ended> applied(const Applied& applied, const Step& step);

 private:
  struct Question {
    ConnectionId connection = 0;
    std::uint64_t request = 0;
    CollectionRef collection;
    bool fetches = false;
    bool with_values = false;
    Fingerprint fingerprint;
    Context flushed;
  };
  struct Mending {
    ConnectionId connection = 0;
    std::uint64_t request = 0;
    CollectionRef collection;
    bool ends = false;  // With it the comparison is over.
  };
  bool has_room_for(ConnectionId from) const;

  const ClusterOptions& options_;
  const Links& links_;
  Numbers& numbers_;
  std::map<Token, Question> questions_;
  std::map<Token, Mending> mendings_;
};

}  // namespace dhrt
