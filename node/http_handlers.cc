#include "node/http_handlers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "node/http_routes.h"
#include "node/http_token.h"
#include "node/session_rule.h"
#include "node/session_waits.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return 400;
    case ErrorCode::not_found:
      return 404;
    case ErrorCode::denied:
      return 403;
    case ErrorCode::precondition:
      return 412;
    case ErrorCode::full:
      return 507;
    case ErrorCode::busy:
    case ErrorCode::unavailable:
      return 503;
    case ErrorCode::timeout:
      return 504;
    case ErrorCode::corrupt:
    case ErrorCode::io:
      return 500;
  }
  return 500;
}

// Absent: it is not there. An error: it is no level, or stands there twice.
template <typename Level>
Result<std::optional<Level>> level_in(const http::Request& request, Bytes field,
                                      std::optional<Level> (*parse)(Bytes), Bytes levels) {
  std::optional<Level> level;
  for (const http::Header& header : request.headers) {
    if (header.first != field) continue;
    const auto parsed = parse(header.second);
    if (!parsed || (level && *level != *parsed))
      return fail(ErrorCode::invalid_argument, std::string(field) + " is one of " +
                                                   std::string(levels) + ", and stands there once");
    level = parsed;
  }
  return level;
}

// A level that is not given must not be taken for one that is.
Status take_levels(HttpExchange& exchange, const HttpRoute& route) {
  const auto ack = level_in<WriteLevel>(exchange.request(), "x-dhrt-ack", parse_write_level,
                                        "one, quorum, all, linear");
  if (!ack) return tl::unexpected(ack.error());
  const auto read = level_in<ReadLevel>(exchange.request(), "x-dhrt-read", parse_read_level,
                                        "one, fanout, quorum, linear");
  if (!read) return tl::unexpected(read.error());
  const HttpLevels levels{ack->value_or(WriteLevel::one), read->value_or(ReadLevel::fanout)};
  const bool asks = levels.ack != WriteLevel::one || levels.read > ReadLevel::fanout;
  if (asks && !takes_levels(route))
    return fail(ErrorCode::invalid_argument,
                "this path knows no levels; leave X-Dhrt-Ack and X-Dhrt-Read out");
  exchange.set_levels(levels);
  return {};
}

Status take_session(HttpExchange& exchange, const HttpRoute& route) {
  const http::Header* field = nullptr;
  for (const http::Header& header : exchange.request().headers) {
    if (header.first != "x-dhrt-session") continue;
    if (field != nullptr)
      return fail(ErrorCode::invalid_argument, "X-Dhrt-Session stands there once");
    field = &header;
  }
  if (field == nullptr) return {};
  if (!takes_levels(route))
    return fail(ErrorCode::invalid_argument,
                "this path knows no sessions; leave X-Dhrt-Session out");
  auto token = SessionToken::parse(field->second);
  if (!token) return tl::unexpected(token.error());
  exchange.set_seen(*std::move(token));
  return {};
}

// False: it was answered.
bool may(const Exchange& exchange, const HttpRoute& route, const PathWords& words) {
  const std::string what = exchange->request().method + " " + std::string(route.path);
  std::vector<Bytes> collections = collections_of(route, words);
  // A word that is no collection can be a key only.
  if (route.place == HttpRoute::Place::word &&
      exchange->server().database.find(std::string(words[0])) == nullptr)
    collections = {default_collection};
  if (collections.empty())
    return exchange->may({.role = route.role, .looks = route.place == HttpRoute::Place::figures},
                         what);
  std::string hint;
  if (route.place == HttpRoute::Place::word && valid_collection_name(words[0]))
    hint = "; /" + words[0] + " may be the key /default/" + words[0] + " or the collection /" +
           words[0] + "/: ask for the one that you mean";
  return std::ranges::all_of(collections, [&](Bytes collection) {
    return exchange->may({.role = route.role, .collection = collection}, what, hint);
  });
}

// What the token is for, and what was asked for that it is not for.
std::string why_too_weak(const Grant& grant, const Doorkeeper::Needs& needs) {
  if (grant.role < needs.role)
    return "the token has the role " + std::string(to_text(grant.role)) + ", and this takes " +
           std::string(to_text(needs.role));
  std::string names;
  for (const std::string& name : grant.collections)
    names.append(names.empty() ? "" : ", ").append(name);
  const std::string rule = "the token is for these collections only: " + names + "; this is about ";
  if (!needs.collection) return rule + "the whole node";
  const bool named = valid_collection_name(*needs.collection);
  return rule + (named ? "the collection '" + std::string(*needs.collection) + "'"
                       : std::string("what is no name of a collection"));
}

int status_of(SessionWaits::Outcome outcome) {
  switch (outcome) {
    case SessionWaits::Outcome::lost:
      return 410;
    case SessionWaits::Outcome::busy:
      return 503;
    default:
      return 504;
  }
}

// Serves when this node has seen what the request's session has.
void serve(const Exchange& exchange, const HttpRoute& route, PathWords words) {
  if (!exchange->seen()) return route.serve(exchange, words);
  std::vector<std::string> collections;
  for (const Bytes collection : collections_of(route, words))
    collections.emplace_back(collection);
  SessionWaits& waits = *exchange->server().session_waits;
  if (waits.has_seen(*exchange->seen(), collections)) return route.serve(exchange, words);
  exchange->wait();
  waits.begin(*exchange->seen(), std::move(collections),
              [exchange, &route, words](SessionWaits::Outcome outcome, const std::string& why) {
                PathWords named = words;
                // What the words name may be another thing by now.
                if (outcome == SessionWaits::Outcome::seen && !may(exchange, route, named)) return;
                if (outcome == SessionWaits::Outcome::seen) return route.serve(exchange, named);
                if (outcome == SessionWaits::Outcome::lost) exchange->end_session();
                exchange->respond(error_response(status_of(outcome), why));
              });
}

// The routes that there are, without one that takes the request.
void respond_methods(const Exchange& exchange, const std::string& allowed) {
  const bool asked = exchange->request().method == "OPTIONS";
  http::Response response = asked ? http::Response{.status = 204, .content_type = ""}
                                  : error_response(405, "this path takes " + allowed);
  response.headers.emplace_back("Allow", allowed);
  exchange->respond(response);
}

void route(const Exchange& exchange) {
  const http::Request& request = exchange->request();
  if (request.target == "*")
    return respond_methods(exchange, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
  auto words = http::path_segments(request.path);
  if (!words) return exchange->respond(error_response(400, "the path has a malformed %-escape"));
  const RouteFound found = find_route(request.method, *words);
  if (found.route != nullptr) {
    for (const auto take : {take_levels, take_session}) {
      if (const Status taken = take(*exchange, *found.route); !taken)
        return exchange->respond(error_response(taken.error()));
    }
  }
  if (found.route != nullptr && !may(exchange, *found.route, *words)) return;
  if (found.route != nullptr) return serve(exchange, *found.route, *std::move(words));
  if (!found.allowed.empty()) return respond_methods(exchange, found.allowed);
  routes::not_found(exchange);
}

}  // namespace

// POST takes values as the last words of paths (http_routes.cc). Behind '?' there may be more.
std::string name_to_log(const http::Request& request) {
  const std::size_t kept = request.path.starts_with('/')
                               ? words_without_value(request.method, request.path)
                               : PathWords().max_size();
  std::size_t end = 0;
  for (std::size_t words = 0; words < kept && end < request.path.size(); ++words)
    end = std::min(request.path.find('/', end + 1), request.path.size());
  const Bytes shown = Bytes(request.path).substr(0, end);
  return request.method + " " + std::string(shown) + (end < request.path.size() ? "/*" : "");
}

http::Response error_response(int status, const std::string& message) {
  const std::string text = json::is_utf8(message) ? message : "the request is not UTF-8";
  http::Response response{.status = status, .body = "{\"error\":" + json::quoted(text) + "}"};
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

http::Response refusal_response(Doorkeeper::Refusal refusal) {
  if (refusal == Doorkeeper::Refusal::too_weak)
    return error_response(403,
                          "the token is not good enough for that; ask for one with the role, "
                          "or for the collection");
  http::Response response =
      error_response(401, "no token was shown, or a wrong one; send Authorization: Bearer TOKEN");
  response.headers.emplace_back("WWW-Authenticate", "Bearer");
  response.headers.emplace_back("WWW-Authenticate", "Basic realm=\"dhrt\"");
  return response;
}

http::Response error_response(const Error& error) {
  const Bytes word = error.code == ErrorCode::timeout ? "TIMEOUT " : "";
  return error_response(status_of(error.code), std::string(word) + error.message);
}

HttpExchange::HttpExchange(CommandServer& server, Session& session, http::Request request,
                           std::vector<http::Header> extra)
    : server_(server),
      session_(&session),
      request_(std::move(request)),
      extra_(std::move(extra)),
      grant_(&session.grant()),
      ticket_{&session.host(), session.id()} {
  Doorkeeper& doorkeeper = *server.doorkeeper;
  if (doorkeeper.open()) return;
  client_ = session.client_host();
  const auto token = token_of(request_);
  if (!token) return;
  const auto grant = doorkeeper.take_token(*token, client_);
  // A wrong one is as good as none.
  if (grant)
    grant_ = *grant;
  else
    wrong_token_ = grant.error();
}

bool HttpExchange::may(const Doorkeeper::Needs& needs, Bytes what, const std::string& hint) {
  const auto refused = server_.doorkeeper->refusal(*grant_, needs, client_, what);
  if (!refused) return true;
  if (must_wait() != nullptr)
    respond(error_response(*must_wait()));
  else if (refused == Doorkeeper::Refusal::too_weak)
    respond(error_response(403, why_too_weak(*grant_, needs) + hint));
  else
    respond(refusal_response(*refused));
  return false;
}

void HttpExchange::respond(const http::Response& response, Position position) {
  if (response.status >= 400) ++server_.figures.of(ClientDialect::http).errors_total;
  if (!reserved_) return append(session_->open_reply(position), response);
  std::string bytes;
  append(bytes, response);
  ticket_.give(std::move(bytes), position);
}

void HttpExchange::saw(Bytes collection, const Dot& dot) {
  if (seen_) seen_->saw(shown_in(database(), collection), dot);
}

void HttpExchange::add_headers(http::Response& response) const {
  response.headers.insert(response.headers.end(), extra_.begin(), extra_.end());
  if (seen_) response.headers.emplace_back("X-Dhrt-Session", seen_->text());
}

void HttpExchange::append(std::string& out, http::Response response) const {
  add_headers(response);
  http::append_response(out, response, request_);
}

void HttpExchange::append_chunked_head(std::string& out, http::Response response) const {
  add_headers(response);
  http::append_chunked_head(out, response, request_);
}

void HttpExchange::stream(std::unique_ptr<ReplyStream> stream) {
  // Without chunks only the end of the connection ends a list.
  if (request_.version_minor == 0) {
    request_.keep_alive = false;
    if (Session* alive = ticket_.host->session(ticket_.session)) alive->close_after_replies();
  }
  if (reserved_)
    ticket_.give(std::move(stream));
  else
    session_->stream(std::move(stream));
}

void HttpExchange::wait() {
  if (reserved_) return;
  reserved_ = true;
  ticket_.slot = session_->reserve_and_wait();
}

void route_http(const std::shared_ptr<HttpExchange>& exchange) {
  route(exchange);
}

}  // namespace dhrt
