#include "node/doorkeeper.h"

#include <algorithm>

#include "node/log.h"
#include "node/session.h"

namespace dhrt {

using namespace doorkeeper_limits;

namespace {

// Tries come back with time, one a second.
double refilled(double left, Duration passed) {
  return std::min(wrong_tokens_max, left + static_cast<double>(passed.count()) / 1000);
}

}  // namespace

void Doorkeeper::forget_quiet_ones(Time now) {
  std::erase_if(tries_, [&](const auto& entry) {
    return refilled(entry.second.left, now - entry.second.at) >= wrong_tokens_max;
  });
}

Doorkeeper::Tries* Doorkeeper::tries_of(const std::string& client) {
  const Time now = clock_.now();
  if (tries_.size() >= addresses_max && !tries_.contains(client)) forget_quiet_ones(now);
  if (tries_.size() >= addresses_max && !tries_.contains(client)) return nullptr;
  Tries& tries = tries_.try_emplace(client, Tries{wrong_tokens_max, now}).first->second;
  tries.left = refilled(tries.left, now - tries.at);
  tries.at = now;
  return &tries;
}

Result<const Grant*> Doorkeeper::take_token(Bytes token, const std::string& client) {
  const auto known = tries_.find(client);
  if (known != tries_.end() || tries_.size() >= addresses_max) {
    const Tries* tries = tries_of(client);
    if (tries == nullptr || tries->left < 1)
      return fail(ErrorCode::busy, "too many wrong tokens came from this address; try in a second");
  }
  const Grant* grant = access_.find(token);
  if (grant != nullptr) return grant;
  ++figures_.wrong_tokens_total;
  if (Tries* tries = tries_of(client)) tries->left -= 1;
  write_down(access_.without_token(), client, "a wrong token");
  return fail(ErrorCode::denied, "the token is wrong");
}

std::optional<Doorkeeper::Refusal> Doorkeeper::refusal(const Session& session, const Needs& needs,
                                                       Bytes what) {
  if (open()) return std::nullopt;
  return refusal(session.grant(), needs, session.connection().remote_host(), what);
}

std::optional<Doorkeeper::Refusal> Doorkeeper::refusal(const Grant& grant, const Needs& needs,
                                                       const std::string& client, Bytes what) {
  const bool looks_only = needs.looks && grant.role >= Role::read;
  if (needs.role == Role::none || looks_only) return std::nullopt;
  const bool may = needs.collection ? grant.may(needs.role, *needs.collection)
                                    : grant.may_everywhere(needs.role);
  if (may) return std::nullopt;
  write_down(grant, client, what);
  return grant.role == Role::none ? Refusal::no_token : Refusal::too_weak;
}

void Doorkeeper::write_down(const Grant& grant, const std::string& client, Bytes what) {
  ++figures_.requests_refused_total;
  const Time now = clock_.now();
  if (now - second_ >= Duration(1000)) {
    if (left_out_ > 0)
      log_warning("more refusals, not logged", {{"count", std::to_string(left_out_)}});
    second_ = now;
    lines_ = 0;
    left_out_ = 0;
  }
  if (++lines_ > lines_per_second_max) {
    ++left_out_;
    return;
  }
  log_warning("refused",
              {{"client", client}, {"token", grant.name}, {"request", std::string(what)}});
}

}  // namespace dhrt
