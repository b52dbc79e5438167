// Serving requests of HTTP clients; http_routes.h has the table of them.
//
// Requests of a connection are done one after the other. Errors: {"error": …} with the status.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/commands.h"
#include "node/doorkeeper.h"
#include "node/session.h"
#include "protocol/http.h"
#include "protocol/session_token.h"

namespace dhrt {

// Method and path, without the value where the path has one.
std::string name_to_log(const http::Request& request);
http::Response error_response(int status, const std::string& message);
http::Response error_response(const Error& error);
// 401, with how to show a token, or 403.
http::Response refusal_response(Doorkeeper::Refusal refusal);

// What the request asks for, X-Dhrt-Ack and X-Dhrt-Read.
struct HttpLevels {
  WriteLevel ack = WriteLevel::one;
  ReadLevel read = ReadLevel::fanout;
};

// One request and its answer. Shared, because an answer that comes later keeps it.
class HttpExchange {
 public:
  // `extra` goes into the head of every answer.
  HttpExchange(CommandServer& server, Session& session, http::Request request,
               std::vector<http::Header> extra = {});
  // What the request's token is for.
  const Grant& grant() const { return *grant_; }
  const std::string& client() const { return client_; }
  // Too many wrong tokens came from there. Null: no.
  const Error* must_wait() const {
    return wrong_token_ && wrong_token_->code == ErrorCode::busy ? &*wrong_token_ : nullptr;
  }
  // False: it is not good enough, and the request was answered so. `hint` is what else to ask for.
  bool may(const Doorkeeper::Needs& needs, Bytes what, const std::string& hint = {});

  CommandServer& server() { return server_; }
  Database& database() { return server_.database; }
  Session& session() { return *session_; }  // While the request is being routed.
  const http::Request& request() const { return request_; }
  const HttpLevels& levels() const { return levels_; }
  void set_levels(const HttpLevels& levels) { levels_ = levels; }
  // What the request's session has seen, X-Dhrt-Session; absent: it is of none. The answer brings
  // it with what the request saw besides.
  const std::optional<SessionToken>& seen() const { return seen_; }
  void set_seen(SessionToken token) { seen_ = std::move(token); }
  void saw(Bytes collection, const Dot& dot);
  void end_session() { seen_.reset(); }
  http::Request& request() { return request_; }
  // Null: it has ended.
  Session* session_or_null() const { return ticket_.host->session(ticket_.session); }
  bool is_head() const { return request_.method == "HEAD"; }

  // Once, now or later; `position` is what must be durable first.
  void respond(const http::Response& response, Position position = 0);
  // The answer may come after the request was routed: call before that.
  void wait();
  // Instead of respond().
  void stream(std::unique_ptr<ReplyStream> stream);
  // For streams.
  void append(std::string& out, http::Response response) const;
  void append_chunked_head(std::string& out, http::Response response) const;

 private:
  void add_headers(http::Response& response) const;

  CommandServer& server_;
  Session* session_;  // Valid while the request is being routed.
  http::Request request_;
  std::vector<http::Header> extra_;
  HttpLevels levels_;
  std::optional<SessionToken> seen_;
  const Grant* grant_;
  std::string client_;  // Its address.
  ReplyTicket ticket_;
  std::optional<Error> wrong_token_;
  bool reserved_ = false;
};
using Exchange = std::shared_ptr<HttpExchange>;

void route_http(const std::shared_ptr<HttpExchange>& exchange);

// What a route is about. http_handlers.cc finds it, the files named below serve it.
struct HttpTarget {
  std::string collection;
  std::string key;
};
namespace routes {
void get_key(const Exchange& exchange, HttpTarget target);  // http_keys.cc
void put_key(const Exchange& exchange, HttpTarget target);
void post_key(const Exchange& exchange, HttpTarget target, std::string value);
void delete_key(const Exchange& exchange, HttpTarget target);
// One word that may be a key of the default collection or a collection.
void get_word(const Exchange& exchange, const std::string& word);
void delete_word(const Exchange& exchange, const std::string& word);
void get_collection(const Exchange& exchange, const std::string& name);  // http_collections.cc
void delete_collection(const Exchange& exchange, const std::string& name);
void not_found(const Exchange& exchange);

void overview(const Exchange& exchange);  // http_operations.cc
void live(const Exchange& exchange);
void ready(const Exchange& exchange);
void cluster(const Exchange& exchange);
void collections(const Exchange& exchange);
void stats(const Exchange& exchange);
void metrics(const Exchange& exchange);
void openapi(const Exchange& exchange);
void watch(const Exchange& exchange, const std::string& collection);  // http_watch.cc

void nkvd_set(const Exchange& exchange);  // http_nkvd.cc
void nkvd_get(const Exchange& exchange);
void nkvd_is(const Exchange& exchange);
void nkvd_rm(const Exchange& exchange);
void nkvd_clear(const Exchange& exchange);
enum class NkvdList { keys, values, pairs };
void nkvd_list(const Exchange& exchange, NkvdList what);
void nkvd_health(const Exchange& exchange);
void nkvd_status(const Exchange& exchange);
void nkvd_ping(const Exchange& exchange);
}  // namespace routes

}  // namespace dhrt
