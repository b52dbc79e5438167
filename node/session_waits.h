// Requests that go on when this node has seen what their client has (protocol/session_token.h).
//
// Intuition: what the client saw is on its way, as every write is; so the request waits for it, as
// long as a read may take. It is looked for again every few milliseconds, because what peers bring
// is applied on another loop's turn.
//
// Bounds: session_waits_max requests. Threads: loop thread only.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "node/database.h"
#include "node/event_loop.h"
#include "node/node_report.h"
#include "node/session_rule.h"
#include "protocol/session_token.h"

namespace dhrt {

// More than these say that the node does not get what others write; each is looked at every time.
inline constexpr std::size_t session_waits_max = 1000;

class SessionWaits {
 public:
  struct Parts {
    Database& database;  // These outlive it.
    const NodeReport& report;
    Duration patience{};  // How long a request waits.
  };
  SessionWaits(EventLoop& loop, Parts parts) : parts_(parts), timer_(loop, [this] { look(); }) {}

  enum class Outcome {
    seen,     // Go on.
    not_yet,  // In time.
    lost,     // It was lost with a node, and will never come.
    busy,     // Too many wait already, or the node leaves.
  };
  // `why`: for the client, where it is not `seen`.
  using Done = std::function<void(Outcome, const std::string& why)>;
  // Nothing of the session is missing here. Only what it saw of these collections counts.
  bool has_seen(const SessionToken& token, const std::vector<std::string>& collections);
  // For who has not: `done` is called once, within the call or later.
  void begin(SessionToken token, std::vector<std::string> collections, Done done);
  // Answers all that wait; the node takes no more writes.
  void leave();

 private:
  struct Wait {
    SessionToken token;
    std::vector<std::string> collections;
    Time until;
    Done done;
  };
  struct End {
    Outcome outcome{};
    std::string why;
  };
  // Absent: it goes on. All waits share what was seen here.
  static std::optional<End> end_of(const Wait& wait, Time now, SessionRule& rule);
  void look();

  Parts parts_;
  Timer timer_;
  std::vector<Wait> waits_;
};

}  // namespace dhrt
