// Whether a node has seen what a session has (protocol/session_token.h): what decides that a
// request of the session is served, waits or is told that something was lost.
//
// Intuition: everything up to the numbers in the token must have been seen here, without gaps. A
// gap in what an origin wrote closes, unless the origin has ended and nobody has more of it: then
// what is here is all that there is.
//
// No clock, no socket: node/session_waits and the simulator go by the same rule.
// Threads: loop thread only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cluster/member.h"
#include "node/database.h"
#include "protocol/session_token.h"
#include "storage/base/function_ref.h"
#include "storage/context.h"

namespace dhrt {

// Writes of that origin that are not here are nowhere: it has ended, and all nodes agree on what
// there is (Core::agrees_with_all). Those that were given up are not asked.
bool has_ended_everywhere(const Origin& origin, const std::map<NodeId, Member>& members,
                          bool agrees_with_all);

using HasEnded = FunctionRef<bool(const Origin&)>;

// The first origin of which `seen` lacks something up to the tips.
std::optional<Origin> missing_of(const Context& seen, const SessionToken::Tips& tips,
                                 HasEnded has_ended);

// What the session's token keeps of an answer: a collection that is not here may be on the node
// that the answer came from.
CollectionRef shown_in(Database& database, Bytes collection);

enum class SessionSight {
  seen,     // Go on.
  not_yet,  // It may still come.
  lost,     // It was lost with a node, and will never come.
};

// Looks at one moment; what was seen here is asked of the store once for all sessions.
class SessionRule {
 public:
  // Both outlive it.
  SessionRule(Database& database, HasEnded has_ended)
      : database_(database), has_ended_(has_ended) {}

  struct Look {
    SessionSight sight = SessionSight::seen;
    // What is missing, where something is.
    std::string collection{};
    Origin origin{};
  };
  // Only what the session saw of these collections counts.
  Look look(const SessionToken& token, const std::vector<std::string>& collections);

 private:
  std::optional<Look> missing(const CollectionRef& collection, const SessionToken::Tips& tips);

  Database& database_;
  HasEnded has_ended_;
  std::map<std::string, Context> contexts_;
};

}  // namespace dhrt
