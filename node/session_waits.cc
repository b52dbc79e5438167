#include "node/session_waits.h"

#include <algorithm>
#include <utility>

#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration look_interval{5};

}  // namespace

// What an origin that has ended left out is nowhere: then what is here of it is all.
std::optional<Origin> SessionWaits::missing_of(const Context& seen,
                                               const SessionToken::Tips& tips) const {
  for (const auto& [origin, sequence] : tips) {
    const IntervalSet* const own = seen.find(origin);
    if (own != nullptr && own->tip() >= sequence) continue;
    const bool has_it = own != nullptr && own->contains(sequence);
    if (!has_it || !parts_.report.has_ended_everywhere(origin)) return origin;
  }
  return std::nullopt;
}

std::optional<SessionWaits::Missing> SessionWaits::missing(
    const SessionToken& token, const std::vector<std::string>& collections, Contexts& contexts) {
  for (const auto& [collection, tips] : token.seen()) {
    if (std::ranges::find(collections, collection.name) == collections.end()) continue;
    // It was dropped since, with all that the client saw of it.
    if (parts_.database.config(collection.name).generation > collection.generation) continue;
    const Collection* const held = parts_.database.find(collection.name);
    const bool is_it = held != nullptr && held->ref() == collection;
    if (!is_it) return Missing{collection.name, tips.begin()->first};
    const auto [context, is_new] = contexts.try_emplace(collection.name);
    if (is_new) context->second = held->seen();
    if (const auto origin = missing_of(context->second, tips); origin)
      return Missing{collection.name, *origin};
  }
  return std::nullopt;
}

bool SessionWaits::has_seen(const SessionToken& token,
                            const std::vector<std::string>& collections) {
  Contexts contexts;
  return !missing(token, collections, contexts);
}

void SessionWaits::begin(SessionToken token, std::vector<std::string> collections, Done done) {
  if (waits_.size() >= session_waits_max)
    return done(Outcome::busy, std::to_string(waits_.size()) +
                                   " requests wait for what their sessions saw already; try again "
                                   "in a moment");
  if (waits_.empty()) timer_.every(look_interval);
  waits_.push_back({std::move(token), std::move(collections), monotonic_now() + parts_.patience,
                    std::move(done)});
}

void SessionWaits::leave() {
  timer_.cancel();
  for (const Wait& wait : std::exchange(waits_, {}))
    wait.done(Outcome::busy, "this node leaves; ask another one");
}

std::optional<SessionWaits::End> SessionWaits::end_of(const Wait& wait, Time now,
                                                      Contexts& contexts) {
  const auto what = missing(wait.token, wait.collections, contexts);
  if (!what) return End{Outcome::seen, ""};
  const std::string write =
      "a write that the session saw in collection '" + what->collection + "' ";
  if (parts_.report.has_ended_everywhere(what->origin))
    return End{Outcome::lost, "TOKEN_LOST " + write +
                                  "was lost with the node that took it; begin a new session with "
                                  "an empty X-Dhrt-Session"};
  if (now < wait.until) return std::nullopt;
  return End{Outcome::not_yet,
             "TIMEOUT " + write +
                 "is not here yet; try again, or another node, or without X-Dhrt-Session"};
}

void SessionWaits::look() {
  const Time now = monotonic_now();
  Contexts contexts;
  std::vector<std::pair<Done, End>> over;
  std::erase_if(waits_, [&](Wait& wait) {
    auto end = end_of(wait, now, contexts);
    if (end) over.emplace_back(std::move(wait.done), *std::move(end));
    return end.has_value();
  });
  if (waits_.empty()) timer_.cancel();
  // Whoever is answered may begin another wait.
  for (const auto& [done, end] : over)
    done(end.outcome, end.why);
}

}  // namespace dhrt
