#include "node/doorkeeper.h"

#include "node/log.h"
#include "node/session.h"

namespace dhrt {

using namespace doorkeeper_limits;

Result<const Grant*> Doorkeeper::judge(const Grant* grant, const std::string& client) {
  const bool allowed = guesses_.allows(grant, client, clock_.now());
  if (allowed && grant != nullptr) return grant;
  ++figures_.wrong_tokens_total;
  refused(access_.without_token(), client, "a wrong token");
  if (allowed) return fail(ErrorCode::denied, "the token is wrong");
  return fail(ErrorCode::busy, "too many wrong tokens came from this address; try in a second");
}

std::optional<Doorkeeper::Refusal> Doorkeeper::refusal(Session& session, const Needs& needs,
                                                       Bytes what) {
  if (open()) return std::nullopt;
  return refusal(session.grant(), needs, session.client_host(), what);
}

std::optional<Doorkeeper::Refusal> Doorkeeper::refusal(const Grant& grant, const Needs& needs,
                                                       const std::string& client, Bytes what) {
  const bool looks_only = needs.looks && grant.role >= Role::read;
  if (needs.role == Role::none || looks_only) return std::nullopt;
  const bool may = needs.collection ? grant.may(needs.role, *needs.collection)
                                    : grant.may_everywhere(needs.role);
  if (may) return std::nullopt;
  refused(grant, client, what);
  return grant.role == Role::none ? Refusal::no_token : Refusal::too_weak;
}

void Doorkeeper::refused(Session& session, Bytes what) {
  refused(session.grant(), session.client_host(), what);
}

void Doorkeeper::refused(const Grant& grant, const std::string& client, Bytes what) {
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
