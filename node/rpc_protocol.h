// A listener for JSON-RPC alone: HTTP with any method and path, also from pages of any origin.
#pragma once

#include "node/commands.h"
#include "node/head_watch.h"
#include "node/session.h"
#include "protocol/http.h"

namespace dhrt {

class RpcProtocol final : public ClientProtocol {
 public:
  // Both outlive the protocol.
  RpcProtocol(CommandServer& server, Session& session);

  Took take(Bytes input) override;
  void refuse(const Error& why) override;
  ClientDialect dialect() const override { return ClientDialect::rpc; }
  void check_time(Time now, Duration patience) override;

 private:
  void serve(http::Request request);
  void answer_and_close(int status, const std::string& message);

  CommandServer& server_;
  Session& session_;
  http::Parser parser_;
  HeadWatch head_watch_;
};

}  // namespace dhrt
