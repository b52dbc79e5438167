// HTTP on a session: requests from the parser, defences against browsers, then the routes.
#pragma once

#include <string>
#include <vector>

#include "node/commands.h"
#include "node/head_watch.h"
#include "node/http_fast.h"
#include "node/http_token.h"
#include "node/session.h"
#include "protocol/http.h"

namespace dhrt {

// Names under which this node may be asked for; a browser that was made to believe that some
// other name is ours (DNS rebinding) is refused. Addresses and localhost are always good.
struct HttpRules {
  std::vector<std::string> names;
  // Of pages in browsers that may use this node: "https://app.example.org".
  std::vector<std::string> origins{};
};

// What --cors-origin takes: scheme, host and perhaps a port, and nothing behind them.
Result<std::string> parse_origin(Bytes text);
// What tells a browser that the page which made the request may see the answer; empty if there is
// nothing to say.
std::vector<http::Header> cross_origin_headers(const http::Request& request,
                                               const HttpRules& rules);

// Absent: the request may be served. Otherwise what it is answered.
std::optional<http::Response> refuse_browser(const http::Request& request, const HttpRules& rules,
                                             bool asks_for_tokens);

// The Host header names this node.
bool host_is_ours(Bytes header, const HttpRules& rules);

class HttpProtocol final : public ClientProtocol {
 public:
  // All outlive the protocol. `too_long`: the first line is longer than a line may be.
  HttpProtocol(CommandServer& server, const HttpRules& rules, Session& session, bool too_long)
      : server_(server),
        rules_(rules),
        session_(session),
        fast_(server, rules, session),
        parser_(server.limits),
        too_long_(too_long) {
    ask_before_long_bodies(parser_, server, session);
    ask_before_expected_bodies(parser_, server, session);
  }

  Took take(Bytes input) override;
  void refuse(const Error& why) override;
  ClientDialect dialect() const override { return ClientDialect::http; }
  void check_time(Time now, Duration patience) override;

 private:
  void answer_and_close(int status, const std::string& message);
  void serve(http::Request request);

  CommandServer& server_;
  const HttpRules& rules_;
  Session& session_;
  HttpFast fast_;
  http::Parser parser_;
  HeadWatch head_watch_;
  bool too_long_;
};

}  // namespace dhrt
