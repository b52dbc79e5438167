#include <cmath>
#include <limits>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

void add(RedisCall& call, std::int64_t more) {
  std::string text;
  std::int64_t sum = 0;
  Bytes wrong;
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    wrong = {};
    const auto number = held == nullptr ? std::int64_t{0} : resp::parse_integer(held->value);
    if (!number)
      wrong = "ERR value is not an integer or out of range";
    else if (__builtin_add_overflow(*number, more, &sum))
      wrong = "ERR increment or decrement would overflow";
    if (!wrong.empty()) return false;
    text = std::to_string(sum);
    change.value = text;
    change.adds = more;
    return true;
  });
  if (!done) return;
  if (!wrong.empty()) return call.fail(wrong);
  call.reply().integer(sum);
}

}  // namespace

// INCR, DECR
void increment(RedisCall& call) {
  add(call, call.command().name == "incr" ? 1 : -1);
}

// INCRBY, DECRBY
void increment_by(RedisCall& call) {
  const auto number = call.integer(call.word(2));
  if (!number) return;
  if (call.command().name == "incrby") return add(call, *number);
  if (*number == std::numeric_limits<std::int64_t>::min())
    return call.fail("ERR decrement would overflow");
  add(call, -*number);
}

// Such numbers do not merge: of two that did not know of each other the later one stays.
void increment_by_float(RedisCall& call) {
  const auto more = resp::parse_float(call.word(2));
  if (!more) return call.fail("ERR value is not a valid float");
  std::string text;
  Bytes wrong;
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    wrong = {};
    const auto number = held == nullptr ? std::optional(0.0L) : resp::parse_float(held->value);
    if (!number)
      wrong = "ERR value is not a valid float";
    else if (!std::isfinite(*number + *more))
      wrong = "ERR increment would produce NaN or Infinity";
    if (!wrong.empty()) return false;
    text = resp::to_text(*number + *more);
    change.value = text;
    return true;
  });
  if (!done) return;
  if (!wrong.empty()) return call.fail(wrong);
  call.reply().bulk(text);
}

}  // namespace dhrt::redis
