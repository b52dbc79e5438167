#include "node/cli.h"

#include <array>
#include <filesystem>
#include <iostream>
#include <unistd.h>

#include "node/cli_backup.h"
#include "node/cli_command.h"
#include "node/cli_export.h"
#include "node/cli_help.h"
#include "node/cli_import.h"
#include "node/cli_interrupt.h"
#include "node/cli_verify.h"
#include "node/command_reference.h"
#include "node/command_table.h"
#include "node/exit_code.h"
#include "node/nearest.h"
#include "node/repl.h"

namespace dhrt {

namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "dhrt";
  return name.data();
}

std::string program_folder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

bool asks_for_help(const std::vector<std::string>& words) {
  for (const auto& word : words) {
    if (word == "--") return false;
    if (word == "--help" || word == "-h") return true;
  }
  return false;
}

const LocalCommand* find_local(const std::string& name) {
  for (const auto& command : local_commands())
    if (command.name == name) return &command;
  return nullptr;
}

int start_node(const std::vector<std::string>& words, bool joins, Console& console,
               const NodeRunner& run_node) {
  if (asks_for_help(words)) {
    console.out << local_command_help(*find_local(joins ? "join" : "start"));
    return exit_code::done;
  }
  const auto options = read_options({.arguments = {words.begin() + 1, words.end()},
                                     .joins = joins,
                                     .environment = console.environment,
                                     .host_name = host_name(),
                                     .program_folder = program_folder()});
  if (!options) {
    complain(console, options.error().message);
    return exit_code::usage;
  }
  if (options->print_config) {
    console.out << print_config(*options);
    return exit_code::done;
  }
  return run_node(*options);
}

// `--node=HOST:PORT ...` or `--node HOST:PORT ...` as `join HOST:PORT ...`.
std::vector<std::string> as_join(const std::vector<std::string>& words) {
  std::vector<std::string> join{"join"};
  const std::size_t equals = words[0].find('=');
  if (equals != std::string::npos) join.push_back(words[0].substr(equals + 1));
  join.insert(join.end(), words.begin() + 1, words.end());
  return join;
}

int unknown_command(const std::string& word, Console& console) {
  if (word.starts_with('-')) {
    complain(console, "unknown flag " + word + " before a command; write dhrt COMMAND " + word +
                          ", or see dhrt --help");
    return exit_code::usage;
  }
  const auto nearest = nearest_name(word, command_names());
  complain(console, "unknown command '" + word + "'; " +
                        (nearest ? "did you mean dhrt " + *nearest + "?"
                                 : "dhrt --help lists the commands"));
  return exit_code::usage;
}

int explain(const std::vector<std::string>& words, Console& console) {
  if (words.size() < 2) {
    console.out << long_help();
    return exit_code::done;
  }
  if (const auto* local = find_local(words[1])) {
    console.out << local_command_help(*local);
    return exit_code::done;
  }
  if (words[1] == "commands") {
    console.out << command_reference();
    return exit_code::done;
  }
  const auto* command = find_command(words[1]);
  if (command != nullptr && is_remote_command(*command)) {
    console.out << command_help(*command);
    return exit_code::done;
  }
  const auto of_redis = redis_command_help(words[1]);
  if (!of_redis) return unknown_command(words[1], console);
  console.out << *of_redis;
  return exit_code::done;
}

int run_client(const std::vector<std::string>& words, Console& console) {
  const auto* command = find_command(words[0]);
  const bool remote = command != nullptr && is_remote_command(*command);
  if (!remote && find_local(words[0]) == nullptr) return unknown_command(words[0], console);
  catch_interrupts();
  if (words[0] == "backup") return run_backup(words, console);
  if (words[0] == "export") return run_export(words, console);
  if (words[0] == "import") return run_import(words, console);
  if (words[0] == "repl") return run_repl(words, console);
  if (words[0] == "verify") return run_verify(words, console);
  return run_command(*command, words, console);
}

}  // namespace

void complain(Console& console, const std::string& message) {
  console.error << "dhrt: " << message << std::endl;
}

int run_cli(const std::vector<std::string>& words, Console& console, const NodeRunner& run_node) {
  if (words.empty()) {
    console.out << short_help();
    return exit_code::done;
  }
  const std::string& first = words[0];
  if (first == "--help" || first == "-h") return explain({"help"}, console);
  if (first == "help") return explain(words, console);
  if (first == "--version") {
    console.out << "dhrt " DHRT_VERSION "\n";
    return exit_code::done;
  }
  if (first == "start") return start_node(words, false, console, run_node);
  if (first == "join") return start_node(words, true, console, run_node);
  if (first == "--node" || first.starts_with("--node="))
    return start_node(as_join(words), true, console, run_node);
  return run_client(words, console);
}

int run_cli(int argc, char** argv, const NodeRunner& run_node) {
  // Files of a gigabyte go through these streams; nobody mixes them with stdio.
  std::ios::sync_with_stdio(false);
  InterruptibleInput input(STDIN_FILENO);
  std::istream in(&input);
  const Environment environment = process_environment();
  Console console{.in = in,
                  .out = std::cout,
                  .error = std::cerr,
                  .in_is_terminal = isatty(STDIN_FILENO) == 1,
                  .out_is_terminal = isatty(STDOUT_FILENO) == 1,
                  .error_is_terminal = isatty(STDERR_FILENO) == 1,
                  .environment = environment};
  const std::vector<std::string> words(argv + (argc > 0 ? 1 : 0), argv + argc);
  const int code = run_cli(words, console, run_node);
  std::cout.flush();
  if (!std::cout) {
    std::cerr << "dhrt: standard output cannot be written; is the disk full?\n";
    return code == exit_code::done ? exit_code::server_error : code;
  }
  return code;
}

}  // namespace dhrt
