#include "node/cli_backup.h"

#include <optional>
#include <ostream>

#include "node/cli_client.h"
#include "node/cli_command.h"
#include "node/cli_flags.h"
#include "node/cli_help.h"
#include "node/cli_interrupt.h"
#include "node/cli_print.h"
#include "node/cli_progress.h"
#include "node/cli_target.h"
#include "node/command_table.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

constexpr Duration tick{200};

int report(Console& console, const Error& error) {
  complain(console, error.message);
  return exit_code_of(error);
}

std::uint64_t number_at(const json::Document::Value& root, Bytes object, Bytes name) {
  const auto outer = root.member(object);
  const auto inner = outer ? outer->member(name) : std::nullopt;
  const auto number = inner ? inner->integer() : std::nullopt;
  return number && *number > 0 ? static_cast<std::uint64_t>(*number) : 0;
}

// How far the node is, by what it says of itself.
Status show_progress(Client& client, Duration timeout, Time now, Progress& progress) {
  const auto reply = client.call({{.text = "stats", .quoted = false}}, timeout);
  if (!reply) return tl::unexpected(reply.error());
  const auto* text = std::get_if<std::string>(&reply->value);
  const auto document = json::Document::parse(text == nullptr ? Bytes() : Bytes(*text));
  if (!document) return {};
  const std::uint64_t copied = number_at(document->root(), "backup", "collections");
  progress.update({.bytes = copied,
                   .bytes_total = number_at(document->root(), "backup", "collections_total"),
                   .keys = copied,
                   .unit = "collections"},
                  now);
  return {};
}

Result<Reply> make_backup(const std::string& name, const Target& target, Console& console) {
  auto worker = connect_to(target);
  if (!worker) return tl::unexpected(worker.error());
  auto watcher = connect_to(target);
  if (!watcher) return tl::unexpected(watcher.error());
  Progress progress(console.error, console.error_is_terminal, console.now());
  worker->queue(
      text::to_line({{.text = "backup", .quoted = false}, {.text = name, .quoted = true}}) + "\n");
  std::vector<Reply> replies;
  while (replies.empty()) {
    if (auto moved = worker->exchange(tick, replies); !moved) return tl::unexpected(moved.error());
    if (!replies.empty()) break;
    if (auto shown = show_progress(*watcher, target.timeout, console.now(), progress); !shown)
      return tl::unexpected(shown.error());
  }
  progress.clear();
  return std::move(replies.front());
}

int print(const Reply& reply, bool as_json, Console& console) {
  if (const auto* error = std::get_if<ReplyError>(&reply.value)) {
    complain(console, "the node refused: " + printable(error->message));
    return exit_code_of(*error);
  }
  const auto* text = std::get_if<std::string>(&reply.value);
  if (as_json)
    console.out << (text == nullptr ? json_text(reply) : *text) << "\n";
  else
    console.out << (text == nullptr ? plain_text(reply) : properties_text(*text));
  return exit_code::done;
}

}  // namespace

int run_backup(const std::vector<std::string>& words, Console& console) {
  const auto arguments = split_command_line(words, std::string(client_flags));
  if (!arguments) return report(console, arguments.error());
  const CommandInfo& command = *find_command("backup");
  if (arguments->has("help")) {
    console.out << command_help(command);
    return exit_code::done;
  }
  if (arguments->words.size() != 2) {
    complain(console, "backup takes one name, e.g. dhrt backup monday; see dhrt backup --help");
    return exit_code::usage;
  }
  const auto target = read_target(*arguments, console.environment);
  if (!target) return report(console, target.error());
  const auto reply = make_backup(arguments->words[1], *target, console);
  if (!reply) return report(console, reply.error());
  return print(*reply, arguments->has("json"), console);
}

}  // namespace dhrt
