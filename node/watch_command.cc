// `watch` of native lines: the connection gets pushes of five, event, collection, key, value and
// token, until the client says quit.
#include <utility>

#include "node/watch_protocol.h"
#include "protocol/resp.h"
#include "protocol/resp_writer.h"
#include "protocol/text.h"

namespace dhrt {

namespace {

class TextWatch final : public WatchProtocol {
 public:
  using WatchProtocol::WatchProtocol;

  Took take(Bytes input) override {
    auto line = text::parse_line(input, server().limits, searched_);
    if (!line) return {};
    searched_ = 0;
    const bool quits = line->tokens.size() == 1 &&
                       (line->tokens.front().text == "quit" || line->tokens.front().text == "QUIT");
    if (quits || line->closes) session().close_after_replies();
    if (quits)
      resp::append_reply(session().open_reply(0), Reply::ok());
    else if (!line->tokens.empty() || line->error)
      refuse_line();
    return {.bytes = line->consumed};
  }

 private:
  void refuse_line() {
    ++server().figures.of(ClientDialect::text).errors_total;
    resp::append_reply(session().open_reply(0),
                       Reply::error("ERR this connection watches '" + collection() +
                                    "' and takes nothing but quit; use another one"));
  }

  void append_push(std::string& out, Bytes event, Bytes key, Bytes value, Bytes token) {
    resp::Writer writer(out, resp::Version::resp2);
    writer.array(5);
    for (const Bytes part : {event, Bytes(collection()), key, value, token})
      writer.bulk(part);
  }
  void append_event(std::string& out, const FeedEvent& event, Bytes token) override {
    append_push(out, name_of(event.kind), event.key, event.record.value, token);
  }
  void append_token(std::string& out, Bytes token) override {
    append_push(out, "token", {}, {}, token);
  }
  void append_failure(std::string& out, const Error& why) override {
    ++server().figures.of(ClientDialect::text).errors_total;
    resp::append_reply(out, to_reply(why));
  }

  std::size_t searched_ = 0;
};

}  // namespace

void commands::watch(CommandCall& call) {
  auto& words = call.words();
  const auto since = call.arguments().value_of("since");
  auto order = read_watch_order(call.database(), std::move(words[1]),
                                words.size() > 2 ? std::move(words[2]) : std::string(),
                                since ? std::optional<std::string>(*since) : std::nullopt);
  if (!order) return call.fail(order.error());
  call.session().become(
      std::make_unique<TextWatch>(call.server(), call.session(), std::move(*order)));
}

}  // namespace dhrt
