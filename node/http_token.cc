#include "node/http_token.h"

#include "node/doorkeeper.h"
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

}  // namespace

// The answer to a wrong one ends the connection, so that none is counted twice.
void ask_before_long_bodies(http::Parser& parser, CommandServer& server, Session& session) {
  if (server.doorkeeper->open()) return;
  parser.ask_before_long_bodies([&server, &session](const http::Request& head) {
    const auto token = token_of(head);
    return token && server.doorkeeper->take_token(*token, session.client_host()).has_value();
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
