// SUBSCRIBE and what belongs to it.
#include <algorithm>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_facts.h"
#include "node/redis_listeners.h"

namespace dhrt::redis {

namespace {

using Kind = RedisChannels::Kind;

Kind kind_of(RedisCall& call) {
  return call.command().name.starts_with('p') ? Kind::pattern : Kind::channel;
}

// One for each name: what was done, to which, and how many the client listens to now.
void confirm(RedisCall& call, std::optional<Bytes> name) {
  resp::Writer& reply = call.reply();
  reply.push(3);
  reply.bulk(call.command().name);
  if (name)
    reply.bulk(*name);
  else
    reply.null();
  reply.integer(static_cast<std::int64_t>(call.client().names()));
}

bool is_short(RedisCall& call, Bytes name) {
  if (name.size() <= channel_bytes_max) return true;
  call.fail("ERR a channel's name has at most " + std::to_string(channel_bytes_max) + " bytes");
  return false;
}

}  // namespace

// SUBSCRIBE, PSUBSCRIBE
void subscribe(RedisCall& call) {
  const auto names = call.words().subspan(1);
  for (const Bytes name : names) {
    if (!is_short(call, name)) return;
  }
  for (const Bytes name : names) {
    if (!call.server().listeners->add(call.session(), call.client(), kind_of(call), name))
      return call.fail("ERR a client listens to at most " +
                       std::to_string(RedisListeners::names_max) +
                       " channels, and as many patterns; use a pattern");
    confirm(call, name);
  }
}

// UNSUBSCRIBE, PUNSUBSCRIBE: without names from all.
void unsubscribe(RedisCall& call) {
  const Kind kind = kind_of(call);
  std::vector<std::string> names(call.words().begin() + 1, call.words().end());
  if (call.count() == 1) {
    const auto& all = kind == Kind::channel ? call.client().channels : call.client().patterns;
    names.assign(all.begin(), all.end());
  }
  if (names.empty()) return confirm(call, std::nullopt);
  for (const std::string& name : names) {
    call.server().listeners->remove(call.session(), call.client(), kind, name);
    confirm(call, name);
  }
}

// How many clients of this node heard it; those of other nodes are not counted.
void publish(RedisCall& call) {
  if (!is_short(call, call.word(1))) return;
  const std::size_t heard = call.server().listeners->publish(call.word(1), call.word(2));
  call.reply().integer(static_cast<std::int64_t>(heard));
}

// PUBSUB CHANNELS [pattern] | NUMSUB [channel ...] | NUMPAT: about this node.
void channels(RedisCall& call) {
  const RedisChannels& channels = call.server().listeners->channels();
  if (is_word(call.word(1), "channels")) {
    if (call.count() > 3)
      return call.fail("ERR unknown subcommand or wrong number of arguments for '" +
                       shown(call.word(1)) + "'. Try PUBSUB HELP.");
    const auto names = channels.channels(call.count() == 3 ? call.word(2) : Bytes("*"));
    call.reply().array(names.size());
    for (const std::string& name : names)
      call.reply().bulk(name);
    return;
  }
  if (is_word(call.word(1), "numsub")) {
    call.reply().array(2 * (call.count() - 2));
    for (const Bytes name : call.words().subspan(2)) {
      call.reply().bulk(name);
      call.reply().integer(static_cast<std::int64_t>(channels.listeners_by_name(name)));
      if (!call.has_room()) return;
    }
    return;
  }
  if (!is_word(call.word(1), "numpat"))
    return other_subcommand(call, {"CHANNELS [pattern]", "NUMPAT", "NUMSUB [channel ...]"});
  if (call.count() != 2) return call.wrong_arity("pubsub|numpat");
  call.reply().integer(static_cast<std::int64_t>(channels.patterns()));
}

}  // namespace dhrt::redis
