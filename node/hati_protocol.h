// Hati's text protocol on a session of its own listener. Whatever goes wrong is `+ERR`.
#pragma once

#include "node/commands.h"
#include "node/session.h"
#include "protocol/hati_text.h"
#include "protocol/sniff.h"

namespace dhrt {

class HatiProtocol final : public ClientProtocol {
 public:
  // Both outlive the protocol.
  HatiProtocol(CommandServer& server, Session& session) : server_(server), session_(session) {}

  Took take(Bytes input) override;
  void end_of_input(Bytes rest) override;
  void refuse(const Error& why) override;
  ClientDialect dialect() const override { return ClientDialect::hati; }

 private:
  void run(const hati::Request& request);
  bool may(const hati::Request& request);
  void authenticate(const hati::Request& request);
  void set(const hati::Request& request);
  void get(const hati::Request& request);
  void has(const hati::Request& request);
  void remove(const hati::Request& request);
  void count(const hati::Request& request);
  void flush(const hati::Request& request);
  void reply(Bytes bytes) { session_.reply(bytes, 0); }
  void fail();
  void refuse_http();
  ReplyTicket later();
  // No further request is taken before the reply is there.
  ReplyTicket later_in_order();

  CommandServer& server_;
  Session& session_;
  hati::LineReader reader_;
  Http begins_ = Http::undecided;  // What the connection begins with.
};

}  // namespace dhrt
