// Commands of Redis clients on a session: arrays of bulk strings, one after the other.
#pragma once

#include "node/redis_call.h"
#include "protocol/resp_command.h"

namespace dhrt {

class RedisProtocol {
 public:
  // Both outlive the protocol.
  RedisProtocol(CommandServer& server, Session& session)
      : server_(server), session_(session), runner_(server, session, client_) {}
  RedisProtocol(const RedisProtocol&) = delete;
  RedisProtocol& operator=(const RedisProtocol&) = delete;
  ~RedisProtocol();

  // Takes commands from the front of `input`, which begins with '*' or goes on where the last call
  // stopped midway.
  ClientProtocol::Took take(Bytes input);
  bool midway() const { return reader_.midway(); }

 private:
  ClientProtocol::Took take_fast(Bytes input);
  ClientProtocol::Took take_one(Bytes input);

  CommandServer& server_;
  Session& session_;
  RedisClient client_;
  RedisRunner runner_;
  resp::CommandReader reader_;
};

// A listener for them alone.
class RespProtocol final : public ClientProtocol {
 public:
  // Both outlive the protocol.
  RespProtocol(CommandServer& server, Session& session)
      : session_(session), commands_(server, session) {}

  Took take(Bytes input) override { return commands_.take(input); }
  void refuse(const Error& why) override;

 private:
  Session& session_;
  RedisProtocol commands_;
};

}  // namespace dhrt
