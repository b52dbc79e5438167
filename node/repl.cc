#include "node/repl.h"

#include <algorithm>
#include <istream>
#include <ostream>

#include "node/cli_command.h"
#include "node/cli_flags.h"
#include "node/cli_help.h"
#include "node/cli_interrupt.h"
#include "node/cli_print.h"
#include "node/cli_watch.h"
#include "node/repl_editor.h"
#include "node/repl_history.h"
#include "node/repl_session.h"
#include "node/repl_words.h"

namespace dhrt {

namespace {

class Repl {
 public:
  Repl(Target target, Console& console)
      : session_(std::move(target)),
        console_(console),
        for_person_(console.in_is_terminal && console.out_is_terminal) {}

  int run() {
    if (auto connected = session_.connect(); !connected) {
      complain(console_, connected.error().message);
      return exit_code_of(connected.error());
    }
    return for_person_ ? run_terminal() : run_lines();
  }

 private:
  int run_lines() {
    std::string line;
    while (!interrupted() && std::getline(console_.in, line)) {
      if (line.ends_with('\r')) line.pop_back();
      if (!run_line(line)) break;
    }
    return interrupted() ? exit_code::interrupted : last_code_;
  }

  int run_terminal() {
    console_.out << "connected to " << where() << "; help lists the commands, Ctrl-D ends"
                 << std::endl;
    HistoryFile file(history_path(console_.environment));
    LineEditor editor({.prompt = where() + "> ",
                       .colours = console_.has_colours(),
                       .complete = [this](Bytes line) { return complete_line(line); },
                       .hint = usage_hint});
    for (const auto& line : file.load())
      editor.remember(line);
    while (auto line = editor.read()) {
      if (line->find_first_not_of(" \t") == std::string::npos) continue;
      if (!is_secret(*line)) {
        editor.remember(*line);
        file.append(*line);
      }
      if (!run_line(*line)) return exit_code::done;
      // Ctrl-C during a command ends the wait for it, not the program.
      forget_interrupt();
    }
    console_.out << std::endl;
    return exit_code::done;
  }

  std::string where() const { return to_text(session_.target().host); }

  Completion complete_line(Bytes line) {
    if (!completes_collection(line)) return complete(line, {});
    return complete(line, session_.collections());
  }

  // False if it was the last one.
  bool run_line(const std::string& line) {
    const auto tokens = text::tokenize(line, {});
    if (!tokens) {
      say_error(tokens.error().message, exit_code::usage);
      return true;
    }
    if (tokens->empty()) return true;
    const auto* command = find_command((*tokens)[0].text);
    const Bytes name = command != nullptr ? command->name : Bytes((*tokens)[0].text);
    if (name == "quit" || name == "exit") return false;
    if (name == "help") {
      explain(*tokens);
      return true;
    }
    // For a program the node decides, which may know more commands than we do.
    const auto reason = for_person_ ? reason_to_keep(*tokens) : std::nullopt;
    if (reason)
      say_error(*reason, exit_code::usage);
    else if (name == "watch")
      watch(*tokens, *command);
    else
      ask(*tokens, name);
    return true;
  }

  // On a connection of its own, until Ctrl-C: the node takes nothing but quit on such a one.
  void watch(const std::vector<text::Token>& tokens, const CommandInfo& command) {
    auto arguments = split_arguments(tokens, {command.flags, flags_without_value});
    const std::size_t count = arguments ? arguments->words.size() : 0;
    if (!arguments || count < command.arity_min || count > command.arity_max)
      return say_error(
          arguments ? "usage: " + std::string(command.usage) : arguments.error().message,
          exit_code::usage);
    last_code_ = run_watch(session_.target(),
                           {.asked = std::move(*arguments), .auth = session_.auth()}, console_);
  }

  void explain(const std::vector<text::Token>& tokens) {
    if (tokens.size() < 2) {
      console_.out << repl_help() << std::flush;
    } else if (const auto text = repl_help(Bytes(tokens[1].text))) {
      console_.out << *text << std::flush;
    } else {
      say_error(*reason_to_keep({tokens[1]}), exit_code::usage);
    }
  }

  void ask(const std::vector<text::Token>& tokens, Bytes name) {
    const auto reply = session_.ask(tokens);
    if (!reply) {
      say_error(reply.error().message, exit_code_of(reply.error()));
    } else if (const auto* error = std::get_if<ReplyError>(&reply->value)) {
      say_error(printable(error->message), exit_code_of(*error));
    } else {
      console_.out << shown(*reply, name) << std::flush;
    }
  }

  std::string shown(const Reply& reply, Bytes name) const {
    if (!for_person_) return plain_text(reply);
    const auto* text = std::get_if<std::string>(&reply.value);
    if (text != nullptr && name == "nodes") return table_text(*text, node_columns);
    if (text != nullptr && name == "collections") return table_text(*text, collection_columns);
    if (text != nullptr && name == "stats") return properties_text(*text);
    return pretty_text(reply);
  }

  void say_error(const std::string& message, int code) {
    last_code_ = code;
    if (!for_person_)
      complain(console_, message);
    else if (console_.has_colours())
      console_.out << "\x1b[31m(error)\x1b[0m " << message << std::endl;
    else
      console_.out << "(error) " << message << std::endl;
  }

  ReplSession session_;
  Console& console_;
  bool for_person_;
  int last_code_ = exit_code::done;
};

}  // namespace

int run_repl(const std::vector<std::string>& words, Console& console) {
  const auto arguments = split_command_line(words, std::string(repl_flags));
  if (!arguments) {
    complain(console, arguments.error().message);
    return exit_code_of(arguments.error());
  }
  if (arguments->has("help")) {
    for (const auto& command : local_commands())
      if (command.name == "repl") console.out << local_command_help(command);
    return exit_code::done;
  }
  if (arguments->words.size() > 1) {
    complain(console, "repl takes no words, not '" + arguments->words[1] +
                          "'; another node is given as --host HOST:PORT");
    return exit_code::usage;
  }
  auto target = read_target(*arguments, console.environment);
  if (!target) {
    complain(console, target.error().message);
    return exit_code_of(target.error());
  }
  return Repl(*std::move(target), console).run();
}

}  // namespace dhrt
