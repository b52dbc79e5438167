#include "node/redis_listeners.h"

#include <utility>

#include "protocol/resp_writer.h"

namespace dhrt {

namespace {

std::set<std::string, std::less<>>& names_of(RedisClient& client, RedisChannels::Kind kind) {
  return kind == RedisChannels::Kind::channel ? client.channels : client.patterns;
}

std::string message_for(const RedisClient& client, const Publish& said,
                        const RedisChannels::Delivery& delivery) {
  std::string out;
  resp::Writer writer(out, client.version);
  const bool by_pattern = delivery.kind == RedisChannels::Kind::pattern;
  writer.push(by_pattern ? 4 : 3);
  writer.bulk(by_pattern ? "pmessage" : "message");
  if (by_pattern) writer.bulk(delivery.pattern);
  writer.bulk(said.channel);
  writer.bulk(said.payload);
  return out;
}

}  // namespace

bool RedisListeners::add(Session& session, RedisClient& client, Kind kind, Bytes name) {
  auto& names = names_of(client, kind);
  if (names.size() >= names_max && !names.contains(name)) return false;
  if (!names.emplace(name).second) return true;
  clients_[session.id()] = {&session, &client};
  session.set_listening(true);
  channels_.add(kind, name, {loop_, session.id()});
  return true;
}

void RedisListeners::remove(Session& session, RedisClient& client, Kind kind, Bytes name) {
  auto& names = names_of(client, kind);
  const auto found = names.find(name);
  if (found == names.end()) return;
  channels_.remove(kind, name, {loop_, session.id()});
  names.erase(found);
  if (client.names() > 0) return;
  clients_.erase(session.id());
  session.set_listening(client.monitors);
}

void RedisListeners::leave(Session& session, RedisClient& client) {
  for (const Kind kind : {Kind::channel, Kind::pattern}) {
    while (!names_of(client, kind).empty())
      remove(session, client, kind, std::string(*names_of(client, kind).begin()));
  }
}

std::size_t RedisListeners::publish(Bytes channel, Bytes payload) {
  Publish said{.channel = std::string(channel), .payload = std::string(payload)};
  hooks_.tell_peers(said);
  return spread(std::move(said));
}

std::size_t RedisListeners::spread(Publish said) {
  auto by_loop = channels_.listeners(said.channel);
  if (by_loop.empty()) return 0;
  const auto shared = std::make_shared<const Publish>(std::move(said));
  std::size_t heard = 0;
  for (auto& [loop, deliveries] : by_loop) {
    heard += deliveries.size();
    if (loop == loop_)
      deliver(*shared, deliveries);
    else
      hooks_.pass_on(loop, shared, std::move(deliveries));
  }
  return heard;
}

// Who left, or listens no more, since it was looked up is passed over.
void RedisListeners::deliver(const Publish& said,
                             const std::vector<RedisChannels::Delivery>& deliveries) {
  for (const RedisChannels::Delivery& delivery : deliveries) {
    const auto found = clients_.find(delivery.session);
    if (found == clients_.end()) continue;
    const auto& [session, client] = found->second;
    const Bytes name = delivery.kind == Kind::pattern ? Bytes(delivery.pattern) : said.channel;
    if (!names_of(*client, delivery.kind).contains(name)) continue;
    session->push(message_for(*client, said, delivery));
  }
}

}  // namespace dhrt
