// Asks one HTTP server for something now and then, over one connection that is kept.
//
// One request at a time. A kept connection that turns out to be closed is replaced once, so only
// ask for what may be done twice. Whatever the other side does, `done` is called: with an answer,
// or an error when the time is over.
//
// Units: bytes, milliseconds. Bounds: the answer (protocol/http_answer.h), the time.
// Errors: unavailable: nobody is there; timeout; corrupt: what came is no answer.
// Threads: loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "node/dial.h"
#include "protocol/http_answer.h"

namespace dhrt {

class HttpClient final : private StreamConnection::Handler {
 public:
  struct Wanted {
    std::string target;  // "/ping?nodes=…"
    std::size_t body_bytes_max = 0;
    Duration timeout{};
  };
  using Done = std::function<void(Result<http::Answer>)>;

  HttpClient(EventLoop& loop, Address address, Dial::Reach reach);

  bool busy() const { return done_ != nullptr; }
  // While it is not busy. `done` is called once, never from within get(); it may call get() again,
  // but not drop the client. Without the client it is not called.
  void get(Wanted wanted, Done done);
  // Not to be kept: the next request has a new connection. Not while it is busy.
  void disconnect();
  // This machine's address as the other side sees it; empty until there was a connection.
  const std::string& local_host() const { return local_host_; }

 private:
  void received(Bytes bytes) override;
  void ended() override;
  void failed(const std::string& reason) override;
  void drained() override {}

  void dial();
  void dialled(Result<std::unique_ptr<StreamConnection>> result);
  void ask();
  void lost(const std::string& reason);
  void finish(Result<http::Answer> result);

  EventLoop& loop_;
  const Address address_;
  const Dial::Reach reach_;
  Timer timer_;
  std::unique_ptr<Dial> dial_;
  std::unique_ptr<StreamConnection> connection_;
  std::optional<http::AnswerParser> parser_;  // Of the answer that is awaited.
  Wanted wanted_;
  Done done_;
  bool is_kept_ = false;  // The connection has served a request before this one.
  bool heard_ = false;    // Some of the answer has come.
  std::string local_host_;
};

}  // namespace dhrt
