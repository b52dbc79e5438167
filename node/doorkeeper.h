// Lets the clients of one event loop in: takes the tokens that they show, tells what they may, and
// writes down what was refused.
//
// Guessing is slow: an address that has shown `wrong_tokens_max` wrong ones waits, a second for
// each further try. Refusals are log lines, so many per second, and then their number.
// Threads: loop thread only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "node/access.h"
#include "node/figures.h"
#include "node/turn_clock.h"

namespace dhrt {

class Session;

namespace doorkeeper_limits {
// Wrong tokens of one address at once, before it has to wait.
inline constexpr double wrong_tokens_max = 10;
// Addresses that are remembered; more than that are told to wait when none can be forgotten.
inline constexpr std::size_t addresses_max = 10000;
// Log lines about refusals.
inline constexpr std::uint64_t lines_per_second_max = 20;
}  // namespace doorkeeper_limits

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
  // What the token is for. busy: too many wrong ones came from there; denied: it is wrong.
  Result<const Grant*> take_token(Bytes token, const std::string& client);
  // What a request needs: a role, and where.
  struct Needs {
    Role role = Role::none;
    std::optional<Bytes> collection{};  // Absent: everywhere.
    bool looks = false;  // It shows figures, no data: any token is good enough for that.
  };
  enum class Refusal { no_token, too_weak };
  // Absent: it may be done. Otherwise it was counted and written down. `what` is the name of the
  // request, never what is stored.
  std::optional<Refusal> refusal(const Session& session, const Needs& needs, Bytes what);
  std::optional<Refusal> refusal(const Grant& grant, const Needs& needs, const std::string& client,
                                 Bytes what);

 private:
  struct Tries {
    double left = doorkeeper_limits::wrong_tokens_max;
    Time at{};
  };
  void write_down(const Grant& grant, const std::string& client, Bytes what);
  Tries* tries_of(const std::string& client);
  void forget_quiet_ones(Time now);

  const Access& access_;
  NodeFigures& figures_;
  TurnClock& clock_;
  std::unordered_map<std::string, Tries> tries_;
  Time second_{};  // Of which lines are counted.
  std::uint64_t lines_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace dhrt
