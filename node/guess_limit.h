// Slows down who guesses tokens, and nobody else: an address that has shown `wrong_tokens_max`
// wrong ones has a try a second, and until then not even a right token is taken from there. But
// tokens that were right from there before are: behind one address may be many clients, and one of
// them that is misled or mischievous keeps none of the others out.
//
// An IPv6 address stands for its network of 64 bits, which one customer has. Clients at a unix
// socket are not limited: who may open it is for its directory to say.
// Bounds: `addresses_max` are remembered; further ones share their tries.
// Threads: one; each event loop has its own.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/access.h"
#include "storage/base/time.h"

namespace dhrt {

class GuessLimit {
 public:
  static constexpr double wrong_tokens_max = 10;
  static constexpr std::size_t addresses_max = 10000;

  // A token was shown by `client`, an address or "unix"; it is that of `grant`, or null: wrong.
  // False: too many wrong ones came from there, and the answer is to say no more than that.
  bool allows(const Grant* grant, const std::string& client, Time now);

 private:
  struct Caller {
    double tries = wrong_tokens_max;
    Time at{};
    std::vector<const Grant*> known;  // Whose tokens were right from there.
  };
  Caller& caller_of(const std::string& client, Time now);
  void forget_quiet_ones(Time now);

  std::unordered_map<std::string, Caller> callers_;
  Caller others_;
  Time looked_at_{};
};

}  // namespace dhrt
