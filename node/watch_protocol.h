// A connection that watches a collection: all it gets from here on is what changes there.
//
// Intuition: the watcher has a feed (storage/change_feed.h) and no queue. When the collection has
// changed, and the client reads, a slice of the feed is appended; the last event of a slice has the
// token that goes on behind it. A client that reads slowly is told of each key less often.
//
// The event `token` says nothing but how far this is: when the beginning is told, so that whoever
// is cut off before the first change can go on, and then every 10 s, so that both sides notice when
// the other is gone. Bounds: a slice and what the session allows to be unread; see ChangeFeed.
// Errors: the client is told, and the connection closes.   Threads: loop thread only.
#pragma once

#include <optional>
#include <string>

#include "node/commands.h"
#include "node/session.h"
#include "node/watch_hub.h"
#include "storage/change_feed.h"

namespace dhrt {

// What a client asked for, checked.
struct WatchOrder {
  std::string collection;
  std::string prefix;
  ChangeFeed::Begin begin = ChangeFeed::Begin::now;
  std::optional<FeedPosition> behind;  // Instead of `begin`.
};
// `since`: a token, 0 for everything; absent: from now on.
Result<WatchOrder> read_watch_order(Database& database, std::string collection, std::string prefix,
                                    const std::optional<std::string>& since);

class WatchProtocol : public ClientProtocol, private Watcher {
 public:
  // `server` and `session` outlive it.
  WatchProtocol(CommandServer& server, Session& session, WatchOrder order);
  ~WatchProtocol() override;

  bool produce(std::string& out) final;
  void look(Time now) final;
  void refuse(const Error& why) final;

 protected:
  const std::string& collection() const { return order_.collection; }
  CommandServer& server() { return server_; }
  Session& session() { return session_; }
  // `token` may be empty: the last one holds.
  virtual void append_event(std::string& out, const FeedEvent& event, Bytes token) = 0;
  virtual void append_token(std::string& out, Bytes token) = 0;
  // The connection closes behind it.
  virtual void append_failure(std::string& out, const Error& why) = 0;

 private:
  void changed() override;
  void expired(Bytes key) override;
  void go_on() override;
  void tell(const FeedStep& step, std::string& out);
  std::string token() const;

  CommandServer& server_;
  Session& session_;
  const WatchOrder order_;
  std::optional<ChangeFeed> feed_;
  bool stale_ = true;     // The feed may have something.
  bool greeted_ = false;  // The beginning was told.
  bool must_beat_ = false;
  std::uint64_t told_number_ = 0;  // Of the position whose token was told last.
  Time last_told_;
};

}  // namespace dhrt
