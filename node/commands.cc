#include "node/commands.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "cluster/clock_skew.h"
#include "node/command_table.h"
#include "node/doorkeeper.h"
#include "protocol/resp.h"

namespace dhrt {

namespace {

constexpr std::array bindings{
    CommandBinding{"auth", commands::auth},
    CommandBinding{"backup", commands::backup},
    CommandBinding{"collections", commands::collections},
    CommandBinding{"count", commands::count},
    CommandBinding{"create", commands::create},
    CommandBinding{"del", commands::del},
    CommandBinding{"drop", commands::drop},
    CommandBinding{"evict", commands::evict},
    CommandBinding{"flush", commands::flush},
    CommandBinding{"get", commands::get},
    CommandBinding{"has", commands::has},
    CommandBinding{"help", commands::help},
    CommandBinding{"keys", commands::keys},
    CommandBinding{"leave", commands::leave},
    CommandBinding{"nodes", commands::nodes},
    CommandBinding{"ping", commands::ping},
    CommandBinding{"quit", commands::quit},
    CommandBinding{"reload", commands::reload},
    CommandBinding{"scan", commands::scan},
    CommandBinding{"set", commands::set},
    CommandBinding{"stats", commands::stats},
    CommandBinding{"watch", commands::watch},
};
static_assert(std::ranges::is_sorted(bindings, {}, &CommandBinding::name));

std::string to_bytes(const Reply& reply) {
  std::string bytes;
  resp::append_reply(bytes, reply);
  return bytes;
}

// What a client typed, as much of it as an error message should repeat.
std::string shown(Bytes text) {
  constexpr std::size_t shown_bytes_max = 64;
  std::string out(text.substr(0, shown_bytes_max));
  std::ranges::replace_if(
      out, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
  return text.size() > shown_bytes_max ? out + "..." : out;
}

// What is no command may be a secret that was sent too early.
constexpr Bytes unknown_request = "?";

Reply unknown_command(Bytes name) {
  return Reply::error("ERR unknown command '" + shown(name) + "'; `help` lists the commands");
}

constexpr Bytes upper_case_wanted =
    "ERR this looks like HTTP, whose methods are upper-case, e.g. GET /key HTTP/1.1";

// `get /x HTTP/1.1`. No command of ours is meant: a collection's name does not begin with '/', and
// those that take words of any kind (`set /x HTTP/1.1`) are no methods.
bool is_http_in_lower_case(const std::vector<text::Token>& tokens) {
  constexpr std::array methods{Bytes("delete"),  Bytes("get"),  Bytes("head"),
                               Bytes("options"), Bytes("post"), Bytes("put")};
  if (tokens.size() != 3 || !tokens[1].text.starts_with('/') ||
      !tokens[2].text.starts_with("HTTP/"))
    return false;
  std::string method = tokens[0].text;
  std::ranges::transform(method, method.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return std::ranges::find(methods, Bytes(method)) != methods.end();
}

// The collection that the words are about; absent: none.
std::optional<Bytes> place_of(const CommandInfo& info, const std::vector<std::string>& words) {
  using Place = CommandInfo::Place;
  switch (info.place) {
    case Place::node:
    case Place::figures:
      return std::nullopt;
    case Place::first:
      return words[1];
    case Place::first_or_default:
      return words.size() > 1 ? Bytes(words[1]) : default_collection;
    case Place::first_of_all:
      return words.size() == info.arity_max ? Bytes(words[1]) : default_collection;
  }
  return std::nullopt;
}

// Absent: the client may do it.
std::optional<Bytes> refusal_of(CommandServer& server, Session& session, const CommandInfo& info,
                                const std::vector<std::string>& words) {
  const auto refused = server.doorkeeper->refusal(
      session, {info.role, place_of(info, words), info.place == CommandInfo::Place::figures},
      info.name);
  if (!refused) return std::nullopt;
  return *refused == Doorkeeper::Refusal::no_token ? no_token_error : too_weak_error;
}

Reply wrong_arity(const CommandInfo& info) {
  return Reply::error("ERR wrong number of arguments for '" + std::string(info.name) +
                      "'; usage: " + std::string(info.usage));
}

}  // namespace

std::span<const CommandBinding> command_bindings() {
  return bindings;
}

Reply to_reply(const Error& error) {
  const bool busy = error.code == ErrorCode::busy;
  const bool late = error.code == ErrorCode::timeout;
  if (Bytes(error.message).starts_with(clock_skew_word)) return Reply::error(error.message);
  return Reply::error((busy ? "BUSY " : late ? "TIMEOUT " : "ERR ") + error.message);
}

void CommandCall::reply(const Reply& reply, Position position) {
  if (reply.is_error()) ++server_.figures.of(ClientDialect::text).errors_total;
  resp::append_reply(session_.open_reply(position), reply);
}

void CommandCall::fail(const Error& error) {
  reply(to_reply(error));
}

void CommandCall::Later::reply(const Reply& reply, Position position) const {
  if (reply.is_error()) ++server_->figures.of(ClientDialect::text).errors_total;
  ticket_.give(to_bytes(reply), position);
}

void CommandCall::Later::fail(const Error& error) const {
  reply(to_reply(error));
}

void run_command(CommandServer& server, Session& session, std::vector<text::Token> tokens) {
  ++server.figures.of(ClientDialect::text).commands_total;
  const auto refuse = [&](const Reply& reply) {
    ++server.figures.of(ClientDialect::text).errors_total;
    resp::append_reply(session.open_reply(0), reply);
  };
  const CommandInfo* info = find_command(tokens.front().text);
  session.starts_request(ClientDialect::text, info == nullptr ? unknown_request : info->name);
  if (is_http_in_lower_case(tokens)) return refuse(Reply::error(std::string(upper_case_wanted)));
  if (info == nullptr) return refuse(unknown_command(tokens.front().text));
  auto arguments = split_arguments(std::move(tokens), {info->flags, flags_without_value});
  if (!arguments) return refuse(to_reply(arguments.error()));
  const std::size_t count = arguments->words.size();
  if (count < info->arity_min || count > info->arity_max) return refuse(wrong_arity(*info));
  if (const auto refused = refusal_of(server, session, *info, arguments->words))
    return refuse(Reply::error(std::string(*refused)));
  const auto binding = std::ranges::lower_bound(bindings, info->name, {}, &CommandBinding::name);
  CommandCall call(server, session, std::move(*arguments));
  binding->run(call);
}

}  // namespace dhrt
