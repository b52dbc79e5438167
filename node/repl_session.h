// A connection to a node that mends itself, for somebody who types.
//
// A command that only reads is sent again over a new connection if the old one broke; one that
// writes is not, for it may have been carried out: the user is told so.
// Errors: as Client.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/cli_client.h"
#include "node/cli_flags.h"
#include "node/cli_target.h"

namespace dhrt {

class ReplSession {
 public:
  explicit ReplSession(Target target) : target_(std::move(target)) {}

  Status connect();
  Result<Reply> ask(const std::vector<text::Token>& tokens);
  // Asked of the node at most every few seconds; empty if it does not say.
  const std::vector<std::string>& collections();
  const Target& target() const { return target_; }
  // What shows a new connection who asks; empty: nothing more than the target has.
  const std::vector<text::Token>& auth() const { return auth_; }

 private:
  Result<Reply> ask_once(const std::vector<text::Token>& tokens);

  Target target_;
  std::optional<Client> client_;
  std::vector<text::Token> auth_;  // Said again on every new connection.
  std::vector<std::string> collections_;
  std::optional<Time> collections_age_;
};

}  // namespace dhrt
