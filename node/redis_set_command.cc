// SET with all its options, and the commands that are special cases of it.
#include <limits>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_deadline.h"

namespace dhrt::redis {

namespace {

struct SetOptions {
  bool if_absent = false;
  bool if_present = false;
  bool gives_old = false;
  bool keeps_deadline = false;
  bool drops_deadline = false;   // GETEX PERSIST.
  std::optional<TimeUnit> unit;  // Of the number that the deadline is given as.
  Bytes number;
  std::optional<WallMilliseconds> deadline;

  bool has_time() const { return keeps_deadline || drops_deadline || unit; }
};

// EX, PX, EXAT or PXAT with its number, if the word at `at` is one of them.
bool take_time(RedisCall& call, std::size_t& at, SetOptions& options) {
  const auto unit = time_unit(call.word(at));
  if (!unit || options.has_time() || at + 1 == call.count()) return false;
  options.unit = unit;
  options.number = call.word(++at);
  return true;
}

// What the number says; after all words were taken, as Redis does it. False: the call has failed.
bool settle_time(RedisCall& call, SetOptions& options) {
  if (!options.unit) return true;
  const auto number = call.integer(options.number);
  if (!number) return false;
  if (*number > 0) options.deadline = deadline_of(*number, *options.unit, call.database().wall());
  if (options.deadline) return true;
  call.fail("ERR invalid expire time in '" + std::string(call.command().name) + "' command");
  return false;
}

bool take_word(Bytes word, SetOptions& options) {
  if (is_word(word, "nx") && !options.if_present) return options.if_absent = true;
  if (is_word(word, "xx") && !options.if_absent) return options.if_present = true;
  if (is_word(word, "get")) return options.gives_old = true;
  if (is_word(word, "keepttl") && !options.has_time()) return options.keeps_deadline = true;
  return false;
}

// Absent: the call has failed.
std::optional<SetOptions> read_options(RedisCall& call) {
  SetOptions options;
  for (std::size_t at = 3; at < call.count(); ++at) {
    if (take_word(call.word(at), options) || take_time(call, at, options)) continue;
    call.syntax_error();
    return std::nullopt;
  }
  if (!settle_time(call, options)) return std::nullopt;
  return options;
}

struct Stored {
  bool written = false;
  std::optional<std::string> old;  // If the options ask for it.
};

// False: the call has failed.
bool store(RedisCall& call, Bytes key, Bytes value, const SetOptions& options, Stored& stored) {
  const Change fresh = call.fresh(value);
  const bool done = call.change(key, [&](const RecordView* held, Change& change) {
    stored.old.reset();
    if (options.gives_old && held != nullptr) stored.old.emplace(held->value);
    stored.written = held != nullptr ? !options.if_absent : !options.if_present;
    if (!stored.written) return false;
    const WallMilliseconds kept = change.deadline;
    change = fresh;
    if (options.deadline) change.deadline = *options.deadline;
    if (options.keeps_deadline) change.deadline = kept;
    return true;
  });
  if (done && stored.written && options.deadline)
    call.tell_event(event_flags::generic, "expire", key);
  return done;
}

void give(RedisCall& call, const std::optional<std::string>& value) {
  if (value)
    call.reply().bulk(*value);
  else
    call.reply().null();
}

}  // namespace

void set(RedisCall& call) {
  const auto options = read_options(call);
  if (!options) return;
  const bool depends =
      options->if_absent || options->if_present || options->gives_old || options->keeps_deadline;
  if (depends && !call.settled()) return;
  Stored stored;
  if (!store(call, call.word(1), call.word(2), *options, stored)) return;
  if (options->gives_old) return give(call, stored.old);
  if (stored.written)
    call.reply().ok();
  else
    call.reply().null();
}

// SETEX key seconds value, PSETEX key milliseconds value
void set_expiring(RedisCall& call) {
  SetOptions options;
  options.unit = call.command().name == "setex" ? TimeUnit{1000, false} : TimeUnit{1, false};
  options.number = call.word(2);
  if (!settle_time(call, options)) return;
  Stored stored;
  if (store(call, call.word(1), call.word(3), options, stored)) call.reply().ok();
}

void set_absent(RedisCall& call) {
  Stored stored;
  if (store(call, call.word(1), call.word(2), {.if_absent = true}, stored))
    call.reply().integer(stored.written ? 1 : 0);
}

void get_and_set(RedisCall& call) {
  Stored stored;
  if (store(call, call.word(1), call.word(2), {.gives_old = true}, stored)) give(call, stored.old);
}

// GETEX key [EX|PX|EXAT|PXAT number | PERSIST]
void get_and_expire(RedisCall& call) {
  SetOptions options;
  for (std::size_t at = 2; at < call.count(); ++at) {
    if (is_word(call.word(at), "persist") && !options.has_time()) {
      options.drops_deadline = true;
      continue;
    }
    if (!take_time(call, at, options)) return call.syntax_error();
  }
  std::optional<std::string> value;
  const auto see = [&](const RecordView* held) {
    value.reset();
    if (held != nullptr) value.emplace(held->value);
  };
  if (!options.has_time()) {
    if (!call.read(call.word(1), see)) return;
    return give(call, value);
  }
  if (!call.settled()) return;
  if (options.drops_deadline) call.name_writes({.writes = "persist"});
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    see(held);
    if (held == nullptr || !settle_time(call, options)) return false;
    const WallMilliseconds deadline = options.deadline.value_or(0);
    if (deadline == 0 && change.deadline == 0) return false;
    change.deadline = deadline;
    change.deletes = deadline != 0 && deadline <= call.database().wall();
    return true;
  });
  if (done && !call.failed()) give(call, value);
}

}  // namespace dhrt::redis
