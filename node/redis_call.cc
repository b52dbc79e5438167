#include "node/redis_call.h"

#include <algorithm>
#include <array>
#include <utility>

#include "node/command_input.h"
#include "node/redis_facts.h"
#include "node/redis_observer.h"
#include "node/redis_permission.h"
#include "node/redis_shared.h"
#include "protocol/resp.h"
#include "protocol/resp_command.h"
#include "protocol/resp_number.h"

namespace dhrt {

namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

// Memory that a large reply leaves behind.
constexpr std::size_t kept_bytes_max = std::size_t{64} << 10;

std::string unknown_command(std::span<const Bytes> words) {
  std::string arguments;
  for (std::size_t i = 1; i < words.size() && arguments.size() < shown_bytes_max; ++i) {
    const std::size_t room = shown_bytes_max - arguments.size();
    arguments += "'" + shown(words[i].substr(0, room)) + "' ";
  }
  return "ERR unknown command '" + shown(words[0]) + "', with args beginning with: " + arguments;
}

bool is_for_listeners(const RedisCommand& command) {
  constexpr std::array names{Bytes("ping"),       Bytes("psubscribe"), Bytes("punsubscribe"),
                             Bytes("quit"),       Bytes("reset"),      Bytes("subscribe"),
                             Bytes("unsubscribe")};
  return std::ranges::find(names, command.name) != names.end();
}

bool is_run_within_multi(const RedisCommand& command) {
  constexpr std::array names{Bytes("discard"), Bytes("exec"),  Bytes("multi"),
                             Bytes("quit"),    Bytes("reset"), Bytes("watch")};
  return std::ranges::find(names, command.name) != names.end();
}

}  // namespace

bool takes_silence(RedisClient& client) {
  using Replies = RedisClient::Replies;
  if (client.replies == Replies::skip_next) {
    client.replies = Replies::skip;
    return true;
  }
  if (client.replies != Replies::skip) return client.replies == Replies::off;
  client.replies = Replies::on;
  return true;
}

bool is_word(Bytes word, Bytes expected) {
  return std::ranges::equal(word, expected, [](char a, char b) { return lower(a) == b; });
}

std::string shown(Bytes word) {
  return std::string(word.substr(0, word.find('\0')).substr(0, shown_bytes_max));
}

std::string to_lower(Bytes text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), lower);
  return out;
}

// --- The call -------------------------------------------------------------------------------

void RedisCall::fail(Bytes message) {
  parts_.out.clear();
  writer_.error(message);
  failed_ = true;
  parts_.server.redis->figures.failed_with(message);
  ++parts_.server.figures.of(ClientDialect::resp).errors_total;
}

void RedisCall::fail(const Error& error) {
  const Reply reply = to_reply(error);
  fail(std::get<ReplyError>(reply.value).message);
}

void RedisCall::wrong_arity(const std::string& name) {
  fail("ERR wrong number of arguments for '" + name + "' command");
}

// A short command may ask for the same long value a million times.
bool RedisCall::has_room() {
  const CommandServer& server = parts_.server;
  if (parts_.out.size() <= server.output_buffer_max + server.limits.value_bytes_max) return true;
  fail("ERR the reply has more than " + std::to_string(server.output_buffer_max) +
       " bytes; ask for less at once, or raise --output-buffer-max");
  return false;
}

// What has been done is done, so that a reply without room becomes an error of its own.
void RedisCall::write(Bytes reply) {
  if (parts_.out.size() <= parts_.server.output_buffer_max) {
    parts_.out += reply;
    return;
  }
  ++parts_.server.figures.of(ClientDialect::resp).errors_total;
  writer_.error(
      "ERR the command was carried out, but its reply has no room below "
      "--output-buffer-max");
}

ReplyTicket RedisCall::later() {
  later_ = true;
  silent_ = takes_silence(parts_.client);
  Session& session = parts_.session;
  return {&session.host(), session.id(), session.reserve_and_wait()};
}

void RedisCall::tell_event(std::uint32_t kind, Bytes event, Bytes key) {
  KeyEvents* const events = database().events();
  if (events != nullptr && events->any()) events->tell(kind, event, collection(), key);
}

void RedisCall::name_writes(KeyEvents::Name name) {
  if (database().events() != nullptr) database().events()->rename(name);
}

RedisLater RedisCall::answer_later() {
  const ReplyTicket ticket = later();
  return {ticket, parts_.client.version, silent_};
}

bool RedisCall::may_wait() {
  if (!is_nested()) return true;
  fail("ERR '" + std::string(command().name) +
       "' is answered later and cannot be a part of a transaction; send it before MULTI, or "
       "behind EXEC");
  return false;
}

void RedisLater::give(FunctionRef<void(resp::Writer&)> write, Position position) const {
  std::string out;
  resp::Writer writer(out, version_);
  if (!silent_) write(writer);
  ticket_.give(std::move(out), position);
}

// What others may have that was not brought does not count: neither in a change, which goes by what
// is held here, nor when they were asked already.
bool RedisCall::read(Bytes key, FunctionRef<void(const RecordView*)> show) {
  if (failed_ || !has_room()) return false;
  const Database::Brought* brought = nullptr;
  const bool goes_by_held = is_nested() || command().access == RedisAccess::changes;
  if (parts_.brought != nullptr || goes_by_held) brought = &nothing_brought();
  if (parts_.brought != nullptr) {
    const auto found = parts_.brought->find(key);
    if (found != parts_.brought->end()) brought = &found->second;
  }
  bool missed = false;
  const auto known =
      database().read_with(collection(), HashedKey(key), brought, [&](const RecordView* held) {
        missed = held == nullptr && command().access == RedisAccess::reads;
        show(held);
      });
  if (!known) {
    fail(known.error());
    return false;
  }
  if (!*known) {
    unknown_.push_back(key);
    show(nullptr);
  }
  if (missed) tell_event(event_flags::missed, "keymiss", key);
  return *known;
}

bool RedisCall::change(Bytes key, RecordWriter::Decide decide) {
  return change(collection(), key, decide);
}

bool RedisCall::change(Bytes collection, Bytes key, RecordWriter::Decide decide) {
  if (failed_) return false;
  std::size_t bytes = 0;
  const auto written =
      database().change(collection, HashedKey(key), [&](const RecordView* held, Change& change) {
        const bool writes = decide(held, change);
        bytes = writes ? change.value.size() : 0;
        return writes;
      });
  client().changed_bytes += bytes;
  if (!written) {
    fail(written.error());
    return false;
  }
  if (*written) promises((*written)->position);
  return true;
}

bool RedisCall::may(Role needed, Bytes collection) {
  const auto refused = parts_.server.doorkeeper->refusal(
      parts_.session, {.role = needed, .collection = collection}, command().name);
  if (refused) fail(too_weak_error);
  return !refused;
}

bool RedisCall::settled() {
  if (is_nested() || parts_.brought != nullptr || !database().asks_before_change(collection()))
    return true;
  visit_keys(command(), words(), [this](Bytes key) { unknown_.push_back(key); });
  takes_in_ = true;
  return unknown_.empty();
}

bool RedisCall::settled_for(const std::vector<RedisKept>& commands) {
  if (parts_.brought != nullptr || !database().asks_before_change(collection())) return true;
  for (const RedisKept& kept : commands)
    visit_keys(*kept.command, kept.words, [this](Bytes key) { unknown_.push_back(key); });
  takes_in_ = true;
  return unknown_.empty();
}

RedisCall::Parts RedisCall::nested(const RedisCommand& command, std::span<const Bytes> words,
                                   std::string& out) {
  return {parts_.server, parts_.session, parts_.client, command, words, out, nullptr, true};
}

const Database::Brought& RedisCall::nothing_brought() {
  static const Database::Brought nothing;
  return nothing;
}

Change RedisCall::fresh(Bytes value) const {
  const std::uint64_t ttl = parts_.server.database.config(collection()).ttl_milliseconds;
  return {.value = value,
          .attributes = {},
          .deadline = ttl == 0 ? 0 : parts_.server.database.wall() + ttl,
          .deletes = false};
}

std::optional<std::int64_t> RedisCall::integer(Bytes text) {
  const auto number = resp::parse_integer(text);
  if (!number) fail("ERR value is not an integer or out of range");
  return number;
}

bool RedisCall::fits(std::size_t value_bytes) {
  if (value_bytes <= parts_.server.limits.value_bytes_max) return true;
  fail("ERR string exceeds maximum allowed size (" +
       std::to_string(parts_.server.limits.value_bytes_max) + " bytes, --max-value-bytes)");
  return false;
}

// --- The runner -----------------------------------------------------------------------------

// A command whose records other nodes are asked for.
struct RedisRunner::Asking {
  const RedisCommand& command;
  std::vector<std::string> words;
  ReplyTicket ticket;
  bool takes_in = false;
  std::size_t open = 0;  // Answers that are still to come, and one while they are asked for.
  BroughtRecords brought{};
};

void RedisRunner::fail(Bytes message) {
  ++server_.figures.of(ClientDialect::resp).errors_total;
  server_.redis->figures.failed_with(message);
  if (takes_silence(client_)) return;
  resp::Writer writer(session_.open_reply(0), client_.version);
  writer.error(message);
}

void RedisRunner::run(std::span<const Bytes> words) {
  if (words.empty()) return;
  ++server_.figures.of(ClientDialect::resp).commands_total;
  const RedisCommand* command = find_redis_command(words[0]);
  if (command == nullptr) {
    session_.starts_request(ClientDialect::resp, "?");
    return refuse(nullptr, unknown_command(words));
  }
  note_command(*command, words);
  session_.starts_request(ClientDialect::resp, command->name);
  if (!admit(*command, words)) return;
  if (client_.transaction && has_flag(*command, "no_multi"))
    return refuse(command, "ERR Command not allowed inside a transaction");
  if (client_.transaction && !is_run_within_multi(*command)) return keep(*command, words);
  call(*command, words);
}

// Commands without flags have subcommands, which have them.
void RedisRunner::note_command(const RedisCommand& command, std::span<const Bytes> words) {
  client_.last_command = command.name;
  client_.last_subcommand.clear();
  if (command.flags.empty() && words.size() > 1)
    client_.last_subcommand = redis::is_client_name(words[1]) ? to_lower(shown(words[1])) : "?";
}

// A command that is not run at all; EXEC will tell, unless it is EXEC.
void RedisRunner::refuse(const RedisCommand* command, Bytes message) {
  if (command != nullptr) note_refused(server_, *command);
  if (command == nullptr || command->name != "exec") {
    if (client_.transaction) client_.transaction->broken = true;
    return fail(message);
  }
  client_.transaction.reset();
  client_.watched.clear();
  constexpr Bytes word = "ERR ";
  const Bytes reason = message.starts_with(word) ? message.substr(word.size()) : message;
  fail("EXECABORT Transaction discarded because of: " + std::string(reason));
}

void RedisRunner::keep(const RedisCommand& command, std::span<const Bytes> words) {
  RedisTransaction& transaction = *client_.transaction;
  for (const Bytes word : words)
    transaction.bytes += word.size() + sizeof(std::string);
  if (transaction.bytes > resp::command_bytes_max(server_.limits))
    return refuse(&command, "ERR the commands behind MULTI have more than " +
                                std::to_string(resp::command_bytes_max(server_.limits)) +
                                " bytes; send fewer of them, or raise --max-value-bytes");
  if (!transaction.broken) transaction.commands.push_back({&command, {words.begin(), words.end()}});
  if (takes_silence(client_)) return;
  resp::Writer writer(session_.open_reply(0), client_.version);
  writer.simple("QUEUED");
}

bool RedisRunner::admit(const RedisCommand& command, std::span<const Bytes> words) {
  if (client_.only_listens() && !is_for_listeners(command)) {
    refuse(&command, "ERR Can't execute '" + std::string(command.name) +
                         "': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are "
                         "allowed in this context");
    return false;
  }
  if (!arity_is_right(command, words.size())) {
    refuse(&command,
           "ERR wrong number of arguments for '" + std::string(command.name) + "' command");
    return false;
  }
  if (const auto refused = redis_refusal(server_, session_, client_, command, words)) {
    refuse(&command, *refused);
    return false;
  }
  Status status;
  visit_keys(command, words, [&](Bytes key) {
    if (status) status = check_key(key);
  });
  if (status && command.first_key != 0) status = server_.database.member();
  if (status) return true;
  refuse(&command, std::get<ReplyError>(to_reply(status.error()).value).message);
  return false;
}

void RedisRunner::call(const RedisCommand& command, std::span<const Bytes> words) {
  out_.clear();
  RedisCall call({server_, session_, client_, command, words, out_});
  if (command.access != RedisAccess::changes || call.settled()) run_observed(call);
  finish(call);
  if (out_.capacity() > kept_bytes_max) out_ = {};
}

void RedisRunner::finish(RedisCall& call) {
  if (call.is_later()) return;
  if (!call.unknown().empty() && !call.failed())
    return ask(call.command(), call.words(), call.unknown(), call.takes_in());
  const bool silent = takes_silence(client_);
  auto stream = call.take_stream();
  if (silent) return;
  if (stream)
    session_.stream(std::move(stream));
  else
    session_.open_reply(call.position()) += out_;
}

void RedisRunner::ask(const RedisCommand& command, std::span<const Bytes> words,
                      const std::vector<Bytes>& keys, bool takes_in) {
  const auto asking = std::make_shared<Asking>(
      Asking{command,
             {words.begin(), words.end()},
             {&session_.host(), session_.id(), session_.reserve_and_wait()},
             takes_in,
             keys.size() + 1});
  for (const Bytes key : keys) {
    server_.database.ask(client_.collection, key,
                         [this, asking, key = std::string(key)](FanoutReply reply) {
                           // With its session this runner is gone, too.
                           const ReplyTicket& ticket = asking->ticket;
                           if (ticket.host->session(ticket.session) == nullptr) return;
                           asking->brought[key] = std::move(reply.record);
                           answered(asking);
                         });
  }
  answered(asking);
}

// The last answer is there: the command runs again, now that everything is known.
void RedisRunner::answered(const std::shared_ptr<Asking>& asking) {
  if (--asking->open > 0) return;
  std::vector<Bytes> words(asking->words.begin(), asking->words.end());
  std::string out;
  RedisCall call({server_, session_, client_, asking->command, words, out, &asking->brought});
  for (const auto& [key, record] : asking->brought) {
    if (!asking->takes_in || !record) continue;
    const Status taken = server_.database.take_in(client_.collection, key, *record);
    if (!taken) call.fail(taken.error());
  }
  if (!call.failed()) {
    // What ran before was noted then; a change did not run before.
    if (asking->takes_in)
      run_observed(call);
    else
      asking->command.run(call);
  }
  asking->ticket.give(takes_silence(client_) ? std::string() : std::move(out), call.position());
}

}  // namespace dhrt
