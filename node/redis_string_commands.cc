#include <algorithm>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "protocol/resp_number.h"

namespace dhrt::redis {

namespace {

void write_value(resp::Writer& reply, const RecordView* held) {
  if (held == nullptr)
    reply.null();
  else
    reply.bulk(held->value);
}

}  // namespace

void get(RedisCall& call) {
  call.read(call.word(1), [&](const RecordView* held) { write_value(call.reply(), held); });
}

void multi_get(RedisCall& call) {
  call.reply().array(call.count() - 1);
  for (const Bytes key : call.words().subspan(1))
    call.read(key, [&](const RecordView* held) { write_value(call.reply(), held); });
}

void length(RedisCall& call) {
  call.read(call.word(1), [&](const RecordView* held) {
    call.reply().integer(held == nullptr ? 0 : static_cast<std::int64_t>(held->value.size()));
  });
}

// Both ends belong to the range; negative ones count from the end of the value.
void get_range(RedisCall& call) {
  const auto from = call.integer(call.word(2));
  if (!from) return;
  const auto to = call.integer(call.word(3));
  if (!to) return;
  call.read(call.word(1), [&](const RecordView* held) {
    const Bytes value = held == nullptr ? Bytes() : held->value;
    const auto size = static_cast<std::int64_t>(value.size());
    if (*from < 0 && *to < 0 && *from > *to) return call.reply().bulk("");
    const std::int64_t first = std::max<std::int64_t>(*from < 0 ? size + *from : *from, 0);
    const std::int64_t last =
        std::min(std::max<std::int64_t>(*to < 0 ? size + *to : *to, 0), size - 1);
    if (first > last) return call.reply().bulk("");
    call.reply().bulk(
        value.substr(static_cast<std::size_t>(first), static_cast<std::size_t>(last - first + 1)));
  });
}

void get_and_delete(RedisCall& call) {
  std::string value;
  bool existed = false;
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    existed = held != nullptr;
    if (existed) value = held->value;
    change.deletes = true;
    return existed;
  });
  if (!done) return;
  if (existed)
    call.reply().bulk(value);
  else
    call.reply().null();
}

void append(RedisCall& call) {
  std::string value;
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    value = held == nullptr ? std::string() : std::string(held->value);
    value += call.word(2);
    change.value = value;
    return value.size() <= call.server().limits.value_bytes_max;
  });
  if (!done || !call.fits(value.size())) return;
  call.reply().integer(static_cast<std::int64_t>(value.size()));
}

void set_range(RedisCall& call) {
  const auto offset = call.integer(call.word(2));
  if (!offset) return;
  if (*offset < 0) return call.fail("ERR offset is out of range");
  const Bytes bytes = call.word(3);
  const auto at = static_cast<std::size_t>(*offset);
  const std::size_t end = at + bytes.size();
  if (!bytes.empty() && !call.fits(end)) return;
  std::string value;
  const bool done = call.change(call.word(1), [&](const RecordView* held, Change& change) {
    value = held == nullptr ? std::string() : std::string(held->value);
    if (bytes.empty()) return false;
    if (value.size() < end) value.resize(end);
    value.replace(at, bytes.size(), bytes);
    change.value = value;
    return true;
  });
  if (done) call.reply().integer(static_cast<std::int64_t>(value.size()));
}

// --- Several --------------------------------------------------------------------------------

namespace {

// Keys and values in turn behind the name; false: the call has failed.
bool are_pairs(RedisCall& call) {
  if (call.count() % 2 == 1) return true;
  call.wrong_arity(std::string(call.command().name));
  return false;
}

bool store_pairs(RedisCall& call) {
  for (std::size_t at = 1; at < call.count(); at += 2) {
    const Change fresh = call.fresh(call.word(at + 1));
    const bool done = call.change(call.word(at), [&](const RecordView*, Change& change) {
      change = fresh;
      return true;
    });
    if (!done) return false;
  }
  return true;
}

}  // namespace

// All of them are in one group for the disk: after a crash all are there, or none.
void multi_set(RedisCall& call) {
  if (are_pairs(call) && store_pairs(call)) call.reply().ok();
}

void multi_set_absent(RedisCall& call) {
  if (!are_pairs(call)) return;
  bool absent = true;
  visit_keys(call.command(), call.words(), [&](Bytes key) {
    call.read(key, [&](const RecordView* held) { absent = absent && held == nullptr; });
  });
  if (call.failed()) return;
  if (absent && !store_pairs(call)) return;
  call.reply().integer(absent ? 1 : 0);
}

}  // namespace dhrt::redis
