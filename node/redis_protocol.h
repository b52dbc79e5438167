// Commands of Redis clients on a session: arrays of bulk strings, one after the other, and lines
// if they are to be Redis commands, too.
#pragma once

#include "node/redis_call.h"
#include "protocol/resp_command.h"
#include "protocol/sniff.h"

namespace dhrt {

class RedisProtocol {
 public:
  struct Options {
    bool inline_commands = false;  // Lines are commands; otherwise they are somebody else's.
  };
  // Both outlive the protocol.
  RedisProtocol(CommandServer& server, Session& session, Options options)
      : server_(server), session_(session), options_(options), runner_(server, session, client_) {}
  RedisProtocol(const RedisProtocol&) = delete;
  RedisProtocol& operator=(const RedisProtocol&) = delete;
  ~RedisProtocol();

  // Takes commands from the front of `input`, which begins with '*' or goes on where the last call
  // stopped midway; with inline commands it begins as it likes.
  ClientProtocol::Took take(Bytes input);
  void refuse_http();
  bool midway() const { return reader_.midway(); }
  const RedisClient& client() const { return client_; }

 private:
  ClientProtocol::Took take_fast(Bytes input);
  ClientProtocol::Took take_one(Bytes input);
  ClientProtocol::Took take_line(Bytes input);
  void fail(const std::string& message);
  ClientProtocol::Took took(std::size_t bytes);

  CommandServer& server_;
  Session& session_;
  const Options options_;
  RedisClient client_;
  RedisRunner runner_;
  resp::CommandReader reader_;
  std::size_t searched_ = 0;  // Of a line that is not complete.
};

// The dialect of those who speak nothing but Redis: arrays, and lines that are Redis commands.
class RespProtocol final : public ClientProtocol {
 public:
  // Both outlive the protocol.
  RespProtocol(CommandServer& server, Session& session)
      : session_(session), commands_(server, session, {.inline_commands = true}) {}
  Took take(Bytes input) override;
  void refuse(const Error& why) override;
  const RedisClient* redis_client() const override { return &commands_.client(); }
  ClientDialect dialect() const override { return ClientDialect::resp; }

 private:
  Session& session_;
  Http begins_ = Http::undecided;  // What the connection begins with.
  RedisProtocol commands_;
};

}  // namespace dhrt
