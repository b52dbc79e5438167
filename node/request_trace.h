// Follows the requests of one session from their start to the end of their replies, and tells the
// hooks. Only sessions whose hooks want requests have one.
//
// Intuition: replies leave in the order of the requests, so a list of requests with the number of
// replies of each tells from the number of replies that still wait which requests have ended.
//
// Bounds: as many requests as replies wait in the session's queue. Threads: loop thread only.
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <string>

#include "node/reply_queue.h"
#include "node/request_hooks.h"
#include "storage/base/bytes.h"

namespace dhrt {

class RequestTrace {
 public:
  static constexpr std::size_t name_bytes_max = 256;  // Of longer ones the front is kept.

  // `client`: its address. The hooks outlive it.
  RequestTrace(RequestHooks& hooks, ClientDialect dialect, std::string client)
      : hooks_(hooks), dialect_(dialect), client_(std::move(client)) {}

  // --- Around the take() of a protocol, which takes no more than one request.
  void before_take(const ReplyQueue& replies);
  void after_take(const ReplyQueue& replies);
  // Within it.
  void starts(ClientDialect dialect, Bytes name);
  void reserves(ReplyQueue::Slot slot);

  // More about the request that started last: to be put behind its name; why it failed, of which
  // the first reason counts, where the reply does not say so in front.
  void specify(Bytes more);
  void fails(std::string error);

  // A reply that was reserved is there; of a stream nothing is known yet.
  void finished(ReplyQueue::Slot slot, Bytes reply);
  // What is not in the queue any more has left.
  void sent(const ReplyQueue& replies);
  // Nothing more will leave.
  void lost();

 private:
  struct Entry {
    TracedRequest request;
    bool is_request = true;  // Otherwise replies that nobody asked for now.
    std::size_t replies = 0;
    ReplyQueue::Slot slot = 0;  // Does not fall from entry to entry.
    bool waits = false;         // For what is reserved there.
  };
  Entry* latest();
  void complete(TracedRequest& request, Bytes reply);
  void end(TracedRequest& request);
  void put(Entry entry, std::size_t replies);

  RequestHooks& hooks_;
  const ClientDialect dialect_;
  const std::string client_;
  std::deque<Entry> entries_;
  std::size_t replies_ = 0;     // Of the entries.
  std::optional<Entry> taken_;  // Within take(), since starts().
  std::optional<ReplyQueue::Slot> reserved_;
  ReplyQueue::Mark mark_;
};

// The word or code of an error that the reply begins or, in some dialects, ends with; empty: it is
// none. Never more of it, as it may repeat what the client sent.
std::string error_in(ClientDialect dialect, Bytes reply);

}  // namespace dhrt
