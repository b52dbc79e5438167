// GET /_/watch/{collection}: what changes there, as Server-Sent Events (WHATWG HTML, section 9.2).
//
//   id: TOKEN                 where there is one; Last-Event-ID brings it back
//   event: set                or del, expire, damaged, reset
//   data: {"Key":…,"Value":…} as GET shows a record, with Expires if it has a deadline
//
// A block of nothing but `id` says how far this is; browsers keep it and show no event. A comment
// before it keeps proxies from taking the connection for dead.
#include <utility>

#include "node/http_handlers.h"
#include "node/http_record.h"
#include "node/watch_protocol.h"

namespace dhrt {

namespace {

std::string data_of(const FeedEvent& event, WallMilliseconds created) {
  std::string data;
  RecordView record = view_of(event.record);
  record.created = created;
  switch (event.kind) {
    case FeedEvent::Kind::set:
      append_record_json(data, event.key, record, ValueShown::yes);
      if (event.record.deadline != 0) {
        data.pop_back();
        data += ",\"Expires\":" + std::to_string(event.record.deadline) + "000000}";
      }
      break;
    case FeedEvent::Kind::del:
    case FeedEvent::Kind::expire:
      append_key_json(data, event.key);
      break;
    case FeedEvent::Kind::damaged:
      append_damaged_json(data, event.key);
      break;
    case FeedEvent::Kind::reset:
      data = "{}";
      break;
  }
  return data;
}

class HttpWatch final : public WatchProtocol {
 public:
  HttpWatch(const Exchange& exchange, WatchOrder order)
      : WatchProtocol(exchange->server(), exchange->session(), std::move(order)),
        exchange_(exchange) {}

  // The answer to this request has no end, so that none of a later one could follow.
  Took take(Bytes input) override { return {.bytes = input.size()}; }

 private:
  void append_block(std::string& out, std::string block) {
    block += '\n';
    http::append_chunk(out, block, exchange_->request());
  }
  static std::string id_line(Bytes token) {
    return token.empty() ? std::string() : "id: " + std::string(token) + "\n";
  }
  void append_event(std::string& out, const FeedEvent& event, Bytes token) override {
    append_block(out, id_line(token) + "event: " + std::string(name_of(event.kind)) +
                          "\ndata: " + data_of(event, created(event)) + "\n");
  }
  // A walk does not know it of a write that did not look at what it replaced; readers do.
  WallMilliseconds created(const FeedEvent& event) {
    if (event.record.created != created_unknown) return event.record.created;
    Collection* collection = server().database.find(this->collection());
    const auto held =
        collection == nullptr ? std::nullopt : collection->find(event.key).value_or(std::nullopt);
    return held && held->dot == event.record.dot && held->created != created_unknown ? held->created
                                                                                     : 0;
  }
  void append_token(std::string& out, Bytes token) override {
    append_block(out, ": as of now\n" + id_line(token));
  }
  void append_failure(std::string& out, const Error& why) override {
    ++server().figures.of(ClientDialect::http).errors_total;
    std::string line = ": " + why.message;
    for (char& byte : line)
      if (byte == '\n' || byte == '\r') byte = ' ';
    append_block(out, line + "\n");
    http::append_last_chunk(out, exchange_->request());
  }

  const Exchange exchange_;
};

// Last-Event-ID is what a browser got last, so it is later than what the address says.
std::optional<std::string> since_of(const http::Request& request, std::string& prefix) {
  std::optional<std::string> since;
  for (auto& [name, value] : http::query_fields(request.query)) {
    if (name == "prefix") prefix = std::move(value);
    if (name == "since") since = std::move(value);
  }
  if (const Bytes last = request.header("last-event-id"); !last.empty()) since = last;
  return since;
}

}  // namespace

void routes::watch(const Exchange& exchange, const std::string& collection) {
  std::string prefix;
  const auto since = since_of(exchange->request(), prefix);
  auto order = read_watch_order(exchange->database(), collection, std::move(prefix), since);
  if (!order) return exchange->respond(error_response(order.error()));
  exchange->append_chunked_head(
      exchange->session().open_reply(0),
      {.content_type = "text/event-stream",
       .headers = {{"Cache-Control", "no-store"}, {"X-Accel-Buffering", "no"}}});
  if (!exchange->is_head())
    exchange->session().become(std::make_unique<HttpWatch>(exchange, std::move(*order)));
}

}  // namespace dhrt
