// What changed in a collection since somebody last looked: the heart of `watch`.
//
// Intuition: who watches is a context, the set of dots that were told. A step takes a slice of a
// walk by dot, as a pull does (cluster/README.md), tells the records whose dots the context lacks,
// and adds them. So there is no queue: who asks seldom is told less often, once for each key, and
// what it knows fits into a token that any node understands.
//
// Two contexts. What was *walked* leaves out what a round has passed, so that nothing is told again
// to who stays. What is *claimed*, the position, goes into tokens: a dot of which the record, or
// one that beats it, surely was told. They meet when one slice holds a whole round; until then a
// record may have been replaced behind the cursor, and who goes on elsewhere must be sent it again.
//
// What leaves no dot behind:
// - A flush. The position has a hash of the flushed context; where that is another one, `reset` is
//   told and all that is there. A flush may be told before it is durable; if a power cut undoes it,
//   the next look is a `reset`, too.
// - A deadline. expired() says whose has passed here. Who comes from elsewhere, or was told too
//   much at once, has every tombstone told again (`rechecks`), as it cannot know which are new.
// - A tombstone that was forgotten, because every node has it (Store::forget_tombstones). Who was
//   not told of one that was in the way of the round, or goes on with a position that lacks it, is
//   told `reset`, and so is who would be rechecked: a diff cannot name what nobody knows any more.
// - A drop. Another generation, or no common origin with what is here (memory that was lost,
// another
//   cluster), is a `reset`, too.
// A record that memory evicted is not told at all.
//
// Bounds: `limits` a step, `expired_max` keys, `intervals_max` intervals in the position beyond
// which it stands still until the two contexts meet.
// Errors: those of the collection; the feed is of no use then.   Threads: one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "storage/feed_position.h"
#include "storage/store.h"

namespace dhrt {

struct FeedEvent {
  enum class Kind : std::uint8_t {
    set,      // The record is what readers see.
    del,      // The key is gone.
    expire,   // The same, for its deadline has passed.
    damaged,  // It was written, but this node's copy does not match its checksum; no value.
    reset,    // Forget every key; what there is follows. No key.
  };
  Kind kind = Kind::reset;
  std::string key;
  Record record;  // Of set; else only version and dot, if any.
};
Bytes name_of(FeedEvent::Kind kind);

struct FeedStep {
  std::vector<FeedEvent> events;
  bool more = false;  // There may be more at once.
};

class ChangeFeed {
 public:
  struct Options {
    std::string prefix{};  // Only keys that begin with it.
    SliceLimits limits{.records_max = 512, .bytes_max = std::size_t{256} << 10};
    std::size_t expired_max = 4096;
    std::size_t intervals_max = 4096;
  };
  enum class Begin : std::uint8_t {
    now,    // With what changes after the first step.
    first,  // With everything.
  };
  ChangeFeed(Options options, Begin begin);
  // Goes on behind a position. `rechecks`: deadlines may have passed since, of which nobody said.
  ChangeFeed(Options options, FeedPosition behind, bool rechecks);

  // What is to be told next. Null: the collection is not there.
  Result<FeedStep> step(Collection* collection, WallMilliseconds now);
  // The deadline of a record has passed, and the store made a tombstone of it.
  void expired(Bytes key);

  // What was told up to the last step.
  const FeedPosition& position() const { return position_; }
  // Counts changes of it that are worth a token.
  std::uint64_t position_number() const { return position_number_; }
  // Everything up to the last step was told, and every position before that is in this one.
  bool settled() const { return settled_; }

 private:
  bool wants(Bytes key) const { return key.substr(0, options_.prefix.size()) == options_.prefix; }
  void start_over(Collection* collection, FeedStep& step);
  Status begin_now(Collection& collection, WallMilliseconds now);
  Status tell_expired(Collection& collection, WallMilliseconds now, FeedStep& step);
  // False: there is nothing in common, and all begins anew.
  bool meet(const Context& durable);
  // Whether tombstones of these dots, which are not held any more, would have been told.
  bool may_have_missed(const Context& forgotten, const Context& durable) const;
  void tell(KeyedRecord& entry, WallMilliseconds now, FeedStep& step);
  void claim(const Dot& dot);
  void exclude_later(const Collection& collection, Context& excluded) const;
  void bound_claims();
  void end_round(bool whole, WallMilliseconds now, FeedStep& step);

  const Options options_;
  Begin begin_;
  bool begun_ = false;
  bool resumed_ = false;  // The position is from elsewhere, and was not compared with what is here.
  bool full_ = false;     // A round of everything for who knows nothing: tombstones are left out.
  bool rechecks_ = false;      // A round of everything for who may know what is gone.
  bool must_recheck_ = false;  // The next round is such a one.
  bool claims_stand_ = false;  // The position has too many gaps to go on.
  bool settled_ = false;
  FeedPosition position_;
  std::uint64_t position_number_ = 0;
  Context walked_;
  Context flushed_;            // As of the step.
  Context round_;              // What all slices of the round had in their contexts.
  Context durable_;            // As the round began, also of what was replaced since.
  Context cleared_;            // Forgotten dots of which the last round has left nothing untold.
  std::optional<Dot> cursor_;  // Within a round.
  std::deque<std::string> expired_;
};

}  // namespace dhrt
