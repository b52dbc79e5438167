#include "node/retirements.h"

#include <charconv>
#include <utility>

#include "node/log.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

bool is_called(const Member& member, const std::string& node) {
  NodeId id = 0;
  const char* const end = node.data() + node.size();
  const auto read = std::from_chars(node.data(), end, id, 16);
  const bool is_id = read.ec == std::errc() && read.ptr == end && id == member.id;
  return is_id || member.name == node || member.address == node;
}

}  // namespace

Retirements::Retirements(Parts parts, std::string replaces, Replacement kept)
    : parts_(std::move(parts)), replacement_{.node = std::move(replaces)} {
  if (kept.node == replacement_.node) replacement_ = std::move(kept);
}

// Who came in its place may have its name or its address: who is gone is meant, or was given up and
// is to lose its vote.
Result<NodeId> Retirements::named(const std::string& node, bool may_be_self) const {
  if (node.empty())
    return fail(ErrorCode::invalid_argument, "say which node: its name, its id or its address");
  std::vector<NodeId> gone, retired, there;
  for (const auto& [id, member] : parts_.core.members()) {
    if (!is_called(member, node) || (id == parts_.core.self().id && !may_be_self)) continue;
    const MemberState state = state_of(member);
    if (state == MemberState::evicted && !may_count(id))
      retired.push_back(id);
    else if (state == MemberState::evicted || state == MemberState::dead ||
             state == MemberState::left)
      gone.push_back(id);
    else
      there.push_back(id);
  }
  if (gone.size() > 1)
    return fail(ErrorCode::invalid_argument,
                "several nodes are called '" + node + "'; say which by its id");
  for (const auto* found : {&gone, &there, &retired})
    if (!found->empty()) return found->front();
  return fail(ErrorCode::not_found, "no node is called '" + node + "'; `nodes` lists them");
}

void Retirements::evict(const std::string& node, Done done, Time now) {
  const auto found = named(node, true);
  if (!found) return done(tl::unexpected(found.error()));
  give_up(*found, std::move(done), now);
}

void Retirements::give_up(NodeId node, Done done, Time now) {
  const auto known = parts_.core.members().find(node);
  if (known == parts_.core.members().end())
    return done(fail(ErrorCode::not_found, "no such node is known any more"));
  const Member& member = known->second;
  const MemberState state = state_of(member);
  const bool is_gone = state == MemberState::dead || state == MemberState::left;
  if (!is_gone && state != MemberState::evicted)
    return done(fail(ErrorCode::precondition,
                     "node '" + member.name + "' is " + std::string(to_text(state)) +
                         "; only one that is dead or has left can be given up"));
  if (is_gone) {
    log_info("a node is given up", {{"node", member.name}, {"address", member.address}});
    parts_.input(EvictRequested{node});
  }
  retire({.node = node, .unless_alive = true}, std::move(done), now);
}

void Retirements::leave(Done done, Time now) {
  retire({.node = parts_.core.self().id}, std::move(done), now);
}

void Retirements::retire(const RetireRequested& request, Done done, Time now) {
  parts_.input(request);
  waiting_.push_back({request.node, now + patience, std::move(done)});
  look(now);
}

void Retirements::look(Time now) {
  const NodeId self = parts_.core.self().id;
  std::vector<Waiting> waiting = std::exchange(waiting_, {});
  for (Waiting& one : waiting) {
    const auto obstacle = parts_.core.why_not_retired(one.node);
    // If this node went now, nobody else might know that it votes no more.
    const bool is_done =
        !may_count(one.node) && (one.node != self || parts_.core.layout_is_shared());
    if (obstacle) {
      one.done(fail(ErrorCode::precondition,
                    one.node == self
                        ? "this node cannot give up its vote: " + *obstacle + "; stop it instead"
                        : "it is given up, but its vote cannot be taken: " + *obstacle));
    } else if (is_done) {
      one.done({});
      if (one.node == self) parts_.leave();
    } else if (now >= one.until) {
      one.done(fail(ErrorCode::timeout,
                    "its vote is not taken yet: a majority of the voters must be there, or half of "
                    "them with the one that has voted longest; this goes on, ask again to see "
                    "whether it is done"));
    } else {
      waiting_.push_back(std::move(one));
    }
  }
  replace(now);
}

// Only who votes can take the place of a voter.
void Retirements::replace(Time now) {
  if (replacement_.node.empty() || replacement_.done || replacing_ || now < replace_at_) return;
  if (!votes(parts_.core.self().id)) return;
  if (!replace_since_) replace_since_ = now;
  replacing_ = true;
  if (replacement_.id == 0) {
    const auto found = named(replacement_.node, false);
    if (!found) return replaced(tl::unexpected(found.error()), now);
    replacement_.id = *found;
  }
  give_up(
      replacement_.id, [this](Status status) { replaced(status, monotonic_now()); }, now);
}

void Retirements::replaced(Status status, Time now) {
  replacing_ = false;
  replace_at_ = now + replace_again_after;
  const bool is_there = !status && status.error().code == ErrorCode::precondition &&
                        !parts_.core.why_not_retired(replacement_.id);
  // Who is there may not be the one that is meant. Who is given up is.
  if (is_there)
    replacement_.id = 0;
  else if (replacement_.id != 0)
    parts_.keep(replacement_);
  if (status) {
    log_info("this node has taken the place of another one", {{"replaced", replacement_.node}});
    replacement_.done = true;
    return parts_.keep(replacement_);
  }
  if (is_there && now - *replace_since_ >= replace_alive_max) {
    log_error("--replace: the other node is there, and is not replaced",
              {{"node", replacement_.node}, {"do", "`dhrt leave` on that node takes its vote"}});
    return replacement_.node.clear();
  }
  if (std::exchange(last_obstacle_, status.error().message) == last_obstacle_) return;
  log_warning("--replace: the other node cannot be replaced yet",
              {{"node", replacement_.node}, {"reason", last_obstacle_}});
}

}  // namespace dhrt
