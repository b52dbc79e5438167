// The replies of one client connection, given in the order of the requests.
//
// Intuition: replies that are complete are appended to one run of bytes, and a run leaves when
// the store is durable up to the highest position that a reply in it promises. A reply that comes
// later has an entry of its own, and so has a long one: a stream, which makes its bytes piece by
// piece once it is at the front. Only the front may leave.
//
// A run grows within a turn only, or a client that never pauses would never be answered.
// Units: bytes.   Bounds: the session stops taking requests at its limits.
// Threads: loop thread only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>

#include "storage/store.h"

namespace dhrt {

class ReplyStream {
 public:
  ReplyStream() = default;
  ReplyStream(const ReplyStream&) = delete;
  ReplyStream& operator=(const ReplyStream&) = delete;
  virtual ~ReplyStream() = default;
  // What is more to come: another piece, nothing, or nothing although the list is not complete.
  // A broken stream ends the connection, so that nobody takes what came for the whole.
  enum class Next { piece, end, broken };
  // Appends the next piece, or nothing yet. The last piece may promise what was written up to
  // `promises`; it is then held until the store is durable up to there.
  virtual Next produce(std::string& out, Position& promises) = 0;
};

class ReplyQueue {
 public:
  using Slot = std::uint64_t;

  // Counts one more complete reply and gives the run to append it to, at once.
  std::string& open(Position position);
  void add(std::unique_ptr<ReplyStream> stream);
  // A reply that comes later.
  Slot reserve();
  void finish(Slot slot, std::string bytes, Position position);
  void finish(Slot slot, std::unique_ptr<ReplyStream> stream);

  // Moves what may leave to `out`. Ends the run.
  void release(Position durable, std::string& out);
  // The stream at the front, if it is its turn.
  ReplyStream* stream();
  // The stream is over; its last piece waits for the store as other replies do.
  void end_stream(std::string last, Position position);
  // Where the next reply will be, and what was appended to the run since then.
  struct Mark {
    Slot slot = 0;
    std::size_t bytes = 0;
  };
  Mark mark() const { return {front_ + entries_.size(), run_.size()}; }
  Bytes since(const Mark& mark) const {
    // The run may have become an entry meanwhile; then it is a new one.
    return Bytes(run_).substr(mark.slot == front_ + entries_.size() ? mark.bytes : 0);
  }
  // Gives memory back that an idle connection need not hold.
  void shrink();

  // The front is complete, and after release() it is the store that holds it up.
  bool waits_for_store() const { return !entries_.empty() && entries_.front().done; }
  bool empty() const { return entries_.empty() && run_.empty(); }
  std::size_t size() const { return replies_; }
  std::size_t bytes() const { return bytes_ + run_.size(); }
  // A stream is waiting or under way: what comes behind it must not be done before it.
  bool has_stream() const { return streams_ > 0; }

 private:
  struct Entry {
    std::string bytes;
    Position position = 0;
    std::size_t replies = 1;
    bool done = false;
    std::unique_ptr<ReplyStream> stream;
  };
  // Makes an entry of the run.
  void end_run();

  std::deque<Entry> entries_;
  std::string run_;  // Behind all entries.
  Position run_position_ = 0;
  std::size_t run_replies_ = 0;
  Slot front_ = 0;           // Number of the first entry.
  std::size_t bytes_ = 0;    // Of the entries.
  std::size_t replies_ = 0;  // Of entries and run.
  std::size_t streams_ = 0;
};

}  // namespace dhrt
