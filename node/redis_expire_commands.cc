#include <algorithm>
#include <limits>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_deadline.h"

namespace dhrt::redis {

std::optional<TimeUnit> time_unit(Bytes word) {
  if (is_word(word, "ex")) return TimeUnit{1000, false};
  if (is_word(word, "px")) return TimeUnit{1, false};
  if (is_word(word, "exat")) return TimeUnit{1000, true};
  if (is_word(word, "pxat")) return TimeUnit{1, true};
  return std::nullopt;
}

std::optional<WallMilliseconds> deadline_of(std::int64_t number, TimeUnit unit,
                                            WallMilliseconds now) {
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  if (number > most / unit.milliseconds || number < -most / unit.milliseconds) return std::nullopt;
  const std::int64_t milliseconds = number * unit.milliseconds;
  const std::int64_t base = unit.is_unix_time ? 0 : static_cast<std::int64_t>(now);
  if (milliseconds > most - base) return std::nullopt;
  // 0 would be no deadline at all.
  return static_cast<WallMilliseconds>(std::max<std::int64_t>(base + milliseconds, 1));
}

namespace {

struct ExpireOptions {
  bool if_none = false;
  bool if_some = false;
  bool if_later = false;
  bool if_sooner = false;
};

// Absent: the call has failed.
std::optional<ExpireOptions> read_options(RedisCall& call) {
  ExpireOptions options;
  for (const Bytes word : call.words().subspan(3)) {
    if (is_word(word, "nx")) {
      options.if_none = true;
    } else if (is_word(word, "xx")) {
      options.if_some = true;
    } else if (is_word(word, "gt")) {
      options.if_later = true;
    } else if (is_word(word, "lt")) {
      options.if_sooner = true;
    } else {
      call.fail("ERR Unsupported option " + shown(word));
      return std::nullopt;
    }
  }
  if (options.if_none && (options.if_some || options.if_later || options.if_sooner)) {
    call.fail("ERR NX and XX, GT or LT options at the same time are not compatible");
    return std::nullopt;
  }
  if (options.if_later && options.if_sooner) {
    call.fail("ERR GT and LT options at the same time are not compatible");
    return std::nullopt;
  }
  return options;
}

// A key without a deadline ends later than any other.
bool applies(const ExpireOptions& options, WallMilliseconds held, WallMilliseconds wanted) {
  if (options.if_none && held != 0) return false;
  if (options.if_some && held == 0) return false;
  if (options.if_later && (held == 0 || wanted <= held)) return false;
  return !options.if_sooner || held == 0 || wanted < held;
}

TimeUnit unit_of(Bytes command) {
  return {.milliseconds = command.starts_with('p') ? 1 : 1000,
          .is_unix_time = command.ends_with("at")};
}

}  // namespace

// EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT key number [NX|XX|GT|LT]
void expire(RedisCall& call) {
  const auto options = read_options(call);
  if (!options) return;
  const auto number = call.integer(call.word(2));
  if (!number) return;
  const WallMilliseconds now = call.database().wall();
  const auto deadline = deadline_of(*number, unit_of(call.command().name), now);
  if (!deadline)
    return call.fail("ERR invalid expire time in '" + std::string(call.command().name) +
                     "' command");
  bool done = false;
  const bool changed = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    done = held != nullptr && applies(*options, held->deadline, *deadline);
    change.deadline = *deadline;
    change.deletes = *deadline <= now;
    return done;
  });
  if (changed) call.reply().integer(done ? 1 : 0);
}

void persist(RedisCall& call) {
  bool done = false;
  const bool changed = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    done = held != nullptr && held->deadline != 0;
    change.deadline = 0;
    return done;
  });
  if (changed) call.reply().integer(done ? 1 : 0);
}

// TTL, PTTL, EXPIRETIME, PEXPIRETIME: -2 there is no such key, -1 it has no deadline.
void time_to_live(RedisCall& call) {
  const Bytes name = call.command().name;
  const WallMilliseconds from = name.ends_with("ttl") ? call.database().wall() : 0;
  call.read(call.word(1), [&](const RecordView* held) {
    if (held == nullptr) return call.reply().integer(-2);
    if (held->deadline == 0) return call.reply().integer(-1);
    const auto left = static_cast<std::int64_t>(held->deadline - from);
    call.reply().integer(name.starts_with('p') ? left : (left + 500) / 1000);
  });
}

}  // namespace dhrt::redis
