// DUMP and RESTORE: values on their way between servers.
#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_deadline.h"
#include "protocol/resp_dump.h"

namespace dhrt::redis {

namespace {

constexpr Bytes key_exists = "BUSYKEY Target key name already exists.";

struct RestoreOptions {
  bool replaces = false;
  bool is_unix_time = false;
};

// IDLETIME and FREQ say how Redis' cache ranks a key; here it is ranked by its own reads.
bool take_rank(RedisCall& call, std::size_t& at) {
  const bool is_idle_time = is_word(call.word(at), "idletime");
  if ((!is_idle_time && !is_word(call.word(at), "freq")) || at + 1 == call.count()) {
    call.syntax_error();
    return false;
  }
  const auto number = call.integer(call.word(++at));
  if (!number) return false;
  constexpr std::int64_t freq_max = 255;
  if (*number >= 0 && (is_idle_time || *number <= freq_max)) return true;
  call.fail(is_idle_time ? "ERR Invalid IDLETIME value, must be >= 0"
                         : "ERR Invalid FREQ value, must be >= 0 and <= 255");
  return false;
}

// Absent: the call has failed.
std::optional<RestoreOptions> read_options(RedisCall& call) {
  RestoreOptions options;
  for (std::size_t at = 4; at < call.count(); ++at) {
    if (is_word(call.word(at), "replace")) {
      options.replaces = true;
    } else if (is_word(call.word(at), "absttl")) {
      options.is_unix_time = true;
    } else if (!take_rank(call, at)) {
      return std::nullopt;
    }
  }
  return options;
}

// 0: none. Absent: the call has failed.
std::optional<WallMilliseconds> read_deadline(RedisCall& call, bool is_unix_time) {
  const auto number = call.integer(call.word(2));
  if (!number) return std::nullopt;
  if (*number == 0) return 0;
  const TimeUnit unit{.milliseconds = 1, .is_unix_time = is_unix_time};
  auto deadline = *number > 0 ? deadline_of(*number, unit, call.database().wall()) : std::nullopt;
  if (!deadline) call.fail("ERR Invalid TTL value, must be >= 0");
  return deadline;
}

}  // namespace

void dump(RedisCall& call) {
  call.read(call.word(1), [&](const RecordView* held) {
    if (held == nullptr) return call.reply().null();
    call.reply().bulk(resp::dump_of(held->value));
  });
}

// RESTORE key milliseconds dump [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ number]
void restore(RedisCall& call) {
  const auto options = read_options(call);
  if (!options) return;
  bool busy = false;
  const auto look = [&](const RecordView* held) { busy = held != nullptr && !options->replaces; };
  if (!call.read(call.word(1), look)) return;
  if (busy) return call.fail(key_exists);
  const auto deadline = read_deadline(call, options->is_unix_time);
  if (!deadline) return;
  const auto restored = resp::restore(call.word(3), call.server().limits.value_bytes_max);
  using Outcome = resp::Restored::Outcome;
  if (restored.outcome == Outcome::bad_version_or_checksum)
    return call.fail("ERR DUMP payload version or checksum are wrong");
  if (restored.outcome == Outcome::bad_format) return call.fail("ERR Bad data format");
  const bool is_over = *deadline != 0 && *deadline <= call.database().wall();
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    look(held);
    if (busy || (is_over && held == nullptr)) return false;
    change = {.value = restored.value, .attributes = {}, .deadline = *deadline, .deletes = is_over};
    return true;
  });
  if (!done) return;
  if (busy) return call.fail(key_exists);
  call.reply().ok();
}

}  // namespace dhrt::redis
