#include "node/redis_protocol.h"

#include <utility>

#include "node/doorkeeper.h"
#include "node/fast_commands.h"
#include "node/redis_listeners.h"
#include "node/redis_observer.h"
#include "node/redis_shared.h"
#include "protocol/fast_resp.h"
#include "protocol/resp.h"
#include "protocol/resp_inline.h"

namespace dhrt {

namespace {

// A few bytes may change a long value, which is written anew: that is worth many requests of the
// turn.
constexpr std::size_t changed_bytes_per_request = 4096;

}  // namespace

RedisProtocol::~RedisProtocol() {
  if (client_.monitors) server_.redis->monitors.remove(server_.loops.own, session_.id());
  server_.listeners->leave(session_, client_);
}

ClientProtocol::Took RedisProtocol::take(Bytes input) {
  if (options_.inline_commands && !midway() && (searched_ > 0 || input.front() != '*'))
    return take_line(input);
  const bool is_plain = client_.replies == RedisClient::Replies::on && !client_.transaction &&
                        !client_.only_listens() && !server_.redis->watches_each() &&
                        !session_.is_traced();
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
  FastExecutor executor(server_.database, server_.figures.of(ClientDialect::resp), server_.limits,
                        session_, resp::null_of(client_.version));
  const Stopwatch stopwatch;
  std::uint64_t of_others = 0;
  const auto took = executor.run(batch, input, [&](Bytes command) {
    const Stopwatch one;
    take_one(command);
    of_others += one.nanoseconds();
  });
  note_fast_run(server_, session_, client_,
                {.first = batch[0],
                 .gets = executor.gets(),
                 .sets = executor.sets(),
                 .nanoseconds = stopwatch.nanoseconds() - of_others});
  return took;
}

ClientProtocol::Took RedisProtocol::take_one(Bytes input) {
  using Outcome = resp::CommandReader::Read::Outcome;
  const resp::CommandReader::Read read = reader_.read(input, server_.limits_of(session_));
  switch (read.outcome) {
    case Outcome::need_more:
      break;
    case Outcome::command:
      runner_.run(read.words);
      break;
    case Outcome::error:
      fail(read.message);
      break;
    case Outcome::fatal:
      fail(read.message);
      session_.close_after_replies();
      break;
  }
  return took(read.consumed);
}

// Who has shown no token has other limits, of which it need not know.
void RedisProtocol::fail(const std::string& message) {
  const bool is_unknown = session_.grant().role == Role::none;
  if (is_unknown) server_.doorkeeper->refused(session_, unread_request);
  runner_.fail(is_unknown ? std::string(no_token_error) : "ERR " + message);
}

ClientProtocol::Took RedisProtocol::take_line(Bytes input) {
  const auto line = resp::read_inline(input, searched_);
  if (!line) return {};
  if (!line->words.empty() && is_word_of_http(line->words[0])) {
    refuse_http();
  } else if (line->error.empty()) {
    const std::vector<Bytes> words(line->words.begin(), line->words.end());
    runner_.run(words);
  } else {
    runner_.fail("ERR " + line->error);
    session_.close_after_replies();
  }
  return took(line->consumed);
}

void RedisProtocol::refuse_http() {
  server_.doorkeeper->refused(session_, http_elsewhere);
  runner_.fail("ERR " + std::string(http_not_spoken));
  session_.close_after_replies();
}

ClientProtocol::Took RedisProtocol::took(std::size_t bytes) {
  const std::size_t changed = std::exchange(client_.changed_bytes, 0);
  return {.bytes = bytes, .requests = 1 + changed / changed_bytes_per_request};
}

ClientProtocol::Took RespProtocol::take(Bytes input) {
  if (begins_ == Http::undecided) begins_ = begins_with_http(input);
  if (begins_ == Http::undecided) return {};
  if (begins_ == Http::no) return commands_.take(input);
  commands_.refuse_http();
  return {.bytes = input.size()};
}

void RespProtocol::refuse(const Error& why) {
  resp::append_reply(session_.open_reply(0), to_reply(why));
}

}  // namespace dhrt
