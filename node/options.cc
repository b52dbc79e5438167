#include "node/options.h"

#include <algorithm>
#include <cstdlib>
#include <map>
#include <tuple>

// Its own parser instead of std::regex, which g++ 12 cannot compile with sanitizers unwarned.
#define CXXOPTS_NO_REGEX
#include <cxxopts.hpp>

#include "node/nearest.h"
#include "node/option_table.h"
#include "node/options_file.h"
#include "node/options_hermod.h"

namespace dhrt {

namespace {

using Texts = std::map<std::string, std::string>;  // By flag name.

tl::unexpected<Error> refuse(std::string message) {
  return fail(ErrorCode::invalid_argument, std::move(message));
}

std::string unknown_flag(const std::string& argument) {
  const std::string flag = argument.substr(0, argument.find('='));
  std::vector<std::string> known;
  for (const auto& option : option_table())
    known.push_back("--" + std::string(option.name));
  const auto nearest = nearest_name(flag, known);
  return "unknown flag " + flag + "; " +
         (nearest ? "did you mean " + *nearest + "?" : "dhrt start --help lists the flags");
}

// What cxxopts found: values by flag, and words that belong to no flag.
struct Parsed {
  Texts texts;
  std::vector<std::string> words;
};

// cxxopts takes the next argument as the value whatever it is; a flag there means that the
// value was forgotten, and saying so is better than a node called "--memory".
Status check_values_present(const std::vector<std::string>& arguments) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "--") break;
    for (const auto& option : option_table()) {
      if (is_switch(option) || arguments[i] != "--" + std::string(option.name)) continue;
      if (i + 1 < arguments.size() && !arguments[i + 1].starts_with("--")) continue;
      return refuse(arguments[i] + " needs a value, e.g. " + arguments[i] + " " +
                    std::string(option.example));
    }
  }
  return {};
}

bool names_list(const std::string& flag) {
  return std::ranges::any_of(option_table(), [&](const OptionInfo& option) {
    return option.name == flag && is_list(option);
  });
}

Result<Parsed> parse_flags(const std::vector<std::string>& arguments) {
  if (auto status = check_values_present(arguments); !status) return tl::unexpected(status.error());
  Parsed parsed;
  try {
    cxxopts::Options flags("dhrt");
    flags.allow_unrecognised_options();
    for (const auto& option : option_table()) {
      auto value = cxxopts::value<std::string>();
      if (is_switch(option)) value->implicit_value("true");
      flags.add_options()(std::string(option.name), std::string(option.summary), value);
    }
    std::vector<const char*> argv{"dhrt"};
    for (const auto& argument : arguments)
      argv.push_back(argument.c_str());
    const auto result = flags.parse(static_cast<int>(argv.size()), argv.data());
    for (const auto& flag : result.arguments()) {
      auto& text = parsed.texts[flag.key()];
      // Lists grow; of other options the last holds.
      text = names_list(flag.key()) && !text.empty() ? text + "," + flag.value() : flag.value();
    }
    parsed.words = result.unmatched();
  } catch (const cxxopts::exceptions::exception& error) {
    return refuse(std::string("command line: ") + error.what() + "; see dhrt start --help");
  }
  return parsed;
}

Result<Texts> read_flags(const OptionInput& input) {
  auto parsed = parse_flags(input.arguments);
  if (!parsed) return tl::unexpected(parsed.error());
  for (const auto& word : parsed->words) {
    if (word.starts_with('-')) return refuse(unknown_flag(word));
    if (!input.joins)
      return refuse("start takes flags only, not '" + word + "'; to join a cluster: dhrt join " +
                    word);
    auto& join = parsed->texts["join"];
    join += (join.empty() ? "" : ",") + word;
  }
  return std::move(parsed->texts);
}

std::optional<Setting> from_environment(const OptionInfo& option, const Environment& environment) {
  for (const auto& name : {variable_name(option), std::string(option.other_variable)}) {
    if (name.empty()) continue;
    // Compose files pass `VARIABLE=` for what is not set.
    if (auto text = environment(name); text && !text->empty())
      return Setting{*std::move(text), {ValueSource::Kind::environment, name}};
  }
  return std::nullopt;
}

struct Sources {
  Texts flags;
  Texts file;
  std::string file_path;
};

// What one of the three sets of timers says of an option; absent: nothing.
std::optional<std::string> timing_text(std::string_view name, const Sources& sources,
                                       const OptionInput& input);

Setting decide(const OptionInfo& option, const Sources& sources, const OptionInput& input) {
  const std::string name(option.name);
  if (const auto flag = sources.flags.find(name); flag != sources.flags.end())
    return {flag->second, {ValueSource::Kind::flag, ""}};
  if (auto setting = from_environment(option, input.environment)) return *std::move(setting);
  if (const auto entry = sources.file.find(name); entry != sources.file.end())
    return {entry->second, {ValueSource::Kind::file, sources.file_path}};
  if (name == "name") return {input.host_name, {}};
  // Who is told a port by its surroundings is to serve there.
  if (const auto port = input.environment("PORT"); name == "http" && port && !port->empty())
    return {"true", {ValueSource::Kind::environment, "PORT"}};
  if (auto text = timing_text(name, sources, input)) return {*std::move(text), {}};
  return {std::string(option.default_text), {}};
}

std::string place_of(const OptionInfo& option, const Setting& setting) {
  switch (setting.source.kind) {
    case ValueSource::Kind::environment:
      return setting.source.detail;
    case ValueSource::Kind::file:
      return file_key(option) + " in " + setting.source.detail;
    case ValueSource::Kind::built_in:
    case ValueSource::Kind::flag:
      break;
  }
  return "--" + std::string(option.name);
}

const OptionInfo& option_named(std::string_view name) {
  for (const auto& option : option_table())
    if (option.name == name) return option;
  return option_table().front();
}

std::optional<std::string> timing_text(std::string_view name, const Sources& sources,
                                       const OptionInput& input) {
  const bool is_interval = name == "probe-interval";
  if (!is_interval && name != "suspicion-multiplier") return std::nullopt;
  NodeOptions chosen;
  for (const std::string_view profile : {"fast", "wan"}) {
    const OptionInfo& option = option_named(profile);
    // What is neither true nor false is refused where options are read one by one.
    std::ignore = apply_option(option, decide(option, sources, input).text, "", chosen);
  }
  const ClusterOptions timing = timing_of(chosen);
  if (is_interval) return std::to_string(timing.probe_interval.count()) + "ms";
  return std::to_string(timing.suspicion_multiplier);
}

// The text of a setting, as it was given.
std::string text_of(const NodeOptions& options, std::string_view name) {
  const auto table = option_table();
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i].name == name) return options.settings[i].text;
  return {};
}

Status check_tls(const NodeOptions& options) {
  if (options.tls_self_signed && (!options.tls_cert.empty() || !options.tls_key.empty()))
    return refuse(
        "--tls-self-signed makes a certificate, and --tls-cert and --tls-key name one; give "
        "either");
  if (options.tls_cert.empty() && !options.tls_key.empty())
    return refuse("--tls-key is the key of a certificate; name that with --tls-cert");
  if (!options.tls_cert.empty() && options.tls_key.empty())
    return refuse("--tls-cert is a certificate that has a key; name that with --tls-key");
  if (options.tls_only && !options.join.empty() && !options.peer_tls)
    return refuse(
        "--tls-only serves nobody without TLS, and nodes come to the same port; give --peer-tls, "
        "too");
  if (!options.tls_cert.empty() || options.tls_self_signed) return {};
  if (!options.tls_client_ca.empty())
    return refuse(
        "--tls-client-ca is for who serves TLS; give --tls-cert and --tls-key, too, or "
        "--tls-self-signed");
  for (const Endpoint& endpoint : endpoints_of(options)) {
    if (endpoint.tls)
      return refuse(to_text(endpoint) +
                    " needs a certificate; give --tls-cert and --tls-key, or --tls-self-signed");
  }
  return {};
}

Status check_peer_tls(NodeOptions& options) {
  if (!options.peer_tls) {
    if (options.peer_tls_cert.empty() && options.peer_tls_key.empty() &&
        options.peer_tls_ca.empty())
      return {};
    return refuse(
        "--peer-tls-cert, --peer-tls-key and --peer-tls-ca are for --peer-tls; give "
        "that, too");
  }
  if (options.peer_tls_cert.empty() != options.peer_tls_key.empty())
    return refuse(
        "--peer-tls-cert and --peer-tls-key belong together; give both, or neither for "
        "those of --tls-cert");
  if (options.peer_tls_cert.empty()) {
    options.peer_tls_cert = options.tls_cert;
    options.peer_tls_key = options.tls_key;
  }
  if (options.peer_tls_cert.empty())
    return refuse("--peer-tls needs a certificate; give --peer-tls-cert and --peer-tls-key");
  if (options.peer_tls_ca.empty())
    return refuse("--peer-tls needs --peer-tls-ca, the certificate that signed those of all nodes");
  return {};
}

// What each option alone cannot know.
Status check_together(NodeOptions& options) {
  // Above half of it writes are slowed down, which is for when checkpoints do not keep up.
  if (options.checkpoint_bytes > options.unflushed_max / 2)
    return refuse("--checkpoint-bytes is " + text_of(options, "checkpoint-bytes") +
                  "; it must not be above half of --unflushed-max, which is " +
                  text_of(options, "unflushed-max"));
  if (int{options.fast} + int{options.lan} + int{options.wan} > 1)
    return refuse("--fast, --lan and --wan are three sets of timers; give one of them");
  if (auto status = check_peer_tls(options); !status) return status;
  return check_tls(options);
}

bool serves(const NodeOptions& options, Service service) {
  const auto endpoints = endpoints_of(options);
  return std::ranges::find(endpoints, service, &Endpoint::service) != endpoints.end();
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
}

ClusterOptions timing_of(const NodeOptions& options) {
  if (options.fast) return ClusterOptions::fast();
  return options.wan ? ClusterOptions::wan() : ClusterOptions::lan();
}

Result<NodeOptions> read_options(const OptionInput& input) {
  Sources sources;
  auto flags = read_flags(input);
  if (!flags) return tl::unexpected(flags.error());
  sources.flags = *std::move(flags);
  // The file is named by a flag or a variable, and then gives the rest.
  sources.file_path = decide(option_named("config"), sources, input).text;
  if (!sources.file_path.empty()) {
    auto file = read_options_file(sources.file_path);
    if (!file) return tl::unexpected(file.error());
    sources.file = *std::move(file);
  }
  NodeOptions options;
  options.host_name = input.host_name;
  for (const auto& option : option_table()) {
    auto setting = decide(option, sources, input);
    if (auto status = apply_option(option, setting.text, place_of(option, setting), options);
        !status)
      return tl::unexpected(status.error());
    options.settings.push_back(std::move(setting));
  }
  if (input.joins && options.join.empty())
    return refuse("join needs the address of a node, e.g. dhrt join 10.0.0.7:7453");
  if (auto status = check_together(options); !status) return tl::unexpected(status.error());
  options.token = input.environment("DHRT_TOKEN").value_or("");
  if (serves(options, Service::hermod)) {
    auto token = read_hermod_token(options.hermod_config, input);
    if (!token) return tl::unexpected(token.error());
    options.hermod_token = *std::move(token);
  }
  return options;
}

}  // namespace dhrt
