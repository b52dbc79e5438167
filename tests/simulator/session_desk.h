// Where a simulated node serves requests of sessions, as node/http_handlers does: by the node's own
// rule (node/session_rule.h) and its own reads and writes (node/database.h).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "node/database.h"
#include "node/session_rule.h"
#include "protocol/session_token.h"

namespace dhrt::simulator {

class SimNode;

struct SessionRequest {
  enum class Kind { get, set, remove };
  Kind kind = Kind::get;
  std::string collection;
  std::string key;
  std::string value;  // To be set.
  Database::ReadFrom from = Database::ReadFrom::cluster;
  std::string token;  // As the last answer brought it.
  Time until{};       // So long it waits for what the session saw.
};

struct SessionAnswer {
  enum class Kind {
    done,
    refused,  // The node leaves, or takes no writes: 503.
    not_yet,  // 504.
    lost,     // 410.
    cut_off,  // The node ended: nobody knows what it did.
  };
  Kind kind = Kind::done;
  std::string token;
  CollectionRef collection;      // As the token has it.
  Dot dot;                       // Of what was written, or shown; none: nothing was there.
  std::optional<Record> record;  // What was shown of it, unless it was deleted.
  bool wrote = false;

  // What no client is told, for the checker: when the node served, or said that something is lost.
  SessionRule::Look look{};
  Context seen{};              // Of the collection.
  std::set<Origin> ended{};    // Of those in the token: what is not here of them is nowhere.
  std::set<NodeId> evicted{};  // But for these, who are not asked.
};

class SessionDesk {
 public:
  // The node outlives it, and has started.
  explicit SessionDesk(SimNode& node);

  using Done = std::function<void(const SessionAnswer&)>;
  // `done` is called once, within the call or later, unless the node is let go.
  void receive(SessionRequest request, Done done);
  // The node ends: all are cut off.
  void end();
  // Nobody waits for the rest.
  void drop_all() { open_.clear(); }

 private:
  struct Open {
    SessionRequest request;
    SessionToken token;
    Done done;
    SessionAnswer answer{};
    bool waited = false;
  };
  using Number = std::uint64_t;
  // The node's facts and clock, as of this turn.
  void begin_turn();
  void end_turn();
  void ask(FanoutRead read);
  void look(Number number);
  void look_again(Number number);
  void serve(Number number);
  void get(Number number);
  void set(Number number);
  void remove(Number number);
  void note_sight(Open& open);
  void saw(Number number, const Dot& dot);
  // Also if nobody waits for the answer any more.
  struct Place {
    std::string collection;
    std::string key;
  };
  void wrote(Number number, const Place& where, const Dot& dot, Position position);
  void answer(Number number, SessionAnswer::Kind kind);
  bool has_ended(const Origin& origin) const;

  SimNode& node_;
  ClusterView view_;
  TurnClock clock_;
  NodeFigures figures_;
  Database database_;
  Number numbers_ = 0;
  std::map<Number, Open> open_;
};

}  // namespace dhrt::simulator
