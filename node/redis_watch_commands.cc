// What a node is watched with: SLOWLOG, LATENCY, MONITOR.
#include <algorithm>
#include <vector>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "node/redis_shared.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

// --- SLOWLOG --------------------------------------------------------------------------------

namespace {

// SLOWLOG GET [count]
void slow_log_get(RedisCall& call) {
  if (call.count() > 3)
    return call.fail("ERR unknown subcommand or wrong number of arguments for '" +
                     shown(call.word(1)) + "'. Try SLOWLOG HELP.");
  constexpr std::int64_t usual = 10;
  const auto count = call.count() == 2 ? usual : resp::parse_integer(call.word(2)).value_or(-2);
  if (count < -1) return call.fail("ERR count should be greater than or equal to -1");
  const auto entries = call.server().redis->slow_log.newest(static_cast<std::size_t>(count));
  resp::Writer& reply = call.reply();
  reply.array(entries.size());
  for (const RedisSlowLog::Entry& entry : entries) {
    reply.array(6);
    reply.integer(static_cast<std::int64_t>(entry.id));
    reply.integer(static_cast<std::int64_t>(entry.unix_seconds));
    reply.integer(static_cast<std::int64_t>(entry.microseconds));
    reply.array(entry.words.size());
    for (const std::string& word : entry.words)
      reply.bulk(word);
    reply.bulk(entry.address);
    reply.bulk(entry.name);
    if (!call.has_room()) return;
  }
}

}  // namespace

void slow_log(RedisCall& call) {
  const Bytes what = call.word(1);
  RedisSlowLog& log = call.server().redis->slow_log;
  if (is_word(what, "get")) return slow_log_get(call);
  const bool is_length = is_word(what, "len");
  if (!is_length && !is_word(what, "reset"))
    return other_subcommand(call, {"GET [count]", "LEN", "RESET"});
  if (call.count() != 2) return call.wrong_arity("slowlog|" + to_lower(what));
  if (is_length) return call.reply().integer(static_cast<std::int64_t>(log.size()));
  log.clear();
  call.reply().ok();
}

// --- LATENCY --------------------------------------------------------------------------------

namespace {

void latency_latest(RedisCall& call) {
  if (call.count() != 2) return call.wrong_arity("latency|latest");
  const auto events = call.server().redis->latency.events();
  call.reply().array(events.size());
  for (const auto& [name, event] : events) {
    call.reply().array(4);
    call.reply().bulk(name);
    call.reply().integer(static_cast<std::int64_t>(event.samples.back().unix_seconds));
    call.reply().integer(static_cast<std::int64_t>(event.samples.back().milliseconds));
    call.reply().integer(static_cast<std::int64_t>(event.milliseconds_max));
  }
}

void latency_history(RedisCall& call) {
  if (call.count() != 3) return call.wrong_arity("latency|history");
  const auto events = call.server().redis->latency.events();
  const auto found = events.find(std::string(call.word(2)));
  if (found == events.end()) return call.reply().array(0);
  call.reply().array(found->second.samples.size());
  for (const RedisLatency::Sample& sample : found->second.samples) {
    call.reply().array(2);
    call.reply().integer(static_cast<std::int64_t>(sample.unix_seconds));
    call.reply().integer(static_cast<std::int64_t>(sample.milliseconds));
  }
}

void latency_reset(RedisCall& call) {
  const auto words = call.words().subspan(2);
  const std::size_t count = call.server().redis->latency.reset({words.begin(), words.end()});
  call.reply().integer(static_cast<std::int64_t>(count));
}

// What was seen, in words.
void latency_doctor(RedisCall& call) {
  if (call.count() != 2) return call.wrong_arity("latency|doctor");
  const RedisShared& shared = *call.server().redis;
  const std::int64_t least = shared.settings.latency_milliseconds;
  if (least == 0)
    return call.reply().verbatim(
        "Nothing is sampled. CONFIG SET latency-monitor-threshold <milliseconds> says which "
        "commands are slow enough to be noted.\n");
  const auto events = shared.latency.events();
  std::string text = events.empty() ? "No command took " + std::to_string(least) +
                                          " ms or more since that is looked at.\n"
                                    : "";
  for (const auto& [name, event] : events) {
    std::uint64_t sum = 0;
    for (const RedisLatency::Sample& sample : event.samples)
      sum += sample.milliseconds;
    text += name + ": " + std::to_string(event.samples.size()) + " seconds with samples, mean " +
            std::to_string(sum / event.samples.size()) + " ms, worst " +
            std::to_string(event.milliseconds_max) + " ms. SLOWLOG GET shows the commands.\n";
  }
  call.reply().verbatim(text);
}

void write_histogram(resp::Writer& reply, const RedisCommandCounts& counts) {
  reply.map(2);
  reply.bulk("calls");
  reply.integer(static_cast<std::int64_t>(counts.calls));
  reply.bulk("histogram_usec");
  const auto used = [](std::uint64_t calls) { return calls > 0; };
  reply.map(static_cast<std::size_t>(std::ranges::count_if(counts.by_time, used)));
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < counts.by_time.size(); ++i) {
    if (counts.by_time[i] == 0) continue;
    sum += counts.by_time[i];
    reply.integer(std::int64_t{1} << i);
    reply.integer(static_cast<std::int64_t>(sum));
  }
}

// LATENCY HISTOGRAM [command ...]: of each how many calls took at most so many microseconds.
void latency_histogram(RedisCall& call) {
  const auto counts = call.server().redis->figures.commands();
  std::vector<std::size_t> wanted;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const RedisCommand& command = redis_commands()[i];
    const auto names = call.words().subspan(2);
    const bool is_named = names.empty() || std::ranges::any_of(names, [&](Bytes name) {
                            return is_word(name, command.name);
                          });
    if (is_named && counts[i].calls > 0) wanted.push_back(i);
  }
  call.reply().map(wanted.size());
  for (const std::size_t i : wanted) {
    call.reply().bulk(redis_commands()[i].name);
    write_histogram(call.reply(), counts[i]);
  }
}

}  // namespace

void latency(RedisCall& call) {
  const Bytes what = call.word(1);
  if (is_word(what, "latest")) return latency_latest(call);
  if (is_word(what, "history")) return latency_history(call);
  if (is_word(what, "reset")) return latency_reset(call);
  if (is_word(what, "doctor")) return latency_doctor(call);
  if (is_word(what, "histogram")) return latency_histogram(call);
  other_subcommand(
      call, {"LATEST", "HISTORY event", "RESET [event ...]", "DOCTOR", "HISTOGRAM [command ...]"});
}

// --- MONITOR --------------------------------------------------------------------------------

// One who monitors already is not answered, as Redis has it.
void monitor(RedisCall& call) {
  if (call.is_nested()) return call.fail("ERR MONITOR isn't allowed for DENY BLOCKING client");
  if (call.client().monitors) return call.reply().ok();
  call.client().monitors = true;
  call.session().set_listening(true);
  call.server().redis->monitors.add(call.server().loops.own, call.session().id());
  call.reply().ok();
}

}  // namespace dhrt::redis
