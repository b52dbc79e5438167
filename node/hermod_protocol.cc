#include "node/hermod_protocol.h"

#include <utility>

#include "node/command_input.h"
#include "node/count_keys.h"
#include "node/doorkeeper.h"
#include "node/secret.h"

namespace dhrt {

using hermod::Request;
using hermod::Verb;

namespace {

constexpr Bytes base_table = "_basedb";
constexpr Bytes base_collection = "basedb";
constexpr Bytes refused_request = "a request of Hermod's protocol";  // For the log.

// Empty: no table can be called that.
std::string collection_of(Bytes table) {
  if (table == base_table) return std::string(base_collection);
  if (table == base_collection || !check_collection(table)) return {};
  return std::string(table);
}

Bytes name_of(Verb verb) {
  switch (verb) {
    case Verb::get:
      return "get";
    case Verb::set:
      return "set";
    case Verb::remove:
      return "del";
    case Verb::list_tables:
      return "sup gettab";
    case Verb::table_length:
      return "sup length";
    case Verb::create_table:
      return "sup create";
    case Verb::delete_table:
      return "sup delete";
    case Verb::leave:
      return "ext";
    case Verb::none:
    case Verb::bad_super:
      break;
  }
  return "?";
}

unsigned code_of(const Error& error) {
  return error.code == ErrorCode::invalid_argument ? 400 : 500;
}

}  // namespace

// --- Replies --------------------------------------------------------------------------------

struct HermodProtocol::Later {
  ReplyTicket ticket;
  hermod::Terminator terminator;
  NodeFigures* figures;
  std::uint64_t begun;

  hermod::Tail tail(unsigned code) const { return {uv_hrtime() - begun, code}; }
  void reply(unsigned code, Bytes data = {}, Position position = 0) const {
    std::string bytes;
    hermod::append_reply(bytes, data, tail(code), terminator);
    ticket.give(std::move(bytes), position);
  }
  void value(Bytes stored) const {
    if (!hermod::can_tell(stored))
      return fail({ErrorCode::io, "the value holds a byte 4, which ends replies of this protocol"});
    std::string bytes;
    hermod::append_value_reply(bytes, stored, tail(200), terminator);
    ticket.give(std::move(bytes), 0);
  }
  void fail(const Error& error) const {
    ++figures->of(ClientDialect::hermod).errors_total;
    reply(code_of(error), error.message);
  }
};

HermodProtocol::Later HermodProtocol::later() {
  return {.ticket = {&session_.host(), session_.id(), session_.reserve_and_wait()},
          .terminator = rules_.terminator,
          .figures = &server_.figures,
          .begun = begun_};
}

void HermodProtocol::reply(unsigned code, Bytes data, Position position) {
  hermod::append_reply(session_.open_reply(position), data, {uv_hrtime() - begun_, code},
                       rules_.terminator);
}

void HermodProtocol::fail(const Error& error) {
  ++server_.figures.of(ClientDialect::hermod).errors_total;
  reply(code_of(error), error.message);
}

void HermodProtocol::refuse(const Error& why) {
  begun_ = uv_hrtime();
  ++server_.figures.of(ClientDialect::hermod).errors_total;
  reply(500, why.message);
}

void HermodProtocol::refuse_request(unsigned code) {
  server_.doorkeeper->refused(session_, refused_request);
  reply(code);
}

void HermodProtocol::refuse_http() {
  server_.doorkeeper->refused(session_, http_elsewhere);
  fail({ErrorCode::invalid_argument, std::string(http_not_spoken)});
  session_.close_after_replies();
}

// --- Messages -------------------------------------------------------------------------------

ClientProtocol::Took HermodProtocol::take(Bytes input) {
  using Outcome = hermod::Reader::Read::Outcome;
  begun_ = uv_hrtime();
  if (begins_ == Http::undecided) begins_ = begins_with_http(input);
  if (begins_ == Http::undecided) return {};
  if (begins_ == Http::yes) {
    refuse_http();
    return {.bytes = input.size()};
  }
  hermod::Reader::Read read = reader_.read(input, limits());
  if (read.outcome == Outcome::greeting) {
    greet(read);
    if (read.consumed > 0) return {.bytes = read.consumed};
    read = reader_.read(input, limits());
  }
  if (read.outcome == Outcome::message) run(hermod::parse_request(read.message));
  if (read.outcome == Outcome::too_long) {
    ++server_.figures.of(ClientDialect::hermod).commands_total;
    if (&limits() == &server_.limits_before_token) {
      refuse_request(405);
      return {.bytes = read.consumed};
    }
    fail({ErrorCode::invalid_argument, "the message is longer than its value may be, " +
                                           std::to_string(server_.limits.value_bytes_max) +
                                           " bytes; --max-value-bytes moves it"});
  }
  return {.bytes = read.consumed};
}

const ProtocolLimits& HermodProtocol::limits() const {
  return rules_.anonymous ? server_.limits : server_.limits_of(session_);
}

void HermodProtocol::greet(const hermod::Reader::Read& read) {
  api_ = read.api;
  static const Grant configured{.name = "Hermod's token", .role = Role::admin, .collections = {}};
  Doorkeeper& doorkeeper = *server_.doorkeeper;
  bool is_hermods = !rules_.token.empty() && read.token && equal_secrets(*read.token, rules_.token);
  if (read.token && (!rules_.token.empty() || !doorkeeper.open())) {
    const Grant* const shown = is_hermods ? &configured : doorkeeper.find(*read.token);
    const auto grant = doorkeeper.judge(shown, session_.client_host());
    if (grant) session_.set_grant(**grant);
    is_hermods = is_hermods && grant;
  }
  // Without tokens of dhrt's own everybody is an administrator, but for Hermod's token.
  const bool is_administrator = session_.grant().may_everywhere(Role::admin);
  is_super_ = is_hermods || (is_administrator && (rules_.token.empty() || !doorkeeper.open()));
  hermod::append_greeting(session_.open_reply(0), api_, is_super_);
}

void HermodProtocol::run(const Request& request) {
  ++server_.figures.of(ClientDialect::hermod).commands_total;
  session_.starts_request(ClientDialect::hermod, name_of(request.verb));
  if (const Status status = server_.database.member(); !status && request.verb != Verb::leave)
    return fail(status.error());
  switch (request.verb) {
    case Verb::none:
      return reply(400);
    case Verb::get:
      return get(request);
    case Verb::set:
      return set(request);
    case Verb::remove:
      return remove(request);
    case Verb::leave:
      return leave();
    case Verb::list_tables:
    case Verb::table_length:
    case Verb::create_table:
    case Verb::delete_table:
    case Verb::bad_super:
      return is_super_ ? run_super(request) : refuse_request(403);
  }
}

void HermodProtocol::leave() {
  session_.reply(hermod::farewell(api_), 0);
  session_.close_after_replies();
}

std::optional<std::string> HermodProtocol::table_of(const Request& request) {
  std::string collection = collection_of(request.table);
  const bool there = request.table == base_table ||
                     (!collection.empty() && server_.database.find(collection) != nullptr);
  if (there) return collection;
  reply(404);
  return std::nullopt;
}

// --- Keys -----------------------------------------------------------------------------------

// Before anything is told of the table, as who may not use it is not to know that it is there.
bool HermodProtocol::may(Role needed, const Request& request) {
  const std::string collection = collection_of(request.table);
  const Doorkeeper& doorkeeper = *server_.doorkeeper;
  const bool is_anonymous = session_.grant().role == Role::none && rules_.anonymous;
  if (doorkeeper.open() || is_anonymous) return true;
  const Doorkeeper::Needs needs{.role = needed, .collection = collection};
  if (!server_.doorkeeper->refusal(session_, needs, refused_request)) return true;
  reply(405);
  return false;
}

bool HermodProtocol::may_change(const std::string& collection) const {
  return is_super_ ||
         (!server_.doorkeeper->open() && session_.grant().may(Role::write, collection));
}

bool HermodProtocol::check_key_of(const Request& request) {
  const Status status = check_key(request.key);
  if (!status) fail(status.error());
  return status.has_value();
}

void HermodProtocol::get(const Request& request) {
  if (!may(Role::read, request) || !check_key_of(request)) return;
  const auto collection = table_of(request);
  if (!collection) return;
  server_.database.read(*collection, request.key, Database::ReadFrom::cluster,
                        [later = later()](const Result<Database::Found>& found) {
                          if (!found) return later.fail(found.error());
                          if (!found->record) return later.reply(404);
                          later.value(found->record->value);
                        });
}

void HermodProtocol::set(const Request& request) {
  if (!may(Role::write, request) || !check_key_of(request)) return;
  if (const Status status = check_value(request.data, server_.limits); !status)
    return fail(status.error());
  const auto collection = table_of(request);
  if (!collection) return;
  if (may_change(*collection))
    overwrite(request, *collection);
  else
    add(request, *collection);
}

void HermodProtocol::overwrite(const Request& request, const std::string& collection) {
  const auto written = server_.database.set(collection, request.key, request.data, {});
  if (!written) return fail(written.error());
  reply(written->existed ? 200 : 201, {}, written->position);
}

// Only what nobody has: another node is asked before, and this one again as it writes.
void HermodProtocol::add(const Request& request, const std::string& collection) {
  Database& database = server_.database;
  // The session may be gone by then.
  const auto refuse = [&doorkeeper = *server_.doorkeeper, &grant = session_.grant(),
                       client = session_.client_host()](const Later& later) {
    doorkeeper.refused(grant, client, refused_request);
    later.reply(405);
  };
  database.read(collection, request.key, Database::ReadFrom::cluster,
                [later = later(), refuse, &database, collection, key = std::string(request.key),
                 data = std::string(request.data)](const Result<Database::Found>& found) {
                  const bool damaged = !found && found.error().code == ErrorCode::corrupt;
                  if (!found && !damaged) return later.fail(found.error());
                  if (damaged || found->record) return refuse(later);
                  const auto written = database.set(collection, key, data, {.if_absent = true});
                  if (written) return later.reply(201, {}, written->position);
                  if (written.error().code == ErrorCode::precondition) return refuse(later);
                  later.fail(written.error());
                });
}

void HermodProtocol::remove(const Request& request) {
  if (!may_change(collection_of(request.table))) return refuse_request(405);
  if (!check_key_of(request)) return;
  const auto collection = table_of(request);
  if (!collection) return;
  server_.database.remove(*collection, request.key,
                          [later = later()](const Result<Database::Removed>& removed) {
                            if (!removed) return later.fail(removed.error());
                            later.reply(removed->existed ? 200 : 404, {}, removed->position);
                          });
}

// --- Tables ---------------------------------------------------------------------------------

void HermodProtocol::run_super(const Request& request) {
  switch (request.verb) {
    case Verb::list_tables:
      return list_tables();
    case Verb::table_length:
      return table_length(request);
    case Verb::create_table:
      return create_table(request);
    case Verb::delete_table:
      return delete_table(request);
    default:
      return reply(400);
  }
}

void HermodProtocol::list_tables() {
  std::string list = "[\"" + std::string(base_table) + '"';
  for (const std::string& name : server_.database.collections())
    if (name != base_collection) list += ", \"" + name + '"';
  reply(200, list + "]");
}

void HermodProtocol::table_length(const Request& request) {
  const auto collection = table_of(request);
  if (!collection) return;
  count_keys(server_, *collection,
             [later = later()](std::uint64_t live) { later.reply(200, std::to_string(live)); });
}

void HermodProtocol::create_table(const Request& request) {
  const std::string name = collection_of(request.table);
  if (name.empty() || request.table == base_table) return reply(400);
  const auto made = server_.database.create(name, server_.database.default_config(name));
  if (made) return reply(200, {}, *made);
  if (made.error().code == ErrorCode::precondition) return reply(400);
  fail(made.error());
}

void HermodProtocol::delete_table(const Request& request) {
  if (request.table == base_table || request.table == default_collection) return reply(403);
  const auto collection = table_of(request);
  if (!collection) return;
  const auto dropped = server_.database.drop(*collection);
  if (dropped) return reply(200, {}, *dropped);
  if (dropped.error().code == ErrorCode::not_found) return reply(404);
  fail(dropped.error());
}

}  // namespace dhrt
