#include "node/redis_protocol.h"

#include <utility>

#include "node/fast_commands.h"
#include "node/redis_listeners.h"
#include "protocol/fast_resp.h"
#include "protocol/resp.h"

namespace dhrt {

namespace {

// A few bytes may change a long value, which is written anew: that is worth many requests of the
// turn.
constexpr std::size_t changed_bytes_per_request = 4096;

}  // namespace

RedisProtocol::~RedisProtocol() {
  server_.listeners->leave(session_, client_);
}

ClientProtocol::Took RedisProtocol::take(Bytes input) {
  const bool is_plain = client_.replies == RedisClient::Replies::on && !client_.transaction &&
                        !client_.only_listens();
  if (!midway() && is_plain) {
    if (const ClientProtocol::Took took = take_fast(input); took.bytes > 0) return took;
  }
  return take_one(input);
}

ClientProtocol::Took RedisProtocol::take_fast(Bytes input) {
  FastBatch& batch = server_.fast_batch;
  batch.clear();
  resp::recognise(input, client_.database == 0 ? Bytes() : Bytes(client_.collection),
                  server_.limits, batch);
  if (batch.empty()) return {};
  FastExecutor executor(server_.database, server_.figures, server_.limits, session_,
                        resp::null_of(client_.version));
  return executor.run(batch, input, [this](Bytes command) { take_one(command); });
}

ClientProtocol::Took RedisProtocol::take_one(Bytes input) {
  using Outcome = resp::CommandReader::Read::Outcome;
  const resp::CommandReader::Read read = reader_.read(input, server_.limits);
  switch (read.outcome) {
    case Outcome::need_more:
      break;
    case Outcome::command:
      runner_.run(read.words);
      break;
    case Outcome::error:
      runner_.fail("ERR " + read.message);
      break;
    case Outcome::fatal:
      runner_.fail("ERR " + read.message);
      session_.close_after_replies();
      break;
  }
  const std::size_t changed = std::exchange(client_.changed_bytes, 0);
  return {.bytes = read.consumed, .requests = 1 + changed / changed_bytes_per_request};
}

void RespProtocol::refuse(const Error& why) {
  resp::append_reply(session_.open_reply(0), to_reply(why));
}

}  // namespace dhrt
