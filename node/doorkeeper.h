// Lets the clients of one event loop in: takes the tokens that they show, tells what they may, and
// writes down what was refused.
//
// Wrong tokens are counted, and who shows many is slowed down (guess_limit.h). Refusals are log
// lines, so many per second, and then their number; requests_refused_total has them all.
// Threads: loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "node/access.h"
#include "node/figures.h"
#include "node/guess_limit.h"
#include "node/turn_clock.h"

namespace dhrt {

class Session;

namespace doorkeeper_limits {
// Log lines about refusals; more would fill the disk for who wants that.
inline constexpr std::uint64_t lines_per_second_max = 20;
}  // namespace doorkeeper_limits

// What log lines call some requests: of HTTP, and what was not read because who sent it is unknown.
inline constexpr Bytes http_elsewhere = "HTTP at a listener of another dialect";
inline constexpr Bytes unread_request = "what is not read without a token";

// What text and RESP clients are told.
inline constexpr Bytes no_token_error = "NOAUTH Authentication required.";
inline constexpr Bytes too_weak_error =
    "NOPERM this token is not good enough for that; ask for one with the role, or for the "
    "collection";

class Doorkeeper {
 public:
  // Both outlive it.
  Doorkeeper(const Access& access, NodeFigures& figures, TurnClock& clock)
      : access_(access), figures_(figures), clock_(clock) {}

  bool open() const { return access_.open(); }
  const Grant& without_token() const { return access_.without_token(); }
  // What the token is for. denied: it is wrong, which was counted and written down; busy: too many
  // wrong ones came from there.
  Result<const Grant*> take_token(Bytes token, const std::string& client) {
    return judge(find(token), client);
  }
  // The same for a token that somebody else has looked up. Null: it is wrong.
  Result<const Grant*> judge(const Grant* grant, const std::string& client);
  // Without counting; nobody is told. Whoever shows it to a client judges it, too. Null: there is
  // no such token.
  const Grant* find(Bytes token) const { return access_.find(token); }
  // What a request needs: a role, and where.
  struct Needs {
    Role role = Role::none;
    std::optional<Bytes> collection{};  // Absent: everywhere.
    bool looks = false;  // It shows figures, no data: any token is good enough for that.
  };
  enum class Refusal { no_token, too_weak };
  // Absent: it may be done. Otherwise it was counted and written down. `what` is the name of the
  // request, never what is stored.
  std::optional<Refusal> refusal(Session& session, const Needs& needs, Bytes what);
  std::optional<Refusal> refusal(const Grant& grant, const Needs& needs, const std::string& client,
                                 Bytes what);
  // Something was refused by a rule that is not about tokens, or before it was known what it would
  // need. Whoever says no to a client comes by here, or by refusal(): so all of it is counted and
  // written down.
  void refused(Session& session, Bytes what);
  void refused(const Grant& grant, const std::string& client, Bytes what);

 private:
  const Access& access_;
  NodeFigures& figures_;
  TurnClock& clock_;
  GuessLimit guesses_;
  Time second_{};  // Of which lines are counted.
  std::uint64_t lines_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace dhrt
