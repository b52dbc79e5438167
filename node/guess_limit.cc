#include "node/guess_limit.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>

namespace dhrt {

namespace {

constexpr Duration look_again{1000};

// Tries come back with time, one a second.
double refilled(double tries, Duration passed) {
  return std::min(GuessLimit::wrong_tokens_max, tries + static_cast<double>(passed.count()) / 1000);
}

std::string network_of(const std::string& client) {
  std::array<char, sizeof(in6_addr)> address{};
  if (inet_pton(AF_INET6, client.c_str(), address.data()) != 1) return client;
  return {address.data(), address.size() / 2};
}

}  // namespace

// Once a second at most, as it looks at all of them.
void GuessLimit::forget_quiet_ones(Time now) {
  if (now - looked_at_ < look_again) return;
  looked_at_ = now;
  std::erase_if(callers_, [&](const auto& entry) {
    return refilled(entry.second.tries, now - entry.second.at) >= wrong_tokens_max;
  });
}

GuessLimit::Caller& GuessLimit::caller_of(const std::string& client, Time now) {
  const std::string network = network_of(client);
  const auto found = callers_.find(network);
  if (found == callers_.end() && callers_.size() >= addresses_max) forget_quiet_ones(now);
  Caller& caller = found != callers_.end()            ? found->second
                   : callers_.size() >= addresses_max ? others_
                                                      : callers_[network];
  caller.tries = refilled(caller.tries, now - caller.at);
  caller.at = now;
  return caller;
}

bool GuessLimit::allows(const Grant* grant, const std::string& client, Time now) {
  if (client == "unix") return true;
  Caller& caller = caller_of(client, now);
  if (grant != nullptr && std::ranges::find(caller.known, grant) != caller.known.end()) return true;
  if (caller.tries < 1) return false;
  if (grant != nullptr)
    caller.known.push_back(grant);
  else
    caller.tries -= 1;
  return true;
}

}  // namespace dhrt
