#include "node/repl_words.h"

#include <algorithm>
#include <array>

#include "node/cli_flags.h"
#include "node/command_reference.h"
#include "node/command_table.h"
#include "node/nearest.h"
#include "protocol/arguments.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

std::string lower(Bytes text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return out;
}

std::vector<std::string> split_words(Bytes text) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (end > 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// The words before the one at the cursor, and that one. Quotes are not looked into: names of
// commands and collections need none.
struct Typed {
  std::vector<std::string> before;
  std::string last;
  std::size_t begin = 0;
};

Typed typed_words(Bytes line) {
  const std::size_t space = line.rfind(' ');
  const std::size_t begin = space == Bytes::npos ? 0 : space + 1;
  return {split_words(line.substr(0, begin)), std::string(line.substr(begin)), begin};
}

bool takes_collection(const CommandInfo& command) {
  return command.usage.find("collection") != std::string_view::npos &&
         command.name != "collections" && command.name != "create";
}

std::vector<std::string> all_commands() {
  std::vector<std::string> names;
  for (const auto& command : command_table())
    names.emplace_back(command.name);
  return names;
}

// Those that begin with what was typed.
std::vector<std::string> beginning_with(const std::string& typed, std::vector<std::string> names) {
  std::erase_if(names, [&](const std::string& name) { return !name.starts_with(typed); });
  return names;
}

const FlagInfo* find_flag(Bytes name) {
  for (const auto& flag : flag_table())
    if (flag.name == name) return &flag;
  return nullptr;
}

std::vector<std::string> flags_of(const CommandInfo& command) {
  std::vector<std::string> flags;
  for (const auto& name : split_words(command.flags))
    flags.push_back("--" + name);
  return flags;
}

std::vector<std::string> candidates_for(const Typed& typed,
                                        const std::vector<std::string>& collections) {
  if (typed.before.empty()) return beginning_with(lower(typed.last), all_commands());
  const auto* command = find_command(typed.before[0]);
  if (command == nullptr) return {};
  if (command->name == "help" && typed.before.size() == 1)
    return beginning_with(lower(typed.last), all_commands());
  if (typed.last.starts_with("--")) return beginning_with(typed.last, flags_of(*command));
  if (typed.before.size() == 1 && takes_collection(*command))
    return beginning_with(typed.last, collections);
  return {};
}

std::string row(std::string_view left, std::string_view right) {
  constexpr std::size_t column = 40;
  std::string out = "  " + std::string(left);
  if (out.size() + 2 > column)
    out += "\n" + std::string(column, ' ');
  else
    out.resize(column, ' ');
  return out + std::string(right) + "\n";
}

}  // namespace

Completion complete(Bytes line, const std::vector<std::string>& collections) {
  const Typed typed = typed_words(line);
  return {typed.begin, candidates_for(typed, collections)};
}

bool completes_collection(Bytes line) {
  const Typed typed = typed_words(line);
  if (typed.before.size() != 1 || typed.last.starts_with("--")) return false;
  const auto* command = find_command(typed.before[0]);
  return command != nullptr && takes_collection(*command);
}

std::string common_prefix(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  std::string prefix = candidates.front();
  for (const auto& candidate : candidates) {
    const auto differs = std::ranges::mismatch(prefix, candidate).in1;
    prefix.erase(differs, prefix.end());
  }
  return prefix;
}

std::string usage_hint(Bytes line) {
  const Typed typed = typed_words(line);
  const std::string first = typed.before.empty() ? typed.last : typed.before[0];
  const auto* command = find_command(first);
  if (command == nullptr) return {};
  // The flag being typed matters more than the command it belongs to.
  if (typed.last.starts_with("--"))
    if (const auto* flag = find_flag(Bytes(typed.last).substr(2)))
      return "--" + std::string(flag->name) + (flag->placeholder.empty() ? "" : " ") +
             std::string(flag->placeholder) + ": " + std::string(flag->summary);
  return std::string(command->usage);
}

std::optional<std::string> reason_to_keep(const std::vector<text::Token>& tokens) {
  if (tokens.empty()) return std::nullopt;
  const auto* command = find_command(tokens[0].text);
  if (command == nullptr) {
    const auto nearest = nearest_name(lower(tokens[0].text), all_commands());
    return "unknown command '" + tokens[0].text + "'; " +
           (nearest ? "did you mean " + *nearest + "?" : "help lists the commands");
  }
  const auto arguments =
      split_arguments(tokens, {.known = command->flags, .without_value = flags_without_value});
  if (!arguments) return arguments.error().message;
  const std::size_t count = arguments->words.size();
  if (count >= command->arity_min && count <= command->arity_max) return std::nullopt;
  return (count < command->arity_min ? "too few words; usage: " : "too many words; usage: ") +
         std::string(command->usage);
}

bool is_secret(Bytes line) {
  // By the beginning of what may be the command, so that a line with a slip is not kept either.
  const std::size_t begin = std::min(line.find_first_not_of(" \t\""), line.size());
  return lower(line.substr(begin, 4)) == "auth";
}

std::string repl_help() {
  std::string out;
  for (const std::string_view group : {"Keys", "Collections", "Node"}) {
    out += std::string(group) + "\n";
    for (const auto& command : command_table())
      if (command.group == group) out += row(command.usage, command.summary);
  }
  return out +
         "\nhelp COMMAND says more. Tab completes, Ctrl-R searches the history, Ctrl-D ends.\n"
         "Words with spaces stand in \"quotes\", where \\\" \\\\ \\n \\r \\t \\xHH are known.\n";
}

std::optional<std::string> repl_help(Bytes name) {
  const auto* command = find_command(name);
  if (command == nullptr) return redis_command_help(name);
  std::string out = std::string(command->usage) + "\n" + std::string(command->summary) + "\n";
  return out + flags_help(command->flags);
}

std::vector<std::string> collection_names(Bytes json) {
  std::vector<std::string> names;
  const auto document = json::Document::parse(json);
  if (!document) return names;
  for (const auto& item : document->root().items()) {
    const auto name = item.is_object() ? item.member("name") : item;
    if (const auto text = name ? name->string() : std::nullopt) names.push_back(*text);
  }
  return names;
}

}  // namespace dhrt
