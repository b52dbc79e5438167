// Native text lines on a session, and between them the arrays of Redis clients: a command that
// begins with '*' is theirs.
#pragma once

#include <memory>
#include <vector>

#include "node/commands.h"
#include "node/redis_protocol.h"
#include "node/session.h"
#include "protocol/text.h"

namespace dhrt {

class TextProtocol final : public ClientProtocol {
 public:
  // Both outlive the protocol.
  // `dialect`: of the first request, which is what the connection counts as.
  TextProtocol(CommandServer& server, Session& session, ClientDialect dialect = ClientDialect::text)
      : server_(server), session_(session), dialect_(dialect) {}

  Took take(Bytes input) override;
  void refuse(const Error& why) override;
  const RedisClient* redis_client() const override;
  ClientDialect dialect() const override { return dialect_; }

 private:
  Took take_fast(Bytes input);
  std::size_t take_line(Bytes input);
  // To those who monitor.
  void show(const std::vector<text::Token>& tokens);
  RedisProtocol& arrays();

  CommandServer& server_;
  Session& session_;
  const ClientDialect dialect_;
  std::size_t searched_ = 0;               // Of a line that is not complete.
  std::unique_ptr<RedisProtocol> arrays_;  // Since the first array.
};

}  // namespace dhrt
