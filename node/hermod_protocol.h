// Hermod's protocol on a session of its own listener. Tables are collections; `_basedb`, which is
// always there, is the collection `basedb`.
//
// Where Hermod's own token is configured, a client that did not give it may read and add, but
// neither change nor delete, nor see or make tables. Where dhrt has tokens (node/access.h), theirs
// are the roles: an administrator's token makes a superuser, and without one nothing is done.
#pragma once

#include <string>

#include "node/commands.h"
#include "node/session.h"
#include "protocol/hermod.h"
#include "protocol/sniff.h"

namespace dhrt {

struct HermodRules {
  hermod::Terminator terminator = hermod::Terminator::manual;
  std::string token;       // Of Hermod's own configuration, an administrator's; empty: none.
  bool anonymous = false;  // Where dhrt has tokens: who shows none may read and add all the same.
};

class HermodProtocol final : public ClientProtocol {
 public:
  // All outlive the protocol.
  HermodProtocol(CommandServer& server, const HermodRules& rules, Session& session)
      : server_(server), rules_(rules), session_(session) {}

  Took take(Bytes input) override;
  void refuse(const Error& why) override;
  ClientDialect dialect() const override { return ClientDialect::hermod; }

 private:
  struct Later;
  const ProtocolLimits& limits() const;
  void greet(const hermod::Reader::Read& read);
  void run(const hermod::Request& request);
  void get(const hermod::Request& request);
  void set(const hermod::Request& request);
  void add(const hermod::Request& request, const std::string& collection);
  void overwrite(const hermod::Request& request, const std::string& collection);
  void remove(const hermod::Request& request);
  void run_super(const hermod::Request& request);
  void list_tables();
  void table_length(const hermod::Request& request);
  void create_table(const hermod::Request& request);
  void delete_table(const hermod::Request& request);
  void leave();
  // Absent: answered already, there is no such table.
  std::optional<std::string> table_of(const hermod::Request& request);
  // What the client's token is good for; Hermod's own rule comes on top.
  bool may(Role needed, const hermod::Request& request);
  // Whether it may replace and delete, not only add.
  bool may_change(const std::string& collection) const;
  bool check_key_of(const hermod::Request& request);
  void reply(unsigned code, Bytes data = {}, Position position = 0);
  void fail(const Error& error);
  // The same code for who may not do it.
  void refuse_request(unsigned code);
  void refuse_http();
  // A reply that comes later, before any other request of the connection is taken.
  Later later();

  CommandServer& server_;
  const HermodRules& rules_;
  Session& session_;
  Http begins_ = Http::undecided;  // What the connection begins with.
  hermod::Reader reader_;
  hermod::Api api_ = hermod::Api::v0_3;
  bool is_super_ = false;
  std::uint64_t begun_ = 0;  // When the request under way did, in nanoseconds.
};

}  // namespace dhrt
