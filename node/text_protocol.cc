#include "node/text_protocol.h"

#include <utility>

#include "node/fast_commands.h"
#include "protocol/fast_text.h"
#include "protocol/resp.h"
#include "protocol/text.h"

namespace dhrt {

namespace {

// Redis clients send arrays. Telling them why beats an unknown-command error for "*3".
constexpr Bytes no_arrays =
    "-ERR this node does not speak RESP arrays; send native text lines, e.g. `get key` "
    "(`help` lists the commands)\r\n";

}  // namespace

ClientProtocol::Took TextProtocol::take(Bytes input) {
  if (searched_ == 0) {
    if (const Took took = take_fast(input); took.bytes > 0) return took;
  }
  return {.bytes = take_line(input)};
}

ClientProtocol::Took TextProtocol::take_fast(Bytes input) {
  FastBatch& batch = server_.fast_batch;
  batch.clear();
  text::recognise(input, server_.limits, batch);
  if (batch.empty()) return {};
  FastExecutor executor(server_.database, server_.figures, server_.limits, session_);
  executor.announce(batch);
  Took took{.requests = 0};
  bool goes_on = true;
  while (goes_on && took.requests < batch.size()) {
    const FastCommand& command = batch[took.requests];
    if (executor.execute(command)) {
      goes_on = session_.has_room();
    } else {
      take_line(input.substr(took.bytes, command.end - took.bytes));
      goes_on = session_.takes_more();
    }
    took.bytes = command.end;
    ++took.requests;
  }
  return took;
}

std::size_t TextProtocol::take_line(Bytes input) {
  if (searched_ == 0 && input.front() == '*') {
    ++server_.figures.errors_total;
    session_.reply(no_arrays, 0);
    session_.close_after_replies();
    return input.size();
  }
  auto line = text::parse_line(input, server_.limits, searched_);
  if (!line) return 0;
  searched_ = 0;
  if (line->error) {
    ++server_.figures.errors_total;
    resp::append_reply(session_.open_reply(0), Reply::error("ERR " + *line->error));
    if (line->closes) session_.close_after_replies();
  } else if (!line->tokens.empty()) {
    run_command(server_, session_, std::move(line->tokens));
  }
  return line->consumed;
}

void TextProtocol::refuse(const Error& why) {
  resp::append_reply(session_.open_reply(0), to_reply(why));
}

}  // namespace dhrt
