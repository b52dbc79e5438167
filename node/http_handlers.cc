#include "node/http_handlers.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <utility>

#include "node/command_input.h"
#include "node/rpc_body.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

constexpr std::array reserved_words{
    Bytes("_"),         Bytes("clear"),       Bytes("get"), Bytes("getAll"),  Bytes("getKeys"),
    Bytes("getValues"), Bytes("healthcheck"), Bytes("is"),  Bytes("metrics"), Bytes("ping"),
    Bytes("rm"),        Bytes("rpc"),         Bytes("set"), Bytes("status")};
static_assert(std::ranges::is_sorted(reserved_words));

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::invalid_argument:
      return 400;
    case ErrorCode::not_found:
      return 404;
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

http::Response with_allow(http::Response response, const std::string& methods) {
  response.headers.emplace_back("Allow", methods);
  return response;
}

bool refuse_method(const Exchange& exchange, const std::string& methods) {
  if (exchange->request().method == "OPTIONS") {
    exchange->respond(with_allow({.status = 204, .content_type = ""}, methods));
  } else {
    exchange->respond(with_allow(error_response(405, "this path takes " + methods), methods));
  }
  return true;
}

void serve_health(const Exchange& exchange, Bytes probe) {
  const std::string& method = exchange->request().method;
  if (method != "GET" && method != "HEAD") {
    refuse_method(exchange, "GET, HEAD, OPTIONS");
  } else if (probe == "live") {
    exchange->respond({.body = R"({"status":"live"})"});
  } else if (probe == "ready") {
    const Status ready = exchange->server().report.ready();
    if (ready) return exchange->respond({.body = R"({"status":"ready"})"});
    exchange->respond(
        {.status = 503,
         .body = R"({"status":"not ready","error":)" + json::quoted(ready.error().message) + "}"});
  } else {
    routes::not_found(exchange);
  }
}

void serve_word(const Exchange& exchange, std::string word) {
  const std::string& method = exchange->request().method;
  if (method == "GET" || method == "HEAD")
    routes::get_word(exchange, word);
  else if (method == "PUT")
    routes::put_key(exchange, {std::string(default_collection), std::move(word)});
  else if (method == "DELETE")
    routes::delete_word(exchange, word);
  else
    refuse_method(exchange, "GET, HEAD, PUT, DELETE, OPTIONS");
}

void serve_collection(const Exchange& exchange, std::string name) {
  const std::string& method = exchange->request().method;
  if (method == "GET" || method == "HEAD")
    routes::get_collection(exchange, name);
  else if (method == "DELETE")
    routes::delete_collection(exchange, name);
  else if (method == "POST")
    routes::post_key(exchange, {std::string(default_collection), std::move(name)}, "");
  else
    refuse_method(exchange, "GET, HEAD, POST, DELETE, OPTIONS");
}

void serve_pair(const Exchange& exchange, std::string first, std::string second) {
  const std::string& method = exchange->request().method;
  if (method == "POST")
    return routes::post_key(exchange, {std::string(default_collection), std::move(first)},
                            std::move(second));
  HttpTarget target{std::move(first), std::move(second)};
  if (method == "GET" || method == "HEAD")
    routes::get_key(exchange, std::move(target));
  else if (method == "PUT")
    routes::put_key(exchange, std::move(target));
  else if (method == "DELETE")
    routes::delete_key(exchange, std::move(target));
  else
    refuse_method(exchange, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
}

void serve_root(const Exchange& exchange) {
  const std::string& method = exchange->request().method;
  if (method == "GET" || method == "HEAD")
    exchange->respond({.body = exchange->server().report.overview()});
  else if (method == "POST")
    run_rpc_body(exchange);
  else
    refuse_method(exchange, "GET, HEAD, POST, OPTIONS");
}

void serve_rpc(const Exchange& exchange) {
  if (exchange->request().method == "POST")
    run_rpc_body(exchange);
  else
    refuse_method(exchange, "POST, OPTIONS");
}

// Whoever sets a condition counts on it: doing the rest of the request would overwrite what the
// condition was to protect.
std::optional<std::string> unkept_wish(const http::Request& request) {
  const bool reads = request.method == "GET" || request.method == "HEAD";
  const auto level = [&](Bytes name, std::initializer_list<Bytes> given) {
    const Bytes wanted = request.header(name);
    return wanted.empty() || std::ranges::find(given, wanted) != given.end();
  };
  if (!reads && !request.header("if-match").empty()) return "If-Match";
  if (!reads && !request.header("if-none-match").empty()) return "If-None-Match";
  if (!level("x-dhrt-ack", {"one"})) return "X-Dhrt-Ack other than one";
  if (!level("x-dhrt-read", {"one", "fanout"})) return "X-Dhrt-Read other than one and fanout";
  return std::nullopt;
}

void route(const Exchange& exchange) {
  const http::Request& request = exchange->request();
  if (const auto wish = unkept_wish(request))
    return exchange->respond(
        error_response(501, *wish + " is not given by this version; leave it out"));
  if (request.target == "*") return serve_root(exchange);
  auto path = http::path_segments(request.path);
  if (!path) return exchange->respond(error_response(400, "the path has a malformed %-escape"));
  auto& segments = *path;
  if (segments.size() == 1 && segments[0].empty()) return serve_root(exchange);
  if (segments.size() == 3 && segments[0] == "_" && segments[1] == "health")
    return serve_health(exchange, segments[2]);
  if (segments.size() == 1 && segments[0] == "rpc") return serve_rpc(exchange);
  if (is_reserved_word(segments[0]))
    return exchange->respond(
        error_response(404, "'" + segments[0] +
                                "' is reserved, and this version serves nothing there; a key of "
                                "that name is /default/" +
                                segments[0]));
  if (segments.size() == 1) return serve_word(exchange, std::move(segments[0]));
  if (segments.size() == 2 && segments[1].empty())
    return serve_collection(exchange, std::move(segments[0]));
  if (segments.size() == 2)
    return serve_pair(exchange, std::move(segments[0]), std::move(segments[1]));
  if (segments.size() == 3 && request.method == "POST")
    return routes::post_key(exchange, {std::move(segments[0]), std::move(segments[1])},
                            std::move(segments[2]));
  if (segments.size() == 3) {
    refuse_method(exchange, "POST, OPTIONS");
    return;
  }
  routes::not_found(exchange);
}

}  // namespace

bool is_reserved_word(Bytes word) {
  return std::ranges::binary_search(reserved_words, word);
}

http::Response error_response(int status, const std::string& message) {
  const std::string text = json::is_utf8(message) ? message : "the request is not UTF-8";
  http::Response response{.status = status, .body = "{\"error\":" + json::quoted(text) + "}"};
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

http::Response error_response(const Error& error) {
  return error_response(status_of(error.code), error.message);
}

HttpExchange::HttpExchange(CommandServer& server, Session& session, http::Request request)
    : server_(server),
      session_(&session),
      request_(std::move(request)),
      ticket_{&session.host(), session.id()} {}

void HttpExchange::respond(const http::Response& response, Position position) {
  if (any_origin_) {
    any_origin_ = false;
    http::Response open = response;
    open.headers.emplace_back("Access-Control-Allow-Origin", "*");
    return respond(open, position);
  }
  if (response.status >= 400) ++server_.figures.errors_total;
  if (!reserved_) return http::append_response(session_->open_reply(position), response, request_);
  std::string bytes;
  http::append_response(bytes, response, request_);
  ticket_.give(std::move(bytes), position);
}

void HttpExchange::stream(std::unique_ptr<ReplyStream> stream) {
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
