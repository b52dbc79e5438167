// The commands of native text lines, bound to their handlers.
//
// A row of command_table() says what a command takes; here stands who does it. A handler gives
// one reply: at once, later by a ticket, or as a stream.
// Errors: replies that begin with ERR or a word of their own (BUSY). Threads: loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "node/backups.h"
#include "node/client_roll.h"
#include "node/database.h"
#include "node/node_report.h"
#include "node/redis_cursors.h"
#include "node/session.h"
#include "protocol/arguments.h"
#include "protocol/fast_command.h"
#include "protocol/reply.h"

namespace dhrt {

class Doorkeeper;
class Levels;
class RedisListeners;
class RedisDelays;
class RedisWaits;
class Watchers;
class NkvdBoard;
class Saves;
class SessionWaits;
struct NodeSettings;
struct RedisShared;

// What handlers work with.
struct CommandServer {
  Database& database;
  const NodeReport& report;
  NodeFigures& figures;
  ProtocolLimits limits;
  ProtocolLimits limits_before_token;  // For sessions that may do nothing yet.
  const ProtocolLimits& limits_of(const Session& session) const {
    return session.grant().role == Role::none ? limits_before_token : limits;
  }
  std::size_t output_buffer_max = 0;
  std::string scratch{};  // For whoever needs one within a call.
  Doorkeeper* doorkeeper = nullptr;
  Levels* levels = nullptr;
  SessionWaits* session_waits = nullptr;
  Backups* backups = nullptr;
  RedisCursors* cursors = nullptr;
  RedisListeners* listeners = nullptr;
  RedisShared* redis = nullptr;
  RedisDelays* delays = nullptr;
  RedisWaits* waits = nullptr;
  Watchers* watchers = nullptr;
  Saves* saves = nullptr;
  NodeSettings* settings = nullptr;
  const NodeOptions* options = nullptr;
  const NkvdBoard* nkvd = nullptr;                // Null: there is no mesh.
  std::function<void(bool hastens)> shut_down{};  // From any thread.
  // Reads again what may change while a node runs, and calls back on a thread that may be another.
  std::function<void(std::function<void(Status)>)> reload{};
  // Gives up a node, by its name, id or address; calls back as reload does.
  std::function<void(std::string, std::function<void(Status)>)> evict{};
  // Takes the vote of this node, then lets it leave; calls back before that, as reload does.
  std::function<void(std::function<void(Status)>)> leave_for_good{};
  EveryLoop loops{};
  std::function<void(std::function<void()>)> post{};  // Runs it on this loop; from any thread.
  FastBatch fast_batch{};  // Of the take() under way; all connections of the loop use the one.
};

class CommandCall {
 public:
  CommandCall(CommandServer& server, Session& session, Arguments arguments)
      : server_(server), session_(session), arguments_(std::move(arguments)) {}

  Database& database() { return server_.database; }
  CommandServer& server() { return server_; }
  Session& session() { return session_; }
  const std::vector<std::string>& words() const { return arguments_.words; }
  std::vector<std::string>& words() { return arguments_.words; }
  const Arguments& arguments() const { return arguments_; }

  void reply(const Reply& reply, Position position = 0);
  void fail(const Error& error);

  // Gives the reply later; safe when the session has ended by then.
  class Later {
   public:
    Later(CommandServer& server, ReplyTicket ticket) : server_(&server), ticket_(ticket) {}
    void reply(const Reply& reply, Position position = 0) const;
    void fail(const Error& error) const;

   private:
    CommandServer* server_;
    ReplyTicket ticket_;
  };
  Later later() { return {server_, {&session_.host(), session_.id(), session_.reserve()}}; }
  // No further command of the connection is taken before the reply is there.
  Later later_in_order() {
    return {server_, {&session_.host(), session_.id(), session_.reserve_and_wait()}};
  }

 private:
  CommandServer& server_;
  Session& session_;
  Arguments arguments_;
};

struct CommandBinding {
  std::string_view name;
  void (*run)(CommandCall&);
};
// In order of name; one for every row of command_table().
std::span<const CommandBinding> command_bindings();

// Runs what one line says; every outcome is a reply.
void run_command(CommandServer& server, Session& session, std::vector<text::Token> tokens);

// "ERR <message>", or the word that the error's code has of its own.
Reply to_reply(const Error& error);

// The handlers, by file.
namespace commands {
void set(CommandCall& call);  // key_commands.cc
void get(CommandCall& call);
void has(CommandCall& call);
void del(CommandCall& call);
void count(CommandCall& call);
void keys(CommandCall& call);  // scan_commands.cc
void scan(CommandCall& call);
void create(CommandCall& call);  // collection_commands.cc
void drop(CommandCall& call);
void flush(CommandCall& call);
void collections(CommandCall& call);
void auth(CommandCall& call);  // node_commands.cc
void backup(CommandCall& call);
void evict(CommandCall& call);
void leave(CommandCall& call);
void reload(CommandCall& call);
void help(CommandCall& call);
void nodes(CommandCall& call);
void ping(CommandCall& call);
void quit(CommandCall& call);
void stats(CommandCall& call);
void watch(CommandCall& call);  // watch_command.cc
}  // namespace commands

}  // namespace dhrt
