// The clients of one event loop that listen to channels (node/redis_channels.h), and what they are
// told.
//
// Bounds: names per client, and unread bytes per client: who does not read is cut off.
// Threads: loop thread only.
#pragma once

#include <functional>
#include <memory>
#include <unordered_map>

#include "cluster/message.h"
#include "node/redis_channels.h"
#include "node/redis_client.h"

namespace dhrt {

class RedisListeners {
 public:
  using Kind = RedisChannels::Kind;
  struct Hooks {
    // Calls deliver() of another loop's listeners, on that loop.
    std::function<void(unsigned loop, std::shared_ptr<const Publish>,
                       std::vector<RedisChannels::Delivery>)>
        pass_on;
    std::function<void(const Publish&)> tell_peers;
  };
  // `channels` outlives this.
  RedisListeners(RedisChannels& channels, unsigned loop, Hooks hooks)
      : channels_(channels), loop_(loop), hooks_(std::move(hooks)) {}

  // What a client listens to is in its `names`. False: it would be too many.
  bool add(Session& session, RedisClient& client, Kind kind, Bytes name);
  void remove(Session& session, RedisClient& client, Kind kind, Bytes name);
  // It listens to nothing any more: it has ended, or begins anew.
  void leave(Session& session, RedisClient& client);

  // A client of this loop says something; the result is how many clients of this node hear it.
  std::size_t publish(Bytes channel, Bytes payload);
  // For this node alone: a client of another one said it.
  std::size_t spread(Publish said);
  void deliver(const Publish& said, const std::vector<RedisChannels::Delivery>& deliveries);

  const RedisChannels& channels() const { return channels_; }
  // Of channels and of patterns, each. A client that wants more is better served by a pattern.
  static constexpr std::size_t names_max = 65536;

 private:
  struct Client {
    Session* session;
    RedisClient* client;
  };
  RedisChannels& channels_;
  const unsigned loop_;
  Hooks hooks_;
  std::unordered_map<SessionId, Client> clients_;
};

}  // namespace dhrt
