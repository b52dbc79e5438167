// The life of clients and of their requests, told to who counts them or writes them down.
//
//   connect           a client is there, and what it speaks is known
//   request_start     a request has come as a whole and is about to be run
//   request_complete  its outcome is known; the reply may still wait, for the disk or for others
//   request_end       its reply has left the node, or never will
//   disconnect        the client is gone
//
// Threads: loop thread only.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "node/client_dialect.h"

namespace dhrt {

struct TracedRequest {
  enum class Outcome { ok, error, lost };  // lost: the client was gone before its reply.

  ClientDialect dialect{};
  // A command, or a method and a path; "?" if it is none of ours. Never a value or a token, but it
  // may hold any bytes.
  std::string name;
  std::string client;  // Address and port.
  Outcome outcome = Outcome::ok;
  std::string error;  // A word or a code of the dialect: "WRONGTYPE", "404".
  // Of the monotonic clock.
  std::chrono::microseconds started{};
  std::chrono::microseconds completed{};
  std::chrono::microseconds ended{};
};

inline std::string_view to_text(TracedRequest::Outcome outcome) {
  using Outcome = TracedRequest::Outcome;
  return outcome == Outcome::ok ? "ok" : outcome == Outcome::error ? "error" : "lost";
}

class RequestHooks {
 public:
  RequestHooks() = default;
  RequestHooks(const RequestHooks&) = delete;
  RequestHooks& operator=(const RequestHooks&) = delete;
  virtual ~RequestHooks() = default;

  virtual void connect(ClientDialect dialect) { static_cast<void>(dialect); }
  virtual void disconnect(ClientDialect dialect) { static_cast<void>(dialect); }
  // Whether it is told of requests: then they are run one by one, which costs. Asked once for each
  // client.
  virtual bool wants_requests() const { return false; }
  virtual void request_start(const TracedRequest& request) { static_cast<void>(request); }
  virtual void request_complete(const TracedRequest& request) { static_cast<void>(request); }
  virtual void request_end(const TracedRequest& request) { static_cast<void>(request); }
};

}  // namespace dhrt
