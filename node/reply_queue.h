// The replies of one client connection, given in the order of the requests.
//
// Intuition: a slot per request. A slot opens when its reply is complete and the store is
// durable up to the position that the reply promises; only the front may leave. A long reply is
// a stream: it makes its bytes piece by piece once it is at the front.
//
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

  void add(std::string bytes, Position position);
  void add(std::unique_ptr<ReplyStream> stream);
  // A reply that comes later.
  Slot reserve();
  void finish(Slot slot, std::string bytes, Position position);
  void finish(Slot slot, std::unique_ptr<ReplyStream> stream);

  // Moves what may leave to `out`.
  void release(Position durable, std::string& out);
  // The stream at the front, if it is its turn.
  ReplyStream* stream();
  // The stream is over; its last piece waits for the store as other replies do.
  void end_stream(std::string last, Position position);

  // The front is complete, and after release() it is the store that holds it up.
  bool waits_for_store() const { return !entries_.empty() && entries_.front().done; }
  bool empty() const { return entries_.empty(); }
  std::size_t size() const { return entries_.size(); }
  std::size_t bytes() const { return bytes_; }
  // A stream is waiting or under way: what comes behind it must not be done before it.
  bool has_stream() const { return streams_ > 0; }

 private:
  struct Entry {
    std::string bytes;
    Position position = 0;
    bool done = false;
    std::unique_ptr<ReplyStream> stream;
  };
  std::deque<Entry> entries_;
  Slot front_ = 0;  // Number of the first entry.
  std::size_t bytes_ = 0;
  std::size_t streams_ = 0;
};

}  // namespace dhrt
