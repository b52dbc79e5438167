#include "node/cli_flags.h"

#include <algorithm>
#include <array>

#include "node/nearest.h"
#include "protocol/duration.h"

namespace dhrt {

namespace {

constexpr std::array flags{
    FlagInfo{"host", "HOST:PORT", "127.0.0.1:7453", "DHRT_HOST", "db1:7453",
             "Ask this node; any node of the cluster will do."},
    FlagInfo{"token-file", "FILE", "", "DHRT_TOKEN_FILE", "~/.dhrt-token",
             "Show the token in this file; without it, the one in DHRT_TOKEN."},
    FlagInfo{"tls", "", "", "", "", "Speak TLS; the certificates that the system trusts decide."},
    FlagInfo{"tls-ca", "FILE", "", "DHRT_TLS_CA", "/etc/dhrt/ca.pem",
             "Speak TLS, to a node whose certificate these signed."},
    FlagInfo{"timeout", "TIME", "10s", "", "500ms", "Wait this long for the node."},
    FlagInfo{"json", "", "", "", "", "Print JSON, for programs."},
    FlagInfo{"raw", "", "", "", "", "Print the bytes of the value and nothing behind them."},
    FlagInfo{"help", "", "", "", "", "Explain the command."},
    FlagInfo{"collection", "NAME", "", "", "words",
             "Only this collection; import: put all keys into it."},
    FlagInfo{"resume", "", "", "", "", "Go on with an export that was interrupted."},
    FlagInfo{"full", "", "", "", "", "With deadline and content type of each key."},
    FlagInfo{"type", "TYPE", "", "", "text/plain", "The content type, as HTTP shows it."},
    FlagInfo{"format", "ndjson|words", "ndjson", "", "words",
             "What a line of the file is: a JSON object, or a key."},
    FlagInfo{"pipeline", "N", "1024", "", "64", "Send so many keys ahead of the answers."},

    FlagInfo{"ttl", "TIME", "never", "", "60s", "Let the key expire after this long."},
    FlagInfo{"if-absent", "", "", "", "", "Store only if the key is not there."},
    FlagInfo{"if-version", "VERSION", "", "", "V", "Store only if this is the version there is."},
    FlagInfo{"ack", "LEVEL", "one", "", "quorum",
             "Nodes that must have it before the answer: one, quorum, all, linear."},
    FlagInfo{"read", "LEVEL", "fanout", "", "quorum",
             "Nodes that are asked: one, fanout, quorum, linear."},
    FlagInfo{"memory", "", "", "", "", "Keep the collection in memory only."},
    FlagInfo{"disk", "", "", "", "", "Keep the collection on disk."},
    FlagInfo{"replicas", "all|N", "all", "", "3", "Keep each key on so many nodes."},
    FlagInfo{"on", "NODE,NODE", "", "", "berlin-1,berlin-2", "Keep the collection on these nodes."},
    FlagInfo{"partitions", "P", "", "", "64", "Cut the collection into so many parts."},
    FlagInfo{"on-conflict", "last|keep", "last", "", "keep", "What two writes at once leave."},
    FlagInfo{"miss", "fanout|auto|local", "auto", "", "local",
             "Whom to ask for a key that is not here."},
    FlagInfo{"from", "KEY", "", "", "berlin", "Begin at this key."},
    FlagInfo{"limit", "N", "", "", "100", "Read at most so many keys."},
    FlagInfo{"prefix", "TEXT", "", "", "ber", "Only keys that begin with this."},
    FlagInfo{"since", "TOKEN", "now", "", "0",
             "Go on behind this token, as --json shows it; 0 begins with everything."},
};

constexpr std::size_t summary_column = 26;
constexpr std::string_view own_flags_without_value = " json raw help resume tls";

bool lists(std::string_view names, std::string_view name) {
  for (std::size_t begin = 0; begin < names.size();) {
    const std::size_t end = std::min(names.find(' ', begin), names.size());
    if (names.substr(begin, end - begin) == name) return true;
    begin = end + 1;
  }
  return false;
}

// Said before the words are split, with a nearest flag that is near, and what to do about a
// word that looks like a flag.
Status check_flags_known(const std::vector<std::string>& words, const std::string& known_flags) {
  for (const auto& word : words) {
    if (word == "--") break;
    const std::string flag = word.substr(0, word.find('='));
    if (!word.starts_with("--") || lists(known_flags, std::string_view(flag).substr(2))) continue;
    std::vector<std::string> known;
    for (const auto& info : flags)
      if (lists(known_flags, info.name)) known.push_back("--" + std::string(info.name));
    const auto nearest = nearest_name(flag, known);
    return fail(ErrorCode::invalid_argument,
                "unknown flag " + flag + "; " +
                    (nearest ? "did you mean " + *nearest + "?"
                             : "see dhrt " + words.front() +
                                   " --help; put -- before a word that "
                                   "begins with --"));
  }
  return {};
}

std::string describe(const FlagInfo& flag) {
  std::string left = "  --" + std::string(flag.name);
  if (!flag.placeholder.empty()) left += " " + std::string(flag.placeholder);
  left.resize(std::max(left.size() + 1, summary_column), ' ');
  std::string out = left + std::string(flag.summary) + "\n";
  std::string more;
  if (!flag.example.empty())
    more += "example: --" + std::string(flag.name) + " " + std::string(flag.example);
  if (!flag.default_text.empty()) more += "  default: " + std::string(flag.default_text);
  if (!flag.variable.empty()) more += "  environment: " + std::string(flag.variable);
  more.erase(0, more.find_first_not_of(' '));
  if (!more.empty()) out += std::string(summary_column, ' ') + more + "\n";
  return out;
}

}  // namespace

std::span<const FlagInfo> flag_table() {
  return flags;
}

std::string flags_help(std::string_view names) {
  std::string out;
  for (const auto& flag : flags)
    if (lists(names, flag.name)) out += describe(flag);
  return out;
}

Result<Arguments> split_command_line(const std::vector<std::string>& words,
                                     const std::string& known_flags) {
  if (auto known = check_flags_known(words, known_flags); !known)
    return tl::unexpected(known.error());
  std::vector<text::Token> tokens;
  for (const auto& word : words)
    tokens.push_back({.text = word, .quoted = false});
  // Only where it cannot be a key or a value.
  if (words.size() == 2 && words[1] == "-h") tokens[1].text = "--help";
  const std::string without_value =
      std::string(flags_without_value) + std::string(own_flags_without_value);
  return split_arguments(std::move(tokens), {.known = known_flags, .without_value = without_value});
}

}  // namespace dhrt
