// One command of a Redis client on its way: its words, its reply, and the data it is about.
//
// Intuition: a handler reads and changes keys as if all were here and writes its reply at once. If
// a read met a key of which other nodes may know more, the reply is thrown away, they are asked,
// and the handler runs again with what they had. So a command that reads must only read; one that
// changes what it has read says so in the table (RedisAccess::changes), or asks settled() first.
//
// Errors: fail() replaces whatever was written. Threads: loop thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "node/commands.h"
#include "node/redis_client.h"
#include "node/redis_table.h"
#include "protocol/resp_writer.h"

namespace dhrt {

// What other nodes had of keys of the selected collection.
using BroughtRecords = std::map<std::string, Database::Brought, std::less<>>;

// A reply that is given when its command is long over; its session may be gone by then.
class RedisLater {
 public:
  RedisLater(const ReplyTicket& ticket, resp::Version version, bool silent)
      : ticket_(ticket), version_(version), silent_(silent) {}
  void give(FunctionRef<void(resp::Writer&)> write, Position position = 0) const;

 private:
  ReplyTicket ticket_;
  resp::Version version_;
  bool silent_;  // CLIENT REPLY leaves it out.
};

class RedisCall {
 public:
  struct Parts {
    CommandServer& server;
    Session& session;
    RedisClient& client;
    const RedisCommand& command;
    std::span<const Bytes> words;
    std::string& out;                         // Where the reply is written; empty at first.
    const BroughtRecords* brought = nullptr;  // Null: nobody was asked.
    bool is_nested = false;
  };
  explicit RedisCall(const Parts& parts)
      : parts_(parts), writer_(parts.out, parts.client.version) {}

  const RedisCommand& command() const { return parts_.command; }
  std::span<const Bytes> words() const { return parts_.words; }
  std::size_t count() const { return parts_.words.size(); }
  // From 0, the name of the command.
  Bytes word(std::size_t index) const { return parts_.words[index]; }
  RedisClient& client() { return parts_.client; }
  CommandServer& server() { return parts_.server; }
  Session& session() { return parts_.session; }
  Database& database() { return parts_.server.database; }
  Bytes collection() const { return parts_.client.collection; }

  // --- The reply.
  resp::Writer& reply() { return writer_; }
  // For those that change the version.
  resp::Writer reply_in(resp::Version version) { return {parts_.out, version}; }
  void fail(Bytes message);
  void fail(const Error& error);
  bool failed() const { return failed_; }
  void syntax_error() { fail("ERR syntax error"); }
  // As Redis words it, for subcommands as "client|id".
  void wrong_arity(const std::string& name);
  // The reply waits until the store is durable up to there.
  void promises(Position position) { position_ = std::max(position_, position); }
  Position position() const { return position_; }
  // The reply is given by a ticket, and no further command is taken before.
  ReplyTicket later();
  bool is_later() const { return later_; }
  RedisLater answer_later();
  // False: the call has failed, for it is part of a transaction, which answers at once.
  bool may_wait();
  // Of a reply that is given later: CLIENT REPLY leaves it out.
  bool is_silent() const { return silent_; }
  // The reply is a stream.
  void stream(std::unique_ptr<ReplyStream> stream) { stream_ = std::move(stream); }
  std::unique_ptr<ReplyStream> take_stream() { return std::move(stream_); }

  // False: the call has failed, for its reply is larger than one may be. Whoever writes items as
  // many as the client likes asks now and then.
  bool has_room();

  // --- Data of the selected collection.
  // Shows what is visible of a key, or null. False: the call has failed, or others are to be asked.
  bool read(Bytes key, FunctionRef<void(const RecordView*)> show);
  // As Database::change(). False: the call has failed.
  bool change(Bytes key, RecordWriter::Decide decide);
  bool change(Bytes collection, Bytes key, RecordWriter::Decide decide);
  // False: other nodes are to be asked first; then return, the command is run again.
  bool settled();
  // False: the client's token is not good for that, and the call has failed. For collections that
  // are not the selected one.
  bool may(Role needed, Bytes collection);
  // A key that is written anew: no attributes, the deadline of the collection. Not for within
  // change(): it asks for the configuration, whose lock is taken by those who then lock keys.
  Change fresh(Bytes value) const;
  // The same for commands that are kept: whether the others must be asked for any of their keys.
  bool settled_for(const std::vector<RedisKept>& commands);
  // Keys of which others are to be asked, and whether the store takes in what they have.
  const std::vector<Bytes>& unknown() const { return unknown_; }
  bool takes_in() const { return takes_in_; }

  // --- Keyspace events.
  // Beside that of a write, which is told by itself.
  void tell_event(std::uint32_t kind, Bytes event, Bytes key);
  // Until the end of the call.
  void name_writes(KeyEvents::Name name);

  // --- Calls within this one, as EXEC makes them: they go by what is held here and reply at once.
  Parts nested(const RedisCommand& command, std::span<const Bytes> words, std::string& out);
  bool is_nested() const { return parts_.is_nested; }
  void write(Bytes reply);
  static const Database::Brought& nothing_brought();

  // --- Arguments. Absent: the call has failed.
  std::optional<std::int64_t> integer(Bytes text);
  // The longest value; false: the call has failed.
  bool fits(std::size_t value_bytes);

 private:
  Parts parts_;
  resp::Writer writer_;
  Position position_ = 0;
  bool failed_ = false;
  bool later_ = false;
  bool silent_ = false;
  std::unique_ptr<ReplyStream> stream_;
  bool takes_in_ = false;
  std::vector<Bytes> unknown_;
};

// Words of options are compared in any case; `lower` is in lower case.
bool is_word(Bytes word, Bytes lower);
std::string to_lower(Bytes text);
// What errors show of a word, as Redis does: up to a zero byte, and no more than this.
inline constexpr std::size_t shown_bytes_max = 128;
std::string shown(Bytes word);

// Runs a command, every outcome is a reply.
class RedisRunner {
 public:
  // All outlive the runner, and are gone only together with the session.
  RedisRunner(CommandServer& server, Session& session, RedisClient& client)
      : server_(server), session_(session), client_(client) {}
  void run(std::span<const Bytes> words);
  void fail(Bytes message);

 private:
  struct Asking;
  bool admit(const RedisCommand& command, std::span<const Bytes> words);
  void call(const RedisCommand& command, std::span<const Bytes> words);
  void finish(RedisCall& call);
  // Null: nobody knows which command it was.
  void refuse(const RedisCommand* command, Bytes message);
  void keep(const RedisCommand& command, std::span<const Bytes> words);
  void note_command(const RedisCommand& command, std::span<const Bytes> words);
  void ask(const RedisCommand& command, std::span<const Bytes> words,
           const std::vector<Bytes>& keys, bool takes_in);
  void answered(const std::shared_ptr<Asking>& asking);

  CommandServer& server_;
  Session& session_;
  RedisClient& client_;
  std::string out_;  // Of the call under way.
};

}  // namespace dhrt
