#include "node/rpc_protocol.h"

#include <utility>

#include "node/http_token.h"
#include "node/rpc_body.h"
#include "protocol/json.h"
#include "protocol/json_rpc.h"

namespace dhrt {

namespace {

// Pages of any origin may read what this listener answers.
const http::Header any_origin{"Access-Control-Allow-Origin", "*"};

// A value in base64, or with an escape here and there, and what stands around it.
ProtocolLimits limits_of_body(ProtocolLimits limits) {
  limits.value_bytes_max = 2 * limits.value_bytes_max + (std::size_t{64} << 10);
  return limits;
}

int code_of(int status) {
  if (status == 401) return rpc::code::refused;
  return status == 503 ? rpc::code::overloaded : rpc::code::bad_request;
}

// What a browser asks before it lets a page of another origin call.
http::Response preflight(const http::Request& request) {
  http::Response response{.status = 204, .content_type = ""};
  response.headers = {
      {"Access-Control-Allow-Methods",
       std::string(request.header("access-control-request-method"))},
      {"Access-Control-Allow-Headers",
       std::string(request.header("access-control-request-headers"))},
      {"Access-Control-Max-Age", "86400"},
  };
  std::erase_if(response.headers, [](const http::Header& header) { return header.second.empty(); });
  return response;
}

}  // namespace

RpcProtocol::RpcProtocol(CommandServer& server, Session& session)
    : server_(server), session_(session), parser_(limits_of_body(server.limits)) {
  ask_before_long_bodies(parser_, server, session);
}

ClientProtocol::Took RpcProtocol::take(Bytes input) {
  http::Fed fed = parser_.feed(input);
  if (fed.wants_continue) session_.reply(http::continue_line, 0);
  if (fed.error) {
    answer_and_close(fed.error->status, fed.error->message);
    return {.bytes = input.size()};
  }
  if (fed.request) serve(std::move(*fed.request));
  return {.bytes = fed.consumed};
}

void RpcProtocol::serve(http::Request request) {
  if (session_.is_traced()) session_.starts_request(ClientDialect::rpc, name_to_log(request));
  const bool keep_alive = request.keep_alive;
  const bool asks_first =
      request.method == "OPTIONS" && !request.header("access-control-request-method").empty();
  const auto exchange = std::make_shared<HttpExchange>(server_, session_, std::move(request),
                                                       std::vector{any_origin});
  if (asks_first)
    exchange->respond(preflight(exchange->request()));
  else
    run_rpc_body(exchange);
  if (!keep_alive) session_.close_after_replies();
}

// What is no HTTP is still answered in the form that the client reads.
void RpcProtocol::answer_and_close(int status, const std::string& message) {
  ++server_.figures.of(ClientDialect::rpc).errors_total;
  http::Request unknown;
  unknown.keep_alive = false;
  rpc::ReplyBody body;
  const rpc::Part part{.is_batch = false, .calls = {rpc::Call{}}};
  body.begin(part);
  body.outcome(part.calls.front(),
               {.result = {},
                .fault = rpc::Fault{code_of(status),
                                    json::is_utf8(message) ? message : "the request is no HTTP"}});
  body.end();
  const http::Response response{.status = status, .headers = {any_origin}, .body = body.take()};
  http::append_response(session_.open_reply(0), response, unknown);
  session_.close_after_replies();
}

void RpcProtocol::check_time(Time now, Duration patience) {
  if (head_watch_.is_late(parser_.open_head(), now, patience))
    answer_and_close(408, HeadWatch::late);
}

void RpcProtocol::refuse(const Error& why) {
  answer_and_close(why.code == ErrorCode::busy ? 503 : 403, why.message);
}

}  // namespace dhrt
