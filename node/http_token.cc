#include "node/http_token.h"

#include <utility>

#include "node/doorkeeper.h"
#include "node/http_routes.h"
#include "protocol/json.h"
#include "protocol/letter_case.h"

namespace dhrt {

namespace {

// What stands behind the scheme, whose name is in any case.
std::optional<Bytes> behind(Bytes header, Bytes scheme) {
  if (header.size() <= scheme.size() || header[scheme.size()] != ' ' ||
      !equal_in_any_case(header.substr(0, scheme.size()), scheme))
    return std::nullopt;
  header.remove_prefix(scheme.size());
  while (header.starts_with(' '))
    header.remove_prefix(1);
  return header;
}

using Why = std::optional<http::ParseError>;

// Absent: a token was shown that is one. Else `what` is written down; of a wrong one it is already.
Why why_no_token(const http::Request& head, CommandServer& server, Session& session, Bytes what,
                 std::string without) {
  const auto token = token_of(head);
  if (!token) {
    server.doorkeeper->refused(session, what);
    return http::ParseError{401, std::move(without)};
  }
  const auto grant = server.doorkeeper->take_token(*token, session.client_host());
  if (grant) return std::nullopt;
  const bool must_wait = grant.error().code == ErrorCode::busy;
  return http::ParseError{must_wait ? 503 : 401, grant.error().message};
}

}  // namespace

// The answer to a wrong one ends the connection, so that none is counted twice.
void ask_before_long_bodies(http::Parser& parser, CommandServer& server, Session& session) {
  if (server.doorkeeper->open()) return;
  parser.ask_before_long_bodies([&server, &session](const http::Request& head) {
    return why_no_token(
        head, server, session, head.method + " of a long body",
        "without a token a body has at most " + std::to_string(bytes_before_token_max) + " bytes");
  });
}

void ask_before_expected_bodies(http::Parser& parser, CommandServer& server, Session& session) {
  if (server.doorkeeper->open()) return;
  parser.ask_before_expected_bodies([&server, &session](const http::Request& head) -> Why {
    const auto words = http::path_segments(head.path);
    const HttpRoute* const route = words ? find_route(head.method, *words).route : nullptr;
    if (route == nullptr || route->role == Role::none) return std::nullopt;
    return why_no_token(head, server, session, head.method + " " + std::string(route->path),
                        "this needs a token");
  });
}

std::optional<std::string> token_of(const http::Request& request) {
  const Bytes header = request.header("authorization");
  if (const auto token = behind(header, "bearer")) return std::string(*token);
  const auto credentials = behind(header, "basic");
  if (!credentials) return std::nullopt;
  const auto text = json::from_base64(*credentials);
  if (!text) return std::nullopt;
  const std::size_t colon = text->find(':');
  return colon == std::string::npos ? std::nullopt : std::optional(text->substr(colon + 1));
}

}  // namespace dhrt
