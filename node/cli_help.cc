#include "node/cli_help.h"

#include <algorithm>
#include <array>

#include "node/cli_command.h"
#include "node/cli_flags.h"
#include "node/options.h"

namespace dhrt {

namespace {

constexpr std::size_t summary_column = 42;

constexpr std::array locals{
    LocalCommand{"start", "start [flags]", "Start a node."},
    LocalCommand{"join", "join HOST:PORT ... [flags]",
                 "Start a node and join a cluster; or: dhrt --node=HOST:PORT"},
    LocalCommand{"repl", "repl [--host HOST:PORT]", "Type commands, with history and completion."},
    LocalCommand{"export", "export FILE [--collection C] [--resume]",
                 "Save all keys to a file; .zst is compressed."},
    LocalCommand{"verify", "verify DIRECTORY", "Check the files of a stopped node or a backup."},
    LocalCommand{"import", "import FILE [--collection C] [--format F]",
                 "Load keys from a file; - is standard input."},
};

// "  usage      summary", on two lines if the usage is long.
std::string row(std::string_view usage, std::string_view summary) {
  std::string left = "  " + std::string(usage);
  if (left.size() + 2 > summary_column)
    left += "\n" + std::string(summary_column, ' ');
  else
    left.resize(summary_column, ' ');
  return left + std::string(summary) + "\n";
}

std::string rows_of_group(std::string_view group) {
  std::string out;
  for (const auto& command : command_table())
    if (command.group == group && is_remote_command(command))
      out += row(command.usage, command.summary);
  return out;
}

constexpr std::string_view exit_codes =
    "Exit codes\n"
    "  0 done, or the key is there      1 the key is not there     2 wrong command line\n"
    "  3 cannot connect                 4 not allowed              5 the node refused\n"
    "  6 no answer in time            130 interrupted\n";

constexpr std::string_view watch_notes =
    "\nA line for each change: set KEY VALUE, del KEY, expire KEY, or reset (forget all keys; "
    "what\n"
    "there is follows), with tabs between. A key that changes often is told with what it is by "
    "then.\n"
    "With --json lines have a token from time to time: --since goes on behind it, at any node.\n"
    "A connection that is lost is made again, within --timeout. Ctrl-C ends it.\n";

std::string_view import_notes() {
  return "\nFormats\n"
         "  ndjson  one object a line: {\"key\":\"k\",\"value\":\"v\"}, also \"collection\", "
         "\"ttl\" "
         "in\n"
         "          milliseconds, \"type\", and \"encoding\":\"base64\" when key and value are "
         "base64;\n"
         "          dhrt export writes it (also compressed, as .zst), and dhrt scan --json\n"
         "  words   the line is the key, its number is the value\n"
         "\nLines that cannot be imported are counted and the first ones shown; the exit code is "
         "then 5.\n";
}

}  // namespace

std::span<const LocalCommand> local_commands() {
  return locals;
}

std::vector<std::string> command_names() {
  std::vector<std::string> names;
  for (const auto& command : locals)
    names.emplace_back(command.name);
  for (const auto& command : command_table())
    if (is_remote_command(command)) names.emplace_back(command.name);
  names.emplace_back("help");
  return names;
}

std::string short_help() {
  return "dhrt " DHRT_VERSION
         ": a key/value database whose nodes are all equal\n"
         "\n"
         "  dhrt start                    start a node on port 7453, data in ./data\n"
         "  dhrt join HOST:PORT           start a node and join the cluster of another\n"
         "  dhrt set KEY VALUE            store a value; any node will do, see --host\n"
         "  dhrt get KEY                  show it\n"
         "  dhrt repl                     type commands, with history and completion\n"
         "\n"
         "dhrt --help lists all commands, dhrt COMMAND --help explains one.\n";
}

std::string long_help() {
  std::string out = "usage: dhrt COMMAND [words] [flags]\n\nNodes and tools\n";
  for (const auto& command : locals)
    out += row(command.usage, command.summary);
  for (const std::string_view group : {"Keys", "Collections", "Node"})
    out += "\n" + std::string(group) + "\n" + rows_of_group(group);
  out += "\nFlags of every command that asks a node\n" + flags_help(client_flags);
  out += "\n" + std::string(exit_codes);
  out +=
      "\ndhrt COMMAND --help explains a command and its flags; dhrt help commands prints all, "
      "also\n"
      "those of Redis clients; dhrt --version is the version.\n";
  return out;
}

std::string command_help(const CommandInfo& command) {
  std::string out =
      "usage: dhrt " + std::string(command.usage) + "\n\n" + std::string(command.summary) + "\n";
  if (!command.flags.empty()) out += "\nFlags of the command\n" + flags_help(command.flags);
  out += "\nFlags of the program\n" + flags_help(client_flags);
  if (command.name == "get") out += flags_help("raw");
  if (command.name == "watch") out += std::string(watch_notes);
  if (command.name == "set")
    out += "\nA value of - is read from standard input; words behind -- are never flags.\n";
  return out;
}

std::string local_command_help(const LocalCommand& command) {
  std::string out =
      "usage: dhrt " + std::string(command.usage) + "\n\n" + std::string(command.summary) + "\n";
  if (command.name == "import")
    return out + "\nFlags\n" + flags_help(import_flags) + std::string(import_notes());
  if (command.name == "export") return out + "\nFlags\n" + flags_help(export_flags);
  if (command.name == "verify") return out + "\nFlags\n" + flags_help(verify_flags);
  if (command.name == "repl") return out + "\nFlags\n" + flags_help(repl_flags);
  return out + options_help() +
         "\nA flag goes before its environment variable, that before the configuration file.\n";
}

}  // namespace dhrt
