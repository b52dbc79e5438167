// The HTTP routes of dhrt: keys, collections, health.
//
//   GET /                              the node                GET /_/health/live, .../ready
//   POST /:key/:value                  POST /:collection/:key/:value
//   GET, PUT, DELETE /:key             GET, PUT, DELETE /:collection/:key
//   POST / and POST /rpc               JSON-RPC (rpc_body.h)
//   GET, DELETE /:collection (also with a trailing slash, which means nothing but the collection)
//
// Requests of a connection are done one after the other. Errors: {"error": …} with the status.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/commands.h"
#include "node/session.h"
#include "protocol/http.h"

namespace dhrt {

http::Response error_response(int status, const std::string& message);
http::Response error_response(const Error& error);

// One request and its answer. Shared, because an answer that comes later keeps it.
class HttpExchange {
 public:
  HttpExchange(CommandServer& server, Session& session, http::Request request);

  CommandServer& server() { return server_; }
  Database& database() { return server_.database; }
  const http::Request& request() const { return request_; }
  http::Request& request() { return request_; }
  bool is_head() const { return request_.method == "HEAD"; }

  // Once, now or later; `position` is what must be durable first.
  void respond(const http::Response& response, Position position = 0);
  // The answer may come after the request was routed: call before that.
  void wait();
  // Pages of any origin may read the answer.
  void allow_any_origin() { any_origin_ = true; }
  // Instead of respond().
  void stream(std::unique_ptr<ReplyStream> stream);

 private:
  CommandServer& server_;
  Session* session_;  // Valid while the request is being routed.
  http::Request request_;
  ReplyTicket ticket_;
  bool reserved_ = false;
  bool any_origin_ = false;
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
}  // namespace routes

// What both the routes and the short way to them (http_fast.h) need.

// Names that are kept for the node itself.
bool is_reserved_word(Bytes word);
// The attributes of a value that was put with a type; none if it is not worth keeping.
std::string content_type_attribute(Bytes content_type);
// The value itself is asked for, not JSON about it.
bool wants_raw(Bytes accept);

inline constexpr Bytes json_type = "application/json";
// As http::append_response() does for a client of HTTP/1.1 that stays, with the version as ETag.
void append_record_response(std::string& out, int status, Bytes content_type, Bytes version,
                            Bytes body);

// A client that just sent a value as a body (PUT) is not sent it back.
enum class ValueShown { yes, no };
// "Key":…,"Value":… and what belongs to it, as an object.
void append_record_json(std::string& out, Bytes key, const RecordView& record, ValueShown value);
// In a list, what stands for a record whose value is damaged.
void append_damaged_json(std::string& out, Bytes key);
// With the version as text, from who needs it for more than this.
void append_record_json(std::string& out, Bytes key, const RecordView& record, Bytes version,
                        ValueShown value);

}  // namespace dhrt
