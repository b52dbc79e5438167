#include "node/http_handlers.h"

#include <algorithm>
#include <initializer_list>
#include <optional>
#include <utility>

#include "node/http_routes.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

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

// A level that is not given must not be taken for one that is.
std::optional<std::string> unkept_wish(const http::Request& request) {
  const auto level = [&](Bytes name, std::initializer_list<Bytes> given) {
    return std::ranges::all_of(request.headers, [&](const http::Header& header) {
      return header.first != name || std::ranges::find(given, Bytes(header.second)) != given.end();
    });
  };
  if (!level("x-dhrt-ack", {"one"})) return "X-Dhrt-Ack other than one";
  if (!level("x-dhrt-read", {"one", "fanout"})) return "X-Dhrt-Read other than one and fanout";
  return std::nullopt;
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
  if (const auto wish = unkept_wish(request))
    return exchange->respond(
        error_response(501, *wish + " is not given by this version; leave it out"));
  if (request.target == "*")
    return respond_methods(exchange, "GET, HEAD, POST, PUT, DELETE, OPTIONS");
  auto words = http::path_segments(request.path);
  if (!words) return exchange->respond(error_response(400, "the path has a malformed %-escape"));
  const RouteFound found = find_route(request.method, *words);
  if (found.route != nullptr) return found.route->serve(exchange, *words);
  if (!found.allowed.empty()) return respond_methods(exchange, found.allowed);
  routes::not_found(exchange);
}

}  // namespace

http::Response error_response(int status, const std::string& message) {
  const std::string text = json::is_utf8(message) ? message : "the request is not UTF-8";
  http::Response response{.status = status, .body = "{\"error\":" + json::quoted(text) + "}"};
  if (status == 503) response.headers.emplace_back("Retry-After", "1");
  return response;
}

http::Response error_response(const Error& error) {
  return error_response(status_of(error.code), error.message);
}

HttpExchange::HttpExchange(CommandServer& server, Session& session, http::Request request,
                           std::vector<http::Header> extra)
    : server_(server),
      session_(&session),
      request_(std::move(request)),
      extra_(std::move(extra)),
      ticket_{&session.host(), session.id()} {}

void HttpExchange::respond(const http::Response& response, Position position) {
  if (response.status >= 400) ++server_.figures.errors_total;
  if (!reserved_) return append(session_->open_reply(position), response);
  std::string bytes;
  append(bytes, response);
  ticket_.give(std::move(bytes), position);
}

void HttpExchange::append(std::string& out, http::Response response) const {
  response.headers.insert(response.headers.end(), extra_.begin(), extra_.end());
  http::append_response(out, response, request_);
}

void HttpExchange::append_chunked_head(std::string& out, http::Response response) const {
  response.headers.insert(response.headers.end(), extra_.begin(), extra_.end());
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
