#include "node/cli_command.h"

#include <algorithm>
#include <array>
#include <istream>
#include <ostream>
#include <sstream>
#include <utility>

#include "node/cli_client.h"
#include "node/cli_flags.h"
#include "node/cli_help.h"
#include "node/cli_interrupt.h"
#include "node/cli_print.h"
#include "node/cli_target.h"
#include "node/cli_watch.h"
#include "protocol/json.h"

namespace dhrt {

namespace {

bool is_own_flag(const std::string& name) {
  constexpr std::array<Bytes, 8> own{"host",    "token-file", "tls", "tls-ca",
                                     "timeout", "json",       "raw", "help"};
  return std::ranges::find(own, name) != own.end();
}

bool takes_value(const std::string& flag) {
  constexpr std::array<Bytes, 4> without{"memory", "disk", "if-absent", "full"};
  return std::ranges::find(without, flag) == without.end();
}

std::string usage_of(const CommandInfo& command) {
  return "usage: dhrt " + std::string(command.usage) + "; see dhrt " + std::string(command.name) +
         " --help";
}

// A word of "-" among the words behind `set` is what comes on standard input.
Status read_value(std::vector<std::string>& words, Console& console) {
  const auto dashes = std::ranges::count(words, "-");
  if (words.front() != "set" || dashes == 0) return {};
  if (words.back() != "-" || dashes > 1)
    return fail(ErrorCode::invalid_argument, "- stands for standard input, as the value only");
  std::ostringstream bytes;
  bytes << console.in.rdbuf();  // Unlike an iterator it does not throw when reading fails.
  words.back() = bytes.str();
  return {};
}

int miss(Console& console, const std::string& message) {
  complain(console, message);
  return exit_code::miss;
}

// Everything about one command line, once it was found good.
struct Call {
  const CommandInfo& command;
  const Arguments& arguments;
  Client& client;
  Duration timeout;
  Console& console;

  bool json() const { return arguments.has("json"); }
  const std::string& last_word() const { return arguments.words.back(); }
};

int print_get(const Call& call, const Reply& reply) {
  const auto* value = std::get_if<std::string>(&reply.value);
  if (value == nullptr) {
    call.console.out << plain_text(reply);
  } else if (call.arguments.has("raw")) {
    call.console.out << *value;
  } else {
    call.console.out << *value << "\n";
  }
  return exit_code::done;
}

int print_number(const Call& call, std::int64_t number) {
  const Bytes name = call.command.name;
  if (name == "has") {
    call.console.out << (number != 0 ? "yes\n" : "no\n");
    return number != 0 ? exit_code::done : exit_code::miss;
  }
  if (name == "del") {
    if (number == 0) return miss(call.console, "no such key: " + printable(call.last_word()));
    call.console.out << "OK\n";
    return exit_code::done;
  }
  call.console.out << number << "\n";
  return exit_code::done;
}

int print_document(const Call& call, const std::string& document) {
  if (call.json())
    call.console.out << document << "\n";
  else if (call.command.name == "nodes")
    call.console.out << table_text(document, node_columns);
  else if (call.command.name == "collections")
    call.console.out << table_text(document, collection_columns);
  else
    call.console.out << properties_text(document);
  return exit_code::done;
}

bool answers_with_document(Bytes name) {
  return name == "nodes" || name == "collections" || name == "stats";
}

int refuse(const Call& call, const ReplyError& error) {
  const int code = exit_code_of(error);
  // A write that was not in time may be done all the same.
  const std::string what = code == exit_code::timed_out ? "not in time: " : "the node refused: ";
  complain(call.console, what + printable(error.message));
  return code;
}

int print_reply(const Call& call, const Reply& reply) {
  if (const auto* error = std::get_if<ReplyError>(&reply.value)) return refuse(call, *error);
  const auto* document = std::get_if<std::string>(&reply.value);
  if (document != nullptr && answers_with_document(call.command.name))
    return print_document(call, *document);
  const auto* number = std::get_if<std::int64_t>(&reply.value);
  if (call.json()) {
    call.console.out << json_text(reply) << "\n";
    const bool absent = reply.is_nil() || (call.command.name == "has" && number && *number == 0);
    return absent ? exit_code::miss : exit_code::done;
  }
  if (reply.is_nil())
    return miss(call.console, call.command.name == "set"
                                  ? "not stored: the condition does not hold"
                                  : "no such key: " + printable(call.last_word()));
  if (number != nullptr) return print_number(call, *number);
  return print_get(call, reply);
}

int report(Console& console, const Error& error) {
  complain(console, error.message);
  return exit_code_of(error);
}

// A pair of scan as one line; the JSON is what `dhrt import` reads.
std::string pair_text(const std::string& key, const std::string& value, bool json) {
  if (!json) return key + "\t" + value + "\n";
  json::Writer writer;
  const bool text = json::is_utf8(key) && json::is_utf8(value);
  writer.begin_object().key("key").string(text ? key : json::base64(key));
  writer.key("value").string(text ? value : json::base64(value));
  if (!text) writer.key("encoding").string("base64");
  writer.end_object();
  return writer.take() + "\n";
}

// A page of scan: [next, [key, value, ...]]. Absent if the reply is of another form.
struct Page {
  std::string next;
  std::vector<std::string> pairs;
  std::vector<std::string> damaged;  // "key: what the node says of its value".
};
std::optional<Page> page_of(const Reply& reply) {
  const auto* parts = std::get_if<Reply::Array>(&reply.value);
  if (parts == nullptr || parts->size() != 2) return std::nullopt;
  const auto* next = std::get_if<std::string>(&(*parts)[0].value);
  const auto* items = std::get_if<Reply::Array>(&(*parts)[1].value);
  if (next == nullptr || items == nullptr || items->size() % 2 != 0) return std::nullopt;
  Page page{*next, {}, {}};
  for (std::size_t i = 0; i < items->size(); i += 2) {
    const auto* key = std::get_if<std::string>(&(*items)[i].value);
    const auto* value = std::get_if<std::string>(&(*items)[i + 1].value);
    const auto* error = std::get_if<ReplyError>(&(*items)[i + 1].value);
    if (key == nullptr || (value == nullptr && error == nullptr)) return std::nullopt;
    if (error != nullptr) {
      page.damaged.push_back(printable(*key) + ": " + printable(error->message));
    } else {
      page.pairs.insert(page.pairs.end(), {*key, *value});
    }
  }
  return page;
}

std::vector<text::Token> next_page_tokens(const Call& call, const std::string& next) {
  Arguments arguments = call.arguments;
  std::erase_if(arguments.flags, [](const auto& flag) { return flag.first == "from"; });
  arguments.flags.emplace_back("from", next);
  return command_tokens(arguments);
}

// Without --limit all pages are read; with it, one, and the user is told where to go on.
int run_scan(const Call& call, std::vector<text::Token> tokens) {
  const bool all = !call.arguments.has("limit");
  std::string from;
  int code = exit_code::done;
  for (;;) {
    const auto reply = call.client.call(tokens, call.timeout);
    if (!reply) return report(call.console, reply.error());
    const auto page = page_of(*reply);
    if (!page) return print_reply(call, *reply);
    for (std::size_t i = 0; i < page->pairs.size(); i += 2)
      call.console.out << pair_text(page->pairs[i], page->pairs[i + 1], call.json());
    for (const std::string& damaged : page->damaged) {
      complain(call.console, damaged);
      code = exit_code::server_error;
    }
    if (!page->next.empty() && !all)
      complain(call.console, "there is more: go on with --from " + text::quote(page->next));
    // A node that gives the same place again would keep us for ever.
    if (page->next.empty() || !all || page->next == from) return code;
    from = page->next;
    tokens = next_page_tokens(call, from);
  }
}

}  // namespace

int exit_code_of(const Error& error) {
  if (interrupted()) return exit_code::interrupted;
  if (error.code == ErrorCode::invalid_argument) return exit_code::usage;
  if (error.code == ErrorCode::unavailable) return exit_code::cannot_connect;
  if (error.code == ErrorCode::timeout) return exit_code::timed_out;
  if (error.code == ErrorCode::denied) return exit_code::auth;
  return exit_code::server_error;
}

int exit_code_of(const ReplyError& error) {
  const Bytes message = error.message;
  for (const Bytes word : {"NOAUTH", "WRONGPASS", "NOPERM"})
    if (message.starts_with(word)) return exit_code::auth;
  return message.starts_with("TIMEOUT") ? exit_code::timed_out : exit_code::server_error;
}

bool is_remote_command(const CommandInfo& command) {
  constexpr std::array<Bytes, 3> only_in_repl{"auth", "help", "quit"};
  return std::ranges::find(only_in_repl, command.name) == only_in_repl.end();
}

std::vector<text::Token> command_tokens(const Arguments& arguments) {
  const auto word_token = [](const std::string& word) {
    return text::Token{.text = word, .quoted = word.starts_with("--")};
  };
  std::vector<text::Token> tokens;
  for (const auto& word : arguments.words)
    tokens.push_back(word_token(word));
  for (const auto& [name, value] : arguments.flags) {
    if (is_own_flag(name)) continue;
    tokens.push_back({.text = "--" + name, .quoted = false});
    if (takes_value(name)) tokens.push_back(word_token(value));
  }
  return tokens;
}

int run_command(const CommandInfo& command, const std::vector<std::string>& words,
                Console& console) {
  const std::string known = std::string(command.flags) + " " + std::string(client_flags) + " raw";
  auto arguments = split_command_line(words, known);
  if (!arguments) return report(console, arguments.error());
  if (arguments->has("help")) {
    console.out << command_help(command);
    return exit_code::done;
  }
  const std::size_t count = arguments->words.size();
  if (count < command.arity_min || count > command.arity_max) {
    complain(console, (count < command.arity_min ? "too few words; " : "too many words; ") +
                          usage_of(command));
    return exit_code::usage;
  }
  const auto target = read_target(*arguments, console.environment);
  if (!target) return report(console, target.error());
  if (command.name == "watch") return run_watch(*target, {.asked = *arguments}, console);
  if (auto status = read_value(arguments->words, console); !status)
    return report(console, status.error());
  auto client = connect_to(*target);
  if (!client) return report(console, client.error());
  const Call call{command, *arguments, *client, target->timeout, console};
  const auto tokens = command_tokens(*arguments);
  if (command.name == "scan") return run_scan(call, tokens);
  const auto reply = client->call(tokens, target->timeout);
  if (!reply) return report(console, reply.error());
  return print_reply(call, *reply);
}

}  // namespace dhrt
