#include <chrono>

#include "node/redis_call.h"
#include "node/redis_commands.h"

namespace dhrt::redis {

namespace {

void flush(RedisCall& call, Bytes collection) {
  if (call.database().find(collection) == nullptr) return;
  const auto flushed = call.database().flush(collection);
  if (!flushed) return call.fail(flushed.error());
  call.promises(*flushed);
}

// Both are done at once, and the space is given back later.
bool is_mode(RedisCall& call) {
  if (call.count() == 1) return true;
  if (call.count() == 2 && (is_word(call.word(1), "async") || is_word(call.word(1), "sync")))
    return true;
  call.syntax_error();
  return false;
}

}  // namespace

void dbsize(RedisCall& call) {
  if (auto status = call.database().member(); !status) return call.fail(status.error());
  const Collection* collection = call.database().find(call.collection());
  const std::uint64_t live = collection == nullptr ? 0 : collection->counts().live;
  call.reply().integer(static_cast<std::int64_t>(live));
}

void flush_database(RedisCall& call) {
  if (!is_mode(call)) return;
  flush(call, call.collection());
  if (!call.failed()) call.reply().ok();
}

// The numbered databases; collections with other names are not Redis' business.
void flush_all(RedisCall& call) {
  if (!is_mode(call)) return;
  for (std::int64_t database = 0; database < redis_databases && !call.failed(); ++database)
    flush(call, redis_collection(database));
  if (!call.failed()) call.reply().ok();
}

// Test harnesses flush functions between tests.
void function(RedisCall& call) {
  if (!is_word(call.word(1), "flush"))
    return call.fail("ERR scripts and functions are not given by dhrt");
  call.reply().ok();
}

void role(RedisCall& call) {
  call.reply().array(3);
  call.reply().bulk("master");
  call.reply().integer(0);
  call.reply().array(0);
}

void time(RedisCall& call) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto microseconds = std::chrono::duration_cast<std::chrono::microseconds>(now).count();
  call.reply().array(2);
  call.reply().bulk(std::to_string(microseconds / 1000000));
  call.reply().bulk(std::to_string(microseconds % 1000000));
}

}  // namespace dhrt::redis
