// The part of the synchronizer that walks for a peer, which pulls from us.
#include <algorithm>
#include <utility>

#include "cluster/synchronizer.h"

namespace dhrt {

namespace {

// The most that a peer may ask for in one slice; its frame then stays below the frame limit.
constexpr std::uint32_t slice_bytes_max = std::uint32_t{4} << 20;

}  // namespace

void Synchronizer::pull(ConnectionId from, const Pull& pull, const Step& step) {
  const auto waiting = std::ranges::count_if(
      walks_, [&](const auto& entry) { return entry.second.connection == from; });
  if (static_cast<std::size_t>(waiting) >= options_.walks_per_connection_max)
    return too_much(from, step);
  const auto mirror = mirrors_.find(pull.collection.name);
  const auto peer = links_.peer_of(from);
  if (peer && stability_.has_lost(*peer, pull.collection, pull.excluded))
    set_compared(*peer, false);
  if (peer && must_compare(*peer, pull.collection)) {
    step.send(
        from,
        PullReply{.request = pull.request, .collection = pull.collection, .uncompared = true});
    return;
  }
  if (mirror == mirrors_.end() || mirror->second.generation != pull.collection.generation) {
    step.send(from,
              PullReply{.request = pull.request, .collection = pull.collection, .unknown = true});
    return;
  }
  if (!mirror->second.flushed.contains(pull.flushed)) {
    step.actions.emplace_back(
        ApplyRecords{.collection = pull.collection, .records = {}, .flushed = pull.flushed});
  }
  const Token token = ++numbers_.tokens;
  walks_[token] = {from, pull.request, pull.collection};
  step.actions.emplace_back(WalkLocal{.token = token,
                                      .collection = pull.collection,
                                      .excluded = pull.excluded,
                                      .from = pull.from,
                                      .bytes_max = std::min(pull.bytes_max, slice_bytes_max)});
}

void Synchronizer::walked(const Walked& walked, const Step& step) {
  const auto found = walks_.find(walked.token);
  if (found == walks_.end()) return;
  const Walk walk = std::move(found->second);
  walks_.erase(found);
  if (!links_.peer_of(walk.connection)) return;
  if (!walked.ok && durable(walk.collection) != nullptr) {
    // It is there and cannot be read. "Unknown" would let the puller believe that it has all; no
    // answer makes it ask somebody else.
    step.log(LogLevel::error, "collection " + walk.collection.name +
                                  " cannot be read for a peer; the peer goes without");
    return;
  }
  PullReply reply{.request = walk.request, .collection = walk.collection, .unknown = !walked.ok};
  if (walked.ok) {
    reply.vector = walked.vector;
    reply.records = walked.records;
    reply.next = walked.next;
    const auto mirror = mirrors_.find(walk.collection.name);
    if (mirror != mirrors_.end()) {
      reply.flushed = mirror->second.flushed;
      if (!reply.vector.contains(mirror->second.durable)) reply.unshown = mirror->second.durable;
    }
  }
  step.send(walk.connection, std::move(reply));
}

void Synchronizer::too_much(ConnectionId from, const Step& step) const {
  step.log(LogLevel::warning, "a peer asks for more at once than it may; its link is closed");
  step.actions.emplace_back(Close{from});
}

}  // namespace dhrt
