#include "node/text_protocol.h"

#include <utility>

#include "node/doorkeeper.h"
#include "node/fast_commands.h"
#include "node/redis_observer.h"
#include "node/redis_shared.h"
#include "protocol/fast_text.h"
#include "protocol/resp.h"
#include "protocol/resp_writer.h"
#include "protocol/text.h"

namespace dhrt {

ClientProtocol::Took TextProtocol::take(Bytes input) {
  if (searched_ == 0) {
    if (input.front() == '*' || (arrays_ && arrays_->midway())) return arrays().take(input);
    if (!server_.redis->monitors.any() && !session_.is_traced()) {
      if (const Took took = take_fast(input); took.bytes > 0) return took;
    }
  }
  return {.bytes = take_line(input)};
}

RedisProtocol& TextProtocol::arrays() {
  if (!arrays_)
    arrays_ = std::make_unique<RedisProtocol>(server_, session_, RedisProtocol::Options{});
  return *arrays_;
}

ClientProtocol::Took TextProtocol::take_fast(Bytes input) {
  FastBatch& batch = server_.fast_batch;
  batch.clear();
  text::recognise(input, server_.limits, batch);
  if (batch.empty()) return {};
  FastExecutor executor(server_.database, server_.figures.of(ClientDialect::text), server_.limits,
                        session_, resp::null_of(resp::Version::resp2));
  return executor.run(batch, input, [this](Bytes line) { take_line(line); });
}

std::size_t TextProtocol::take_line(Bytes input) {
  auto line = text::parse_line(input, server_.limits_of(session_), searched_);
  if (!line) return 0;
  searched_ = 0;
  if (line->error) {
    // Who has shown no token has other limits, of which it need not know.
    const bool is_unknown = session_.grant().role == Role::none;
    if (is_unknown) server_.doorkeeper->refused(session_, unread_request);
    ++server_.figures.of(ClientDialect::text).errors_total;
    resp::append_reply(session_.open_reply(0), Reply::error(is_unknown ? std::string(no_token_error)
                                                                       : "ERR " + *line->error));
    if (line->closes) session_.close_after_replies();
  } else if (!line->tokens.empty()) {
    show(line->tokens);
    run_command(server_, session_, std::move(line->tokens));
  }
  return line->consumed;
}

const RedisClient* TextProtocol::redis_client() const {
  return arrays_ ? &arrays_->client() : nullptr;
}

void TextProtocol::show(const std::vector<text::Token>& tokens) {
  if (!server_.redis->monitors.any()) return;
  std::vector<Bytes> words;
  for (const text::Token& token : tokens)
    words.emplace_back(token.text);
  show_line(server_, session_, words);
}

void TextProtocol::refuse(const Error& why) {
  resp::append_reply(session_.open_reply(0), to_reply(why));
}

}  // namespace dhrt
