#include "node/hati_protocol.h"

#include <utility>

#include "node/count_keys.h"
#include "node/doorkeeper.h"
#include "node/hati_storage.h"

namespace dhrt {

using hati::Request;
using hati::Verb;

namespace {

Bytes name_of(Verb verb) {
  switch (verb) {
    case Verb::set:
      return "SET";
    case Verb::get:
      return "GET";
    case Verb::has:
      return "HAS";
    case Verb::remove:
      return "DELETE";
    case Verb::count:
      return "COUNT";
    case Verb::flush_all:
      return "FLUSHALL";
    case Verb::stats:
      return "STATS";
    case Verb::auth:
      return "AUTH";
    case Verb::none:
      break;
  }
  return "?";
}

// Counts an error as it answers it.
std::string failed(NodeFigures& figures) {
  ++figures.of(ClientDialect::hati).errors_total;
  return std::string(hati::error_reply);
}

std::string value_or_error(NodeFigures& figures, const Result<Database::Found>& found) {
  if (!found) return failed(figures);
  if (!found->record) return std::string(hati::miss_reply);
  std::string bytes;
  hati::append_line(bytes, found->record->value);
  return bytes;
}

}  // namespace

ClientProtocol::Took HatiProtocol::take(Bytes input) {
  if (begins_ == Http::undecided) begins_ = begins_with_http(input);
  if (begins_ == Http::undecided) return {};
  if (begins_ == Http::yes) {
    refuse_http();
    return {.bytes = input.size()};
  }
  const hati::LineReader::Read read = reader_.read(input, server_.limits_of(session_));
  if (read.complete) run(read.request);
  return {.bytes = read.consumed};
}

void HatiProtocol::refuse_http() {
  server_.doorkeeper->refused(session_, http_elsewhere);
  fail();
  session_.close_after_replies();
}

// The end of the stream ends the line, but a client that died in the middle of a value meant more.
void HatiProtocol::end_of_input(Bytes rest) {
  const Request request = hati::parse_request(rest, server_.limits_of(session_));
  run(hati::only_reads(request.verb) ? request : Request());
}

void HatiProtocol::refuse(const Error&) {
  fail();
}

void HatiProtocol::fail() {
  reply(failed(server_.figures));
}

ReplyTicket HatiProtocol::later() {
  return {&session_.host(), session_.id(), session_.reserve()};
}

ReplyTicket HatiProtocol::later_in_order() {
  return {&session_.host(), session_.id(), session_.reserve_and_wait()};
}

bool HatiProtocol::may(const Request& request) {
  Doorkeeper::Needs needs{.role = Role::read, .collection = request.type};
  switch (request.verb) {
    case Verb::auth:
      return true;
    case Verb::set:
    case Verb::remove:
    case Verb::flush_all:
      needs.role = Role::write;
      break;
    case Verb::none:  // A line may be none because it is longer than those of strangers may be.
    case Verb::stats:
      needs = {.role = Role::read, .looks = true};
      break;
    case Verb::get:
    case Verb::has:
    case Verb::count:
      break;
  }
  return !server_.doorkeeper->refusal(session_, needs, "a request of Hati's protocol");
}

// While no token is configured, none is right.
void HatiProtocol::authenticate(const Request& request) {
  const auto grant = server_.doorkeeper->take_token(request.value, session_.client_host());
  if (!grant) return fail();
  session_.set_grant(**grant);
  reply(hati::ok_reply);
}

void HatiProtocol::run(const Request& request) {
  ++server_.figures.of(ClientDialect::hati).commands_total;
  session_.starts_request(ClientDialect::hati, name_of(request.verb));
  if (!may(request)) return fail();
  switch (request.verb) {
    case Verb::set:
      return set(request);
    case Verb::get:
      return get(request);
    case Verb::has:
      return has(request);
    case Verb::remove:
      return remove(request);
    case Verb::count:
      return count(request);
    case Verb::flush_all:
      return flush(request);
    case Verb::stats:
      return hati::append_line(session_.open_reply(0), hati::stats(server_, session_.grant()));
    case Verb::auth:
      return authenticate(request);
    case Verb::none:
      return fail();
  }
}

void HatiProtocol::set(const Request& request) {
  if (!hati::is_storage(request.type)) return reply(hati::bad_type_reply);
  const auto written =
      server_.database.set(request.type, request.key, request.value,
                           {.ttl_milliseconds = request.ttl_milliseconds, .blind = true});
  if (!written) return fail();
  session_.reply(hati::ok_reply, written->position);
}

void HatiProtocol::get(const Request& request) {
  if (!hati::is_storage(request.type)) return reply(hati::nothing_reply);
  Database& database = server_.database;
  const bool known = database.read_at_once(database.place(request.type), HashedKey(request.key),
                                           [&](const RecordView* record) {
                                             std::string& out = session_.open_reply(0);
                                             if (record == nullptr)
                                               out += hati::miss_reply;
                                             else
                                               hati::append_line(out, record->value);
                                           });
  if (known) return;
  database.read(request.type, request.key, Database::ReadFrom::cluster,
                [ticket = later(), &figures = server_.figures](Result<Database::Found> found) {
                  ticket.give(value_or_error(figures, found), 0);
                });
}

void HatiProtocol::has(const Request& request) {
  if (!hati::is_storage(request.type)) return fail();
  server_.database.read(
      request.type, request.key, Database::ReadFrom::cluster,
      [ticket = later(), &figures = server_.figures](Result<Database::Found> found) {
        // Of a damaged value it is known that it is there.
        const bool there = found ? found->record.has_value()  //
                                 : found.error().code == ErrorCode::corrupt;
        if (there) return ticket.give(std::string(hati::ok_reply), 0);
        ticket.give(found ? std::string(hati::error_reply) : failed(figures), 0);
      });
}

void HatiProtocol::remove(const Request& request) {
  if (!hati::is_storage(request.type)) return reply(hati::ok_reply);
  server_.database.remove(
      request.type, request.key,
      [ticket = later_in_order(), &figures = server_.figures](Result<Database::Removed> removed) {
        if (!removed) return ticket.give(failed(figures), 0);
        ticket.give(std::string(hati::ok_reply), removed->position);
      });
}

void HatiProtocol::count(const Request& request) {
  if (!hati::is_storage(request.type) || !server_.database.member()) return fail();
  count_keys(server_, std::string(request.type), [ticket = later_in_order()](std::uint64_t live) {
    std::string bytes;
    hati::append_count(bytes, live);
    ticket.give(std::move(bytes), 0);
  });
}

void HatiProtocol::flush(const Request& request) {
  if (!hati::is_storage(request.type)) return reply(hati::ok_reply);
  const auto flushed = server_.database.flush(request.type);
  // A kind that nothing was put into yet is empty already.
  if (!flushed && flushed.error().code != ErrorCode::not_found) return fail();
  session_.reply(hati::ok_reply, flushed ? *flushed : 0);
}

}  // namespace dhrt
