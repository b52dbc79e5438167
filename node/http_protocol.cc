#include "node/http_protocol.h"

#include <algorithm>
#include <utility>

#include "node/address.h"
#include "node/http_handlers.h"
#include "protocol/letter_case.h"

namespace dhrt {

namespace {

Bytes without_port(Bytes host) {
  if (host.starts_with('[')) {
    const std::size_t end = host.find(']');
    return end == Bytes::npos ? host : host.substr(1, end - 1);
  }
  return host.substr(0, host.find(':'));
}

// "http://host:port" of the page that made the request.
bool origin_is_host(Bytes origin, Bytes host) {
  for (const Bytes scheme : {"http://", "https://"}) {
    if (origin.starts_with(scheme)) return equal_in_any_case(origin.substr(scheme.size()), host);
  }
  return false;
}

bool is_listed(Bytes origin, const HttpRules& rules) {
  return std::ranges::any_of(
      rules.origins, [&](const std::string& listed) { return equal_in_any_case(origin, listed); });
}

}  // namespace

Result<std::string> parse_origin(Bytes text) {
  for (const Bytes scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const Bytes host = text.substr(scheme.size());
    if (!host.empty() && host.find_first_of("/?#@ *") == Bytes::npos) return std::string(text);
  }
  return fail(ErrorCode::invalid_argument,
              "'" + std::string(text) +
                  "' is no origin; write scheme, host and, if it is not the usual one, the port: "
                  "https://app.example.org");
}

std::vector<http::Header> cross_origin_headers(const http::Request& request,
                                               const HttpRules& rules) {
  const Bytes origin = request.header("origin");
  if (rules.origins.empty()) return {};
  std::vector<http::Header> headers{{"Vary", "Origin"}};
  if (origin.empty() || !is_listed(origin, rules)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", origin);
  headers.emplace_back("Access-Control-Expose-Headers", "ETag, Retry-After, X-Dhrt-Session");
  if (request.method != "OPTIONS") return headers;
  headers.emplace_back("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
  headers.emplace_back("Access-Control-Allow-Headers",
                       "Authorization, Content-Type, If-Match, If-None-Match, Last-Event-ID, "
                       "X-Dhrt-Ack, X-Dhrt-Read, X-Dhrt-Session");
  headers.emplace_back("Access-Control-Max-Age", "600");
  return headers;
}

bool host_is_ours(Bytes header, const HttpRules& rules) {
  const std::string host(without_port(header));
  if (host.empty() || is_ip_address(host) || equal_in_any_case(host, "localhost")) return true;
  return std::ranges::any_of(
      rules.names, [&](const std::string& name) { return equal_in_any_case(host, name); });
}

std::optional<http::Response> refuse_browser(const http::Request& request, const HttpRules& rules,
                                             bool asks_for_tokens) {
  const Bytes host = request.header("host");
  const Bytes origin = request.header("origin");
  // A page that got our address for its own name by DNS has no token.
  if (!asks_for_tokens && !host_is_ours(host, rules))
    return error_response(403,
                          "the Host header names another machine; use an IP address, localhost "
                          "or the name given with --advertise");
  if (!origin.empty() && is_listed(origin, rules)) return std::nullopt;
  if (!origin.empty() && !origin_is_host(origin, host))
    return error_response(403,
                          "a page of another origin may not use this node; --cors-origin names "
                          "those that may");
  // Pages of other ports of this host are "same-site".
  const Bytes site = request.header("sec-fetch-site");
  if (!site.empty() && site != "same-origin" && site != "none")
    return error_response(403,
                          "a page of another site may not use this node; --cors-origin names "
                          "those that may");
  return std::nullopt;
}

ClientProtocol::Took HttpProtocol::take(Bytes input) {
  if (too_long_) {
    answer_and_close(414, "the request line is longer than 65536 bytes");
    return {.bytes = input.size()};
  }
  // Its answers say nothing about origins, and it looks at no tokens.
  if (parser_.idle() && rules_.origins.empty() && server_.doorkeeper->open() &&
      !session_.is_traced()) {
    if (const std::size_t taken = fast_.take(input); taken > 0) return {.bytes = taken};
  }
  http::Fed fed = parser_.feed(input);
  if (fed.wants_continue) session_.reply(http::continue_line, 0);
  if (fed.error) {
    answer_and_close(fed.error->status, fed.error->message);
    return {.bytes = input.size()};
  }
  if (fed.request) serve(std::move(*fed.request));
  return {.bytes = fed.consumed};
}

void HttpProtocol::serve(http::Request request) {
  ++server_.figures.of(ClientDialect::http).commands_total;
  if (session_.is_traced()) session_.starts_request(ClientDialect::http, name_to_log(request));
  const bool keep_alive = request.keep_alive;
  const bool is_probe = request.path.starts_with("/_/health/");
  auto refused =
      is_probe ? std::nullopt : refuse_browser(request, rules_, !server_.doorkeeper->open());
  auto extra = cross_origin_headers(request, rules_);
  const auto exchange =
      std::make_shared<HttpExchange>(server_, session_, std::move(request), std::move(extra));
  if (refused) {
    server_.doorkeeper->refused(exchange->grant(), session_.client_host(),
                                exchange->request().method + " of another site or host");
    exchange->respond(*refused);
  } else {
    route_http(exchange);
  }
  if (!keep_alive && !session_.becomes_another()) session_.close_after_replies();
}

void HttpProtocol::answer_and_close(int status, const std::string& message) {
  ++server_.figures.of(ClientDialect::http).errors_total;
  http::Request unknown;
  unknown.keep_alive = false;
  constexpr int unauthorised = 401;  // Which says how to show a token.
  const http::Response response = status == unauthorised
                                      ? refusal_response(Doorkeeper::Refusal::no_token)
                                      : error_response(status, message);
  http::append_response(session_.open_reply(0), response, unknown);
  session_.close_after_replies();
}

void HttpProtocol::check_time(Time now, Duration patience) {
  if (head_watch_.is_late(parser_.open_head(), now, patience))
    answer_and_close(408, HeadWatch::late);
}

void HttpProtocol::refuse(const Error& why) {
  answer_and_close(why.code == ErrorCode::busy ? 503 : 403, why.message);
}

}  // namespace dhrt
