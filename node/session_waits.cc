#include "node/session_waits.h"

#include <algorithm>
#include <utility>

#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

constexpr Duration look_interval{5};

}  // namespace

bool SessionWaits::has_seen(const SessionToken& token,
                            const std::vector<std::string>& collections) {
  const auto has_ended = [this](const Origin& origin) {
    return parts_.report.has_ended_everywhere(origin);
  };
  return SessionRule(parts_.database, has_ended).look(token, collections).sight ==
         SessionSight::seen;
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
                                                      SessionRule& rule) {
  const SessionRule::Look look = rule.look(wait.token, wait.collections);
  if (look.sight == SessionSight::seen) return End{Outcome::seen, ""};
  const std::string write = "a write that the session saw in collection '" + look.collection + "' ";
  if (look.sight == SessionSight::lost)
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
  const auto has_ended = [this](const Origin& origin) {
    return parts_.report.has_ended_everywhere(origin);
  };
  SessionRule rule(parts_.database, has_ended);
  std::vector<std::pair<Done, End>> over;
  std::erase_if(waits_, [&](Wait& wait) {
    auto end = end_of(wait, now, rule);
    if (end) over.emplace_back(std::move(wait.done), *std::move(end));
    return end.has_value();
  });
  if (waits_.empty()) timer_.cancel();
  // Whoever is answered may begin another wait.
  for (const auto& [done, end] : over)
    done(end.outcome, end.why);
}

}  // namespace dhrt
