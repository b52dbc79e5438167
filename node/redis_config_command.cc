// CONFIG: settings under the names that Redis has for them, with what they are here.
#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "node/log.h"
#include "node/node_settings.h"
#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_events.h"
#include "node/redis_facts.h"
#include "node/redis_shared.h"
#include "protocol/glob.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

// --- What a setting is ----------------------------------------------------------------------

struct Setting {
  Bytes name;
  std::string (*get)(CommandServer&);
  // Why not, as Redis words it, or empty. Null: it is decided when the node starts.
  std::string (*check)(CommandServer&, Bytes value) = nullptr;
  void (*set)(CommandServer&, Bytes value) = nullptr;  // Was checked.
};

constexpr std::int64_t integer_max = std::numeric_limits<std::int64_t>::max();

std::string check_number(Bytes value, std::int64_t min, std::int64_t max) {
  const auto number = resp::parse_integer(value);
  if (!number) return "argument couldn't be parsed into an integer";
  if (*number >= min && *number <= max) return {};
  return "argument must be between " + std::to_string(min) + " and " + std::to_string(max) +
         " inclusive";
}

std::int64_t number_in(Bytes value) {
  return resp::parse_integer(value).value_or(0);
}

// --- Settings of the node -------------------------------------------------------------------

std::string maximum_clients(CommandServer& server) {
  return std::to_string(server.settings->max_clients.load());
}
std::string check_maximum_clients(CommandServer& server, Bytes value) {
  auto wrong = check_number(value, 1, std::numeric_limits<std::uint32_t>::max());
  const std::uint64_t room = server.options->max_clients;
  if (!wrong.empty() || static_cast<std::uint64_t>(number_in(value)) <= room) return wrong;
  return "this node made room for " + std::to_string(room) +
         " clients when it started; --max-clients moves that";
}
void set_maximum_clients(CommandServer& server, Bytes value) {
  server.settings->max_clients = static_cast<std::uint64_t>(number_in(value));
}

constexpr std::int64_t milliseconds_per_second = 1000;
std::string idle_timeout(CommandServer& server) {
  const std::int64_t milliseconds = server.settings->timeout_milliseconds;
  return std::to_string((milliseconds + milliseconds_per_second - 1) / milliseconds_per_second);
}
std::string check_idle_timeout(CommandServer&, Bytes value) {
  return check_number(value, 0, std::numeric_limits<std::int32_t>::max());
}
void set_idle_timeout(CommandServer& server, Bytes value) {
  server.settings->timeout_milliseconds = number_in(value) * milliseconds_per_second;
}

// Redis' words for what is logged, and the nearest of ours.
struct LogWord {
  Bytes word;
  LogLevel level;
  LogThreshold threshold;
};
constexpr std::array log_words{
    LogWord{"debug", LogLevel::debug, LogThreshold::debug},
    LogWord{"verbose", LogLevel::debug, LogThreshold::debug},
    LogWord{"notice", LogLevel::info, LogThreshold::info},
    LogWord{"warning", LogLevel::warning, LogThreshold::warning},
};
std::string log_level(CommandServer&) {
  const auto shown =
      std::ranges::find_if(log_words, [](const LogWord& word) { return log_shows(word.level); });
  return std::string(shown == log_words.end() ? log_words.back().word : shown->word);
}
const LogWord* find_log_word(Bytes value) {
  const auto found = std::ranges::find_if(
      log_words, [&](const LogWord& word) { return is_word(value, word.word); });
  return found == log_words.end() ? nullptr : &*found;
}
std::string check_log_level(CommandServer&, Bytes value) {
  if (find_log_word(value) != nullptr) return {};
  return "argument(s) must be one of the following: debug, verbose, notice, warning";
}
void set_log_level(CommandServer&, Bytes value) {
  set_log_threshold(find_log_word(value)->threshold);
}

// --- Settings of what is watched --------------------------------------------------------------

template <std::atomic<std::int64_t> RedisSettings::*field>
std::string number_of(CommandServer& server) {
  return std::to_string((server.redis->settings.*field).load());
}
template <std::int64_t min, std::int64_t max>
std::string check_between(CommandServer&, Bytes value) {
  return check_number(value, min, max);
}
template <std::atomic<std::int64_t> RedisSettings::*field>
void set_number(CommandServer& server, Bytes value) {
  server.redis->settings.*field = number_in(value);
}

// A slow command is kept with about 4 KiB.
constexpr std::int64_t slow_entries_ceiling = 100000;

std::string told_events(CommandServer& server) {
  return event_flags_text(server.redis->settings.events);
}
std::string check_told_events(CommandServer&, Bytes value) {
  if (parse_event_flags(value)) return {};
  return "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.";
}
void set_told_events(CommandServer& server, Bytes value) {
  server.redis->settings.events = *parse_event_flags(value);
}

// --- What is decided when the node starts -----------------------------------------------------

std::string keeps_a_log(CommandServer& server) {
  return server.options->memory ? "no" : "yes";
}
std::string log_sync(CommandServer& server) {
  switch (server.options->durability) {
    case Durability::sync:
      return "always";
    case Durability::interval:
      return "everysec";
    case Durability::none:
      break;
  }
  return "no";
}
std::string databases(CommandServer&) {
  return std::to_string(redis_databases);
}
std::string nothing(CommandServer&) {
  return {};
}
std::string address(CommandServer& server) {
  const std::string bound = server.report.figures().address;
  return bound.substr(0, bound.rfind(':'));
}
std::string port(CommandServer& server) {
  const std::string bound = server.report.figures().address;
  return bound.substr(bound.rfind(':') + 1);
}
std::string data_directory(CommandServer& server) {
  return server.options->data_dir;
}
std::string memory_limit(CommandServer& server) {
  return std::to_string(server.options->memory_limit);
}
std::string eviction(CommandServer& server) {
  return server.options->evict == Eviction::none ? "noeviction" : "allkeys-lru";
}
std::string value_limit(CommandServer& server) {
  return std::to_string(server.limits.value_bytes_max);
}
std::string event_loops(CommandServer& server) {
  return std::to_string(server.loops.count);
}
std::string no(CommandServer&) {
  return "no";
}

constexpr std::array settings{
    Setting{"appendfsync", log_sync},
    Setting{"appendonly", keeps_a_log},
    Setting{"bind", address},
    Setting{"cluster-enabled", no},
    Setting{"databases", databases},
    Setting{"dir", data_directory},
    Setting{"io-threads", event_loops},
    Setting{"latency-monitor-threshold", number_of<&RedisSettings::latency_milliseconds>,
            check_between<0, integer_max>, set_number<&RedisSettings::latency_milliseconds>},
    Setting{"loglevel", log_level, check_log_level, set_log_level},
    Setting{"maxclients", maximum_clients, check_maximum_clients, set_maximum_clients},
    Setting{"maxmemory", memory_limit},
    Setting{"maxmemory-policy", eviction},
    Setting{"notify-keyspace-events", told_events, check_told_events, set_told_events},
    Setting{"port", port},
    Setting{"proto-max-bulk-len", value_limit},
    Setting{"save", nothing},
    Setting{"slowlog-log-slower-than", number_of<&RedisSettings::slow_microseconds>,
            check_between<-1, integer_max>, set_number<&RedisSettings::slow_microseconds>},
    Setting{"slowlog-max-len", number_of<&RedisSettings::slow_entries_max>,
            check_between<0, slow_entries_ceiling>, set_number<&RedisSettings::slow_entries_max>},
    Setting{"timeout", idle_timeout, check_idle_timeout, set_idle_timeout},
};

const Setting* find_setting(Bytes name) {
  const auto found = std::ranges::find_if(
      settings, [&](const Setting& setting) { return is_word(name, setting.name); });
  return found == settings.end() ? nullptr : &*found;
}

// --- The subcommands ------------------------------------------------------------------------

// CONFIG GET pattern ...: a name that is no pattern is given back as it was written.
void config_get(RedisCall& call) {
  if (call.count() < 3) return call.wrong_arity("config|get");
  std::vector<std::pair<Bytes, const Setting*>> found;
  for (const Setting& setting : settings) {
    const auto patterns = call.words().subspan(2);
    const auto named = std::ranges::find_if(
        patterns, [&](Bytes pattern) { return is_word(pattern, setting.name); });
    const bool matches = std::ranges::any_of(
        patterns, [&](Bytes pattern) { return glob_matches(to_lower(pattern), setting.name); });
    if (matches) found.emplace_back(named == patterns.end() ? setting.name : *named, &setting);
  }
  call.reply().map(found.size());
  for (const auto& [name, setting] : found) {
    call.reply().bulk(name);
    call.reply().bulk(setting->get(call.server()));
  }
}

// What cannot be changed may be given the value that it has.
std::string check(CommandServer& server, const Setting& setting, Bytes value) {
  if (setting.check != nullptr) return setting.check(server, value);
  return value == setting.get(server) ? "" : "can't set immutable config";
}

// CONFIG SET name value ...: all of them or none.
void config_set(RedisCall& call) {
  if (call.count() < 4 || call.count() % 2 != 0) return call.wrong_arity("config|set");
  std::vector<const Setting*> named;
  for (std::size_t at = 2; at < call.count(); at += 2) {
    const Bytes name = call.word(at);
    const Setting* const setting = find_setting(name);
    if (setting == nullptr)
      return call.fail("ERR Unknown option or number of arguments for CONFIG SET - '" +
                       shown(name) + "'");
    std::string wrong = check(call.server(), *setting, call.word(at + 1));
    if (std::ranges::count(named, setting) > 0) wrong = "duplicate parameter";
    if (!wrong.empty())
      return call.fail("ERR CONFIG SET failed (possibly related to argument '" + shown(name) +
                       "') - " + wrong);
    named.push_back(setting);
  }
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (named[i]->set != nullptr) named[i]->set(call.server(), call.word(2 * i + 3));
  }
  call.reply().ok();
}

void config_rewrite(RedisCall& call) {
  if (call.count() != 2) return call.wrong_arity("config|rewrite");
  if (call.server().options->config.empty())
    return call.fail("ERR The server is running without a config file");
  call.fail("ERR dhrt does not write to its configuration file (" + call.server().options->config +
            "); what CONFIG SET changed lasts until the node stops");
}

void config_reset_statistics(RedisCall& call) {
  if (call.count() != 2) return call.wrong_arity("config|resetstat");
  call.server().redis->reset_figures(call.server().report.figures());
  call.reply().ok();
}

}  // namespace

void config(RedisCall& call) {
  const Bytes what = call.word(1);
  if (is_word(what, "get")) return config_get(call);
  if (is_word(what, "set")) return config_set(call);
  if (is_word(what, "resetstat")) return config_reset_statistics(call);
  if (is_word(what, "rewrite")) return config_rewrite(call);
  other_subcommand(call, {"GET pattern ...", "SET name value ...", "RESETSTAT", "REWRITE"});
}

}  // namespace dhrt::redis
