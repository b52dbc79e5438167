// MULTI and what belongs to it: commands are kept, and EXEC runs all of them in one turn of the
// loop, so that a crash leaves all of what they wrote or nothing.
//
// They go by what is held here: a node that is not synced yet asks the others for all their keys
// first. Clients of the same loop never come in between; those of another one may.
#include <algorithm>

#include "node/redis_call.h"
#include "node/redis_commands.h"
#include "node/redis_observer.h"
#include "node/redis_permission.h"

namespace dhrt::redis {

namespace {

// How a key is now; what it was before a delete or a deadline is not the same as nothing.
RedisClient::Watched state_of(RedisCall& call, const std::string& collection, Bytes key) {
  RedisClient::Watched state{.collection = collection, .key = std::string(key)};
  Collection* held_in = call.database().find(collection);
  if (held_in == nullptr) return state;
  const Status read = held_in->read(HashedKey(key), [&](const RecordView* held) {
    if (held == nullptr) return;
    state.version = held->version;
    state.is_visible = visible(*held, call.database().wall());
  });
  if (!read) call.fail(read.error());
  return state;
}

bool watched_are_as_they_were(RedisCall& call) {
  return std::ranges::all_of(call.client().watched, [&](const RedisClient::Watched& watched) {
    return state_of(call, watched.collection, watched.key) == watched;
  });
}

// Slices of a list that may be made one after the other: some milliseconds.
constexpr int slices_max = 16;

void write_all(ReplyStream& stream, std::string& out) {
  Position promises = 0;
  for (int slice = 0; slice < slices_max; ++slice)
    if (stream.produce(out, promises) != ReplyStream::Next::piece) return;
  out = "-ERR there are too many keys to list them within MULTI; use SCAN\r\n";
}

void run_kept(RedisCall& call, const RedisKept& kept) {
  const std::vector<Bytes> words(kept.words.begin(), kept.words.end());
  std::string out;
  RedisCall nested(call.nested(*kept.command, words, out));
  // SELECT may have been among those before.
  const auto refused =
      redis_refusal(call.server(), call.session(), call.client(), *kept.command, words);
  if (refused)
    nested.fail(*refused);
  else
    run_observed(nested);
  if (const auto stream = nested.take_stream()) write_all(*stream, out);
  call.promises(nested.position());
  call.write(out);
}

}  // namespace

void multi(RedisCall& call) {
  if (call.client().transaction) return call.fail("ERR MULTI calls can not be nested");
  call.client().transaction.emplace();
  call.reply().ok();
}

void discard(RedisCall& call) {
  if (!call.client().transaction) return call.fail("ERR DISCARD without MULTI");
  call.client().transaction.reset();
  call.client().watched.clear();
  call.reply().ok();
}

void watch(RedisCall& call) {
  if (call.client().transaction) return call.fail("ERR WATCH inside MULTI is not allowed");
  const std::string collection(call.collection());
  for (const Bytes key : call.words().subspan(1)) {
    auto state = state_of(call, collection, key);
    if (call.failed()) return;
    call.client().watched.push_back(std::move(state));
  }
  call.reply().ok();
}

void unwatch(RedisCall& call) {
  call.client().watched.clear();
  call.reply().ok();
}

void exec(RedisCall& call) {
  RedisClient& client = call.client();
  if (!client.transaction) return call.fail("ERR EXEC without MULTI");
  if (client.transaction->broken) {
    client.transaction.reset();
    client.watched.clear();
    return call.fail("EXECABORT Transaction discarded because of previous errors.");
  }
  if (!call.settled_for(client.transaction->commands)) return;
  const RedisTransaction transaction = std::move(*client.transaction);
  client.transaction.reset();
  const bool unchanged = watched_are_as_they_were(call);
  client.watched.clear();
  if (call.failed()) return;
  if (!unchanged) return call.reply().null_array();
  const Database::Together together(call.database());
  call.reply().array(transaction.commands.size());
  for (const RedisKept& kept : transaction.commands)
    run_kept(call, kept);
}

}  // namespace dhrt::redis
