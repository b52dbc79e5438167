#include "node/repl_session.h"

#include <algorithm>

#include "node/cli_interrupt.h"
#include "node/command_table.h"
#include "node/repl_words.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration collections_fresh{3000};
constexpr Duration collections_timeout{500};  // Somebody has pressed Tab and waits.

}  // namespace

Status ReplSession::connect() {
  auto client = connect_to(target_);
  if (!client) return tl::unexpected(client.error());
  client_ = *std::move(client);
  if (auth_.empty()) return {};
  const auto answered = client_->call(auth_, target_.timeout);
  if (!answered) client_.reset();
  return answered ? Status{} : tl::unexpected(answered.error());
}

Result<Reply> ReplSession::ask_once(const std::vector<text::Token>& tokens) {
  // A node that was restarted in the meantime is noticed before the command is sent.
  if (client_ && !client_->is_alive()) client_.reset();
  if (!client_)
    if (auto connected = connect(); !connected) return tl::unexpected(connected.error());
  auto reply = client_->call(tokens, target_.timeout);
  // Its answer may still come, and must not be taken for that of the next command.
  if (!reply) client_.reset();
  return reply;
}

Result<Reply> ReplSession::ask(const std::vector<text::Token>& tokens) {
  const auto* command = tokens.empty() ? nullptr : find_command(tokens[0].text);
  const bool had_client = client_.has_value();
  auto reply = ask_once(tokens);
  const bool lost = !reply && had_client && reply.error().code == ErrorCode::unavailable;
  if (lost && !interrupted()) {
    if (command != nullptr && !command->writes) return ask_once(tokens);
    return fail(reply.error().code,
                reply.error().message + "; whether the command was carried out is not known");
  }
  const bool was_auth = command != nullptr && command->name == "auth";
  if (reply && was_auth && !reply->is_error()) auth_ = tokens;
  return reply;
}

const std::vector<std::string>& ReplSession::collections() {
  const Time now = monotonic_now();
  if (collections_age_ && now - *collections_age_ < collections_fresh) return collections_;
  collections_age_ = now;
  if (!client_ || !client_->is_alive()) return collections_;
  const auto reply = client_->call({{.text = "collections", .quoted = false}},
                                   std::min(collections_timeout, target_.timeout));
  if (!reply) client_.reset();
  const auto* json = reply ? std::get_if<std::string>(&reply->value) : nullptr;
  if (json != nullptr) collections_ = collection_names(*json);
  return collections_;
}

}  // namespace dhrt
