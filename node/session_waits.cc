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
  if (has_seen(token, collections)) return done(Outcome::seen, "");
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

// Whoever is answered may begin another wait.
void SessionWaits::look() {
  const Time now = monotonic_now();
  Contexts contexts;
  std::list<Wait> over;
  std::list<std::pair<Outcome, std::string>> outcomes;
  for (auto at = waits_.begin(); at != waits_.end();) {
    const auto wait = at++;
    const auto what = missing(wait->token, wait->collections, contexts);
    const bool lost = what && parts_.report.has_ended_everywhere(what->origin);
    if (what && !lost && now < wait->until) continue;
    if (!what)
      outcomes.emplace_back(Outcome::seen, "");
    else if (lost)
      outcomes.emplace_back(Outcome::lost,
                            "TOKEN_LOST a write that the session saw in collection '" +
                                what->collection +
                                "' was lost with the node that took it; begin a new session with "
                                "an empty X-Dhrt-Session");
    else
      outcomes.emplace_back(Outcome::not_yet,
                            "TIMEOUT a write that the session saw in collection '" +
                                what->collection +
                                "' is not here yet; try again, or another node, or without "
                                "X-Dhrt-Session");
    over.splice(over.end(), waits_, wait);
  }
  if (waits_.empty()) timer_.cancel();
  for (const Wait& wait : over) {
    wait.done(outcomes.front().first, outcomes.front().second);
    outcomes.pop_front();
  }
}

}  // namespace dhrt
