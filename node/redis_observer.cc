#include "node/redis_observer.h"

#include <algorithm>
#include <array>

#include "node/redis_shared.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Bytes redacted = "(redacted)";
// What SLOWLOG keeps of a command.
constexpr std::size_t slow_words_max = 32;
constexpr std::size_t slow_word_bytes_max = 128;

std::size_t index_of(const RedisCommand& command) {
  return static_cast<std::size_t>(&command - redis_commands().data());
}

std::vector<Bytes> without_secrets(Bytes name, std::span<const Bytes> words) {
  std::vector<Bytes> shown(words.begin(), words.end());
  const auto hide = [&](std::size_t first, std::size_t count) {
    for (std::size_t i = first; i < shown.size() && i - first < count; ++i)
      shown[i] = redacted;
  };
  if (name == "auth") hide(1, shown.size());
  if (name != "hello") return shown;
  // HELLO version [AUTH user password] [SETNAME name], as often as one likes.
  for (std::size_t i = 2; i < words.size();) {
    const bool shows = is_word(words[i], "auth");
    if (shows) hide(i + 1, 2);
    i += shows ? 3 : is_word(words[i], "setname") ? 2 : 1;
  }
  return shown;
}

// What administrators do is nobody's business who looks over their shoulders.
bool is_shown(const RedisCommand& command, std::span<const Bytes> words) {
  constexpr std::array containers{Bytes("config"), Bytes("latency"), Bytes("slowlog")};
  constexpr std::array of_client{Bytes("kill"), Bytes("list")};
  if (has_flag(command, "admin")) return false;
  if (std::ranges::count(containers, Bytes(command.name)) > 0) return false;
  return command.name != "client" || words.size() < 2 ||
         std::ranges::none_of(of_client, [&](Bytes name) { return is_word(words[1], name); });
}

void append_quoted(std::string& out, Bytes word) {
  constexpr Bytes digits = "0123456789abcdef";
  out += '"';
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    switch (c) {
      case '\\':
      case '"':
        (out += '\\') += c;
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      case '\a':
        out += "\\a";
        break;
      case '\b':
        out += "\\b";
        break;
      default:
        if (byte >= ' ' && byte <= '~')
          out += c;
        else
          ((out += "\\x") += digits[byte >> 4]) += digits[byte & 15U];
    }
  }
  out += '"';
}

// +<seconds>.<microseconds> [<database> <address>] "word" ...
std::string monitor_line(const std::string& database, const std::string& address,
                         std::span<const Bytes> words) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  const std::string fraction = std::to_string(microseconds % 1000000);
  std::string line = "+" + std::to_string(microseconds / 1000000) + "." +
                     std::string(6 - fraction.size(), '0') + fraction + " [" + database + " " +
                     address + "]";
  for (const Bytes word : words) {
    line += ' ';
    append_quoted(line, word);
  }
  return line += "\r\n";
}

std::string database_of(const RedisClient& client) {
  return client.database < 0 ? client.collection : std::to_string(client.database);
}

void show_to_monitors(RedisCall& call) {
  CommandServer& server = call.server();
  if (!server.redis->monitors.any() || !is_shown(call.command(), call.words())) return;
  const auto words = without_secrets(call.command().name, call.words());
  server.redis->monitors.tell(server.loops,
                              monitor_line(database_of(call.client()),
                                           call.session().connection().remote_address(), words));
}

std::vector<std::string> shortened(std::span<const Bytes> words) {
  std::vector<std::string> kept;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i + 1 == slow_words_max && words.size() > slow_words_max) {
      kept.push_back("... (" + std::to_string(words.size() - i) + " more arguments)");
      break;
    }
    const std::size_t more = words[i].size() - std::min(words[i].size(), slow_word_bytes_max);
    kept.emplace_back(words[i].substr(0, slow_word_bytes_max));
    if (more > 0) kept.back() += "... (" + std::to_string(more) + " more bytes)";
  }
  return kept;
}

RedisSent sent_by(const Session& session, const RedisClient& client, const RedisCommand& command,
                  std::span<const Bytes> words) {
  return {shortened(without_secrets(command.name, words)), session.connection().remote_address(),
          client.name.substr(0, slow_word_bytes_max)};
}

}  // namespace

RedisSent sent_of(RedisCall& call) {
  return sent_by(call.session(), call.client(), call.command(), call.words());
}

void note_time(RedisShared& shared, const RedisCommand& command, FunctionRef<RedisSent()> sent,
               std::uint64_t nanoseconds) {
  const RedisSettings& settings = shared.settings;
  const std::uint64_t microseconds = nanoseconds / 1000;
  const std::int64_t slow = settings.slow_microseconds.load(std::memory_order_relaxed);
  const std::int64_t late = settings.latency_milliseconds.load(std::memory_order_relaxed);
  const bool is_slow = slow >= 0 && microseconds >= static_cast<std::uint64_t>(slow) &&
                       !has_flag(command, "skip_slowlog");
  const bool is_late = late > 0 && microseconds / 1000 >= static_cast<std::uint64_t>(late);
  if (!is_slow && !is_late) return;  // As nearly all are: no clock is read for them.
  const std::uint64_t now = wall_now() / 1000;
  if (is_slow) {
    RedisSent shown = sent();
    shared.slow_log.add({.unix_seconds = now,
                         .microseconds = microseconds,
                         .words = std::move(shown.words),
                         .address = std::move(shown.address),
                         .name = std::move(shown.name)},
                        static_cast<std::size_t>(settings.slow_entries_max.load()));
  }
  if (is_late)
    shared.latency.add(has_flag(command, "fast") ? "fast-command" : "command",
                       {.unix_seconds = now, .milliseconds = microseconds / 1000});
}

void run_observed(RedisCall& call) {
  const RedisCommand& command = call.command();
  RedisShared& shared = *call.server().redis;
  KeyEvents* const events = call.database().events();
  const KeyEvents::Name outer =
      events->rename(events->any() ? event_name_of(command.name) : KeyEvents::Name{});
  const Stopwatch stopwatch;
  command.run(call);
  events->rename(outer);
  const std::uint64_t nanoseconds = stopwatch.nanoseconds();
  shared.figures.of_loop(call.server().loops.own)
      .ran(index_of(command), 1, nanoseconds, call.failed());
  note_time(
      shared, command, [&] { return sent_of(call); }, nanoseconds);
  show_to_monitors(call);
}

void note_refused(CommandServer& server, const RedisCommand& command) {
  server.redis->figures.of_loop(server.loops.own).rejected(index_of(command));
}

// Which one of them took long nobody knows; the first one stands for all.
void note_fast_run(CommandServer& server, const Session& session, const RedisClient& client,
                   const RedisFastRun& run) {
  static const RedisCommand& get = *find_redis_command("get");
  static const RedisCommand& set = *find_redis_command("set");
  RedisLoopFigures& figures = server.redis->figures.of_loop(server.loops.own);
  const std::uint64_t count = run.gets + run.sets;
  if (count == 0) return;
  figures.ran(index_of(get), run.gets, run.nanoseconds * run.gets / count, false);
  figures.ran(index_of(set), run.sets, run.nanoseconds * run.sets / count, false);
  const bool is_get = run.first.kind == FastCommand::Kind::get;
  const auto sent = [&] {
    const std::string rest = "... (a run of " + std::to_string(count) + " commands)";
    std::vector<Bytes> words{is_get ? Bytes("get") : Bytes("set"), run.first.key};
    if (!is_get) words.push_back(run.first.value);
    RedisSent shown = sent_by(session, client, is_get ? get : set, words);
    if (count > 1) shown.words.push_back(rest);
    return shown;
  };
  note_time(*server.redis, is_get ? get : set, sent, run.nanoseconds);
}

void show_line(CommandServer& server, const Session& session, std::span<const Bytes> words) {
  if (!server.redis->monitors.any() || words.empty()) return;
  const std::string name = to_lower(words[0]);
  server.redis->monitors.tell(server.loops, monitor_line("0", session.connection().remote_address(),
                                                         without_secrets(name, words)));
}

}  // namespace dhrt
