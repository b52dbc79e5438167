// Answers plain GET and PUT requests of keys without a parser, a request object or a route.
//
// Intuition: the same answer, byte for byte, as the routes give (http_handlers.h), for the case
// that needs nothing but the record held here. What is not that case is left to them.
// Threads: loop thread only.
#pragma once

#include <string>

#include "node/commands.h"
#include "node/session.h"
#include "protocol/fast_http.h"

namespace dhrt {

struct HttpRules;

class HttpFast {
 public:
  // All outlive it.
  HttpFast(CommandServer& server, const HttpRules& rules, Session& session)
      : server_(server), rules_(rules), session_(session) {}

  // Between requests only. How many bytes it took; 0: nothing was done.
  std::size_t take(Bytes input);

 private:
  bool serve(const http::FastRequest& request);
  bool host_is_ours(Bytes host);
  bool get(const http::FastRequest& request, const Database::Place& place);
  bool put(const http::FastRequest& request, const Database::Place& place);

  CommandServer& server_;
  const HttpRules& rules_;
  Session& session_;
  std::string host_;  // The last one found to be ours: a client names the same each time.
};

}  // namespace dhrt
