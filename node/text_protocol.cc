#include "node/text_protocol.h"

#include <utility>

#include "protocol/resp.h"
#include "protocol/text.h"

namespace dhrt {

namespace {

// Redis clients send arrays. Telling them why beats an unknown-command error for "*3".
constexpr Bytes no_arrays =
    "-ERR this node does not speak RESP arrays; send native text lines, e.g. `get key` "
    "(`help` lists the commands)\r\n";

}  // namespace

std::size_t TextProtocol::take(Bytes input) {
  if (searched_ == 0 && input.front() == '*') {
    ++server_.figures.errors_total;
    session_.reply(std::string(no_arrays), 0);
    session_.close_after_replies();
    return input.size();
  }
  auto line = text::parse_line(input, server_.limits, searched_);
  if (!line) return 0;
  searched_ = 0;
  if (line->error) {
    ++server_.figures.errors_total;
    std::string bytes;
    resp::append_reply(bytes, Reply::error("ERR " + *line->error));
    session_.reply(std::move(bytes), 0);
    if (line->closes) session_.close_after_replies();
  } else if (!line->tokens.empty()) {
    run_command(server_, session_, std::move(line->tokens));
  }
  return line->consumed;
}

void TextProtocol::refuse(const Error& why) {
  std::string bytes;
  resp::append_reply(bytes, to_reply(why));
  session_.reply(std::move(bytes), 0);
}

}  // namespace dhrt
