#include "node/redis_waits.h"

#include <algorithm>
#include <utility>

namespace dhrt {

void RedisWaits::begin(SessionId session, std::uint64_t peers, Position behind,
                       std::optional<Time> due, Done done) {
  const std::uint64_t request = ++requests_;
  open_[request] = {session, std::move(done)};
  queued_.push_back({behind, {.request = request, .peers = peers}});
  const auto over = [this, request] { end(request); };
  delays_.add(session, {.due = due, .then = over, .ended = over});
}

void RedisWaits::durable(Position position) {
  for (; any_before(position); queued_.pop_front())
    hooks_.ask(queued_.front().wait);
}

void RedisWaits::end(std::uint64_t request) {
  const auto is_it = [request](const Queued& queued) { return queued.wait.request == request; };
  // The core does not know of it yet: it is not even durable here.
  if (std::erase_if(queued_, is_it) > 0) return answered({.request = request, .peers = 0});
  hooks_.end({request});
}

void RedisWaits::answered(const Waited& waited) {
  const auto found = open_.find(waited.request);
  if (found == open_.end()) return;
  const Open open = std::move(found->second);
  open_.erase(found);
  delays_.cancel(open.session);
  open.done(waited.peers);
}

}  // namespace dhrt
