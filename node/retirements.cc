#include "node/retirements.h"

#include <charconv>
#include <utility>

#include "node/log.h"

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

// Who came in its place may have its name or its address: who is gone is meant.
Result<NodeId> Retirements::named(const std::string& node) const {
  if (node.empty())
    return fail(ErrorCode::invalid_argument, "say which node: its name, its id or its address");
  const Member* gone = nullptr;
  const Member* given_up = nullptr;
  const Member* there = nullptr;
  for (const auto& [id, member] : parts_.core.members()) {
    if (!is_called(member, node)) continue;
    const MemberState state = state_of(member);
    if (state == MemberState::evicted) {
      // The one that is still to lose its vote, if there is one.
      if (given_up == nullptr || parts_.core.layout().contains(id)) given_up = &member;
    } else if (state != MemberState::dead && state != MemberState::left) {
      there = &member;
    } else if (gone != nullptr) {
      return fail(ErrorCode::invalid_argument,
                  "several nodes are called '" + node + "'; say which by its id or address");
    } else {
      gone = &member;
    }
  }
  if (gone != nullptr) return gone->id;
  if (given_up != nullptr) return given_up->id;
  if (there != nullptr)
    return fail(ErrorCode::precondition, "node '" + node + "' is " +
                                             std::string(to_text(state_of(*there))) +
                                             "; only one that is dead or has left can be given up");
  return fail(ErrorCode::not_found, "no node is called '" + node + "'; `nodes` lists them");
}

void Retirements::evict(const std::string& node, Done done, Time now) {
  const auto found = named(node);
  if (!found) return done(tl::unexpected(found.error()));
  const Member& member = parts_.core.members().at(*found);
  if (state_of(member) != MemberState::evicted) {
    log_info("a node is given up", {{"node", member.name}, {"address", member.address}});
    parts_.input(EvictRequested{*found});
  }
  retire(*found, std::move(done), now);
}

void Retirements::leave(Done done, Time now) {
  retire(parts_.core.self().id, std::move(done), now);
}

void Retirements::retire(NodeId node, Done done, Time now) {
  if (const auto obstacle = parts_.core.why_not_retired(node))
    return done(fail(ErrorCode::precondition, "its vote cannot be taken: " + *obstacle));
  parts_.input(RetireRequested{node});
  waiting_.push_back({node, now + patience, std::move(done)});
  look(now);
}

void Retirements::look(Time now) {
  std::vector<Waiting> waiting = std::exchange(waiting_, {});
  for (Waiting& one : waiting) {
    const bool votes = parts_.core.layout().contains(one.node);
    const auto obstacle = parts_.core.why_not_retired(one.node);
    if (!votes) {
      one.done({});
      if (one.node == parts_.core.self().id) parts_.leave();
    } else if (obstacle) {
      one.done(fail(ErrorCode::precondition, "its vote cannot be taken: " + *obstacle));
    } else if (now >= one.until) {
      one.done(fail(ErrorCode::timeout,
                    "its vote is not taken yet: a majority of the voters must be there; this goes "
                    "on, ask again to see whether it is done"));
    } else {
      waiting_.push_back(std::move(one));
    }
  }
  replace(now);
}

// Only who votes can take the place of a voter.
void Retirements::replace(Time now) {
  if (replaces_.empty() || replacing_ || now < replace_at_) return;
  if (!parts_.core.layout().contains(parts_.core.self().id)) return;
  replacing_ = true;
  const auto done = [this, now](Status replaced) {
    replacing_ = false;
    replace_at_ = now + replace_again_after;
    if (replaced) {
      log_info("this node has taken the place of another one", {{"replaced", replaces_}});
      return replaces_.clear();
    }
    if (std::exchange(last_obstacle_, replaced.error().message) == last_obstacle_) return;
    log_warning("--replace: the other node cannot be replaced yet",
                {{"node", replaces_}, {"reason", last_obstacle_}});
  };
  evict(replaces_, done, now);
}

}  // namespace dhrt
