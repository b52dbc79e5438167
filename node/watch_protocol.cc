#include "node/watch_protocol.h"

#include <utility>

#include "node/command_input.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration heartbeat_interval{10000};

}  // namespace

Result<WatchOrder> read_watch_order(Database& database, std::string collection, std::string prefix,
                                    const std::optional<std::string>& since) {
  if (auto status = check_collection(collection); !status) return tl::unexpected(status.error());
  if (auto status = database.member(); !status) return tl::unexpected(status.error());
  if (prefix.size() > key_bytes_max)
    return fail(ErrorCode::invalid_argument, "the prefix has " + std::to_string(prefix.size()) +
                                                 " bytes; the limit is " +
                                                 std::to_string(key_bytes_max));
  WatchOrder order{.collection = std::move(collection), .prefix = std::move(prefix)};
  if (!since) return order;
  order.begin = ChangeFeed::Begin::first;
  if (*since == "0") return order;
  auto position =
      decode_feed_token(*since, {.collection = order.collection, .prefix = order.prefix});
  if (!position) return tl::unexpected(position.error());
  order.behind = std::move(*position);
  return order;
}

WatchProtocol::WatchProtocol(CommandServer& server, Session& session, WatchOrder order)
    : server_(server),
      session_(session),
      order_(std::move(order)),
      last_told_(session.host().clock().now()) {
  // From here on it is told of what expires; of what did before the feed is told below.
  server_.watchers->add(order_.collection, *this);
  ChangeFeed::Options options{.prefix = order_.prefix};
  if (order_.behind) {
    const Collection* collection = server_.database.find(order_.collection);
    // What expired left a tombstone, which may be forgotten by now.
    const bool rechecks =
        collection != nullptr &&
        (collection->counts().tombstones > 0 || !collection->forgotten().empty()) &&
        server_.watchers->hub().may_have_expired_since(order_.collection,
                                                       order_.behind->told_until);
    feed_.emplace(std::move(options), *order_.behind, rechecks);
  } else {
    feed_.emplace(std::move(options), order_.begin);
  }
  session_.set_listening(true);
  session_.has_news();
}

WatchProtocol::~WatchProtocol() {
  server_.watchers->remove(order_.collection, *this);
}

void WatchProtocol::changed() {
  stale_ = true;
  session_.has_news();
}

void WatchProtocol::expired(Bytes key) {
  feed_->expired(key);
  changed();
}

void WatchProtocol::go_on() {
  session_.has_news();
}

void WatchProtocol::look(Time now) {
  if (now - last_told_ < heartbeat_interval) return;
  must_beat_ = true;
  session_.has_news();
}

std::string WatchProtocol::token() const {
  return encode_feed_token(feed_->position(),
                           {.collection = order_.collection, .prefix = order_.prefix});
}

bool WatchProtocol::produce(std::string& out) {
  const std::size_t before = out.size();
  bool more = false;
  if (std::exchange(must_beat_, false)) append_token(out, token());
  if (stale_ && server_.watchers->may_look(*this)) {
    const auto step = feed_->step(server_.database.find(order_.collection), wall_now());
    if (!step) {
      append_failure(out, step.error());
      session_.close_after_replies();
      return false;
    }
    stale_ = step->more;
    tell(*step, out);
    more = stale_;
  }
  if (out.size() > before) last_told_ = session_.host().clock().now();
  return more;
}

// A token in each event would cost more than the event.
void WatchProtocol::tell(const FeedStep& step, std::string& out) {
  std::string last;
  if (!step.events.empty() && feed_->position_number() != told_number_) {
    told_number_ = feed_->position_number();
    last = token();
  }
  for (const FeedEvent& event : step.events)
    append_event(out, event, &event == &step.events.back() ? Bytes(last) : Bytes());
  if (greeted_ || !feed_->settled()) return;
  greeted_ = true;
  told_number_ = feed_->position_number();
  append_token(out, token());
}

void WatchProtocol::refuse(const Error& why) {
  append_failure(session_.open_reply(0), why);
}

}  // namespace dhrt
