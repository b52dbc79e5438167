#include "cluster/voters.h"

#include <algorithm>
#include <string>

namespace dhrt {

namespace {

// Of all peers; each asks once a second.
constexpr std::size_t held_max = 1024;
// A lost answer is asked for again after this long.
constexpr Duration repeat_after = 1s;
// Who is being made a voter by somebody is waited for this long; then it is asked who is next.
constexpr Duration patience = 5s;
// After an attempt that met another one, at most; drawn, so that they miss each other.
constexpr std::uint64_t retry_milliseconds_max = 1500;
// Voters that cannot be reached for this long are told of in the log.
constexpr Duration silence_told_after = 60s;

}  // namespace

LayoutNotes notes_at_start(LayoutNotes kept, const Belonging& belonging, const Member& self,
                           const std::vector<Member>& known) {
  if (belonging.id.none()) return {};
  if (kept.cluster == belonging.id && !kept.layout.voters.empty()) return kept;
  LayoutNotes notes{.cluster = belonging.id};
  const auto before = std::ranges::find(known, self.id, &Member::id);
  // What a version that knows of levels did not note is not known to it.
  if (before == known.end() || (before->features & feature::levels) != 0 ||
      before->synced.epoch == 0)
    return notes;
  for (const Member& member : known) {
    if (member.synced.epoch != 0) notes.layout.voters.push_back(member.id);
  }
  std::ranges::sort(notes.layout.voters);
  return notes;
}

bool Voters::is_current() const {
  return heard_ <= stamp() || options_.level_mutant == LevelMutant::no_layout_stamp;
}

void Voters::found(ClusterId cluster) {
  belong_to(cluster);
  notes_.layout = {.voters = {membership_.self_id()}, .adding = {}};
  changed_ = true;
}

void Voters::belong_to(ClusterId cluster) {
  if (notes_.cluster == cluster) return;
  notes_ = {.cluster = cluster};
  heard_ = {};
  ahead_.clear();
  adding_since_.reset();
  end_attempt();
  held_.clear();
  highest_round_ = 0;
  changed_ = true;
}

// --- What is known --------------------------------------------------------------------------

void Voters::note(const Step& step) {
  note_again_ = false;
  step.actions.emplace_back(NoteLayout{++notes_made_, notes_});
}

void Voters::noted(const LayoutNoted& noted, const Step& step) {
  if (!noted.ok) {
    note_again_ = true;
    return;
  }
  notes_kept_ = std::max(notes_kept_, noted.number);
  for (const Held& held : held_) {
    if (held.note <= notes_kept_ && links_.peer_of(held.connection))
      step.send(held.connection, held.reply);
  }
  std::erase_if(held_, [this](const Held& held) { return held.note <= notes_kept_; });
}

void Voters::learn(const Layout& theirs, const Step& step) {
  if (theirs.stamp() <= stamp() || theirs.voters.size() > 2 * options_.members_max) return;
  if (theirs.voters.size() > layout().voters.size()) {
    notes_.promised = notes_.accepted = {};
    highest_round_ = 0;
    end_attempt();
    next_attempt_ = {};
  }
  notes_.layout = theirs;
  adding_since_ = step.now;
  highest_round_ = std::max(highest_round_, theirs.adding.round);
  changed_ = true;
  note(step);
  if (is_current()) ahead_.clear();
}

void Voters::link_established(ConnectionId connection, const Step& step) {
  if (!layout().voters.empty()) step.send(connection, tell(false));
}

void Voters::heard(ConnectionId connection, const LayoutStamp& theirs, bool tells,
                   const Step& step) {
  if (theirs.voters == 0 && !tells) return;
  heard_ = std::max(heard_, theirs);
  if (theirs > stamp())
    ahead_.insert(connection);
  else if (theirs < stamp() && tells)
    step.send(connection, tell(false));
}

void Voters::told(ConnectionId connection, const LayoutTold& told, const Step& step) {
  if (told.cluster != notes_.cluster) return;
  learn(told.layout, step);
  heard_ = std::max(heard_, told.layout.stamp());
  if (told.wants_reply) step.send(connection, tell(false));
}

// --- As a voter -----------------------------------------------------------------------------

void Voters::asked(ConnectionId connection, NodeId peer, const VoteRequest& request,
                   const Step& step) {
  // While a cluster is provisional we may go over to another one, and forget what we noted.
  if (request.cluster != notes_.cluster || links_.belonging().provisional) return;
  if (request.ballot.node != peer || request.ballot.none()) return;
  learn({.voters = request.voters, .adding = {}}, step);
  if (request.voters != layout().voters) {
    step.send(connection, tell(false));
    return;
  }
  if (!layout().contains(membership_.self_id()) || layout().contains(peer)) return;
  VoteReply reply{.cluster = notes_.cluster,
                  .voters = stamp().voters,
                  .ballot = request.ballot,
                  .phase = request.phase,
                  .given = true};
  const bool lets_all = options_.level_mutant == LevelMutant::all_let_through;
  if (request.ballot < notes_.promised && !lets_all) {
    reply.given = false;
    reply.other = notes_.promised;
    step.send(connection, std::move(reply));
    return;
  }
  LayoutNotes after = notes_;
  after.promised = request.ballot;
  if (request.phase == VotePhase::promise) {
    reply.other = lets_all ? Ballot{} : notes_.accepted;
  } else {
    after.accepted = request.ballot;
    after.layout.adding = std::max(after.layout.adding, request.ballot);
  }
  if (after.layout != notes_.layout) {
    changed_ = true;
    adding_since_ = step.now;
  }
  highest_round_ = std::max(highest_round_, request.ballot.round);
  if (after != notes_) {
    notes_ = std::move(after);
    note(step);
  }
  if (notes_made_ == notes_kept_ || options_.level_mutant == LevelMutant::answer_unnoted)
    step.send(connection, std::move(reply));
  else if (held_.size() < held_max)
    held_.push_back({notes_made_, connection, std::move(reply)});
}

// --- As somebody who wants to vote --------------------------------------------------------------

bool Voters::wants_to_vote() const {
  const Member& self = membership_.self();
  const Belonging& belonging = links_.belonging();
  return !belonging.id.none() && !belonging.provisional && !layout().voters.empty() &&
         !layout().contains(self.id) && self.liveness == Liveness::alive && is_current() &&
         self.synced.epoch == self.epoch;
}

bool Voters::has_pulled_from_majority() const {
  const std::vector<NodeId>& nodes = layout().voters;
  return is_majority(static_cast<std::size_t>(std::ranges::count_if(
      nodes, [&](NodeId node) { return synchronizer_.pulled_from().contains(node); })));
}

bool Voters::may_begin(const Step& step) const {
  if (step.now < next_attempt_ || !has_pulled_from_majority()) return false;
  const Ballot& adding = layout().adding;
  return adding.none() || adding.node == membership_.self_id() || !adding_since_ ||
         step.now - *adding_since_ >= patience;
}

void Voters::begin(const Step& step) {
  attempt_ = Attempt{.ballot = {highest_round_ + 1, membership_.self_id()}};
  highest_round_ = attempt_->ballot.round;
  ask(step);
}

void Voters::ask(const Step& step) {
  Attempt& attempt = *attempt_;
  attempt.asked = step.now;
  std::vector<ConnectionId> connections;
  for (const NodeId node : layout().voters) {
    const auto link = links_.link(node, LinkClass::control);
    const bool answered =
        attempt.accepting ? attempt.let_through.contains(node) : attempt.promises.contains(node);
    if (link && !answered) connections.push_back(*link);
  }
  if (connections.empty()) return;
  VoteRequest request{.cluster = notes_.cluster,
                      .voters = layout().voters,
                      .ballot = attempt.ballot,
                      .phase = attempt.accepting ? VotePhase::accept : VotePhase::promise};
  step.actions.emplace_back(
      Send{std::move(connections), std::make_shared<const Message>(std::move(request))});
}

// Whatever is still wanted of others is wanted for that.
void Voters::end_attempt() {
  if (!std::exchange(attempt_, std::nullopt)) return;
  synchronizer_.want_all_of_nobody();
}

void Voters::give_up(const Step& step) {
  end_attempt();
  next_attempt_ =
      step.now + Duration(static_cast<Duration::rep>(step.random.below(retry_milliseconds_max)));
}

void Voters::answered(NodeId peer, const VoteReply& reply, const Step& step) {
  if (!attempt_ || reply.cluster != notes_.cluster || reply.ballot != attempt_->ballot ||
      reply.voters != stamp().voters || !layout().contains(peer))
    return;
  highest_round_ = std::max(highest_round_, reply.other.round);
  if (!reply.given) return give_up(step);
  if (reply.phase == VotePhase::promise) {
    attempt_->promises[peer] = reply.other;
    return consider_accepting(step);
  }
  if (!attempt_->accepting) return;
  if (!attempt_->let_through.try_emplace(peer, synchronizer_.sessions_begun()).second) return;
  synchronizer_.want_all_of(peer);
}

// The rule of Paxos: who was let through with the highest ballot that a majority knows of must be
// proposed, if it may have a majority. We propose nobody but ourselves, and wait for it instead. It
// has none for sure, nor had one with a lower ballot, if too few are left that have let anybody
// through.
bool Voters::somebody_else_may_be_next() const {
  Ballot highest;
  std::size_t untouched = 0;
  for (const auto& [node, accepted] : attempt_->promises) {
    highest = std::max(highest, accepted);
    untouched += accepted.none() ? 1 : 0;
  }
  if (highest.none() || highest.node == membership_.self_id()) return false;
  const std::size_t all = layout().voters.size();
  return is_majority(all - untouched);
}

void Voters::consider_accepting(const Step& step) {
  Attempt& attempt = *attempt_;
  if (attempt.accepting || !is_majority(attempt.promises.size())) return;
  if (somebody_else_may_be_next()) {
    // Perhaps another voter's answer says that it is not; if not, we try again later.
    if (attempt.promises.size() == layout().voters.size()) give_up(step);
    return;
  }
  attempt.accepting = true;
  Layout with_us = layout();
  with_us.adding = attempt.ballot;
  learn(with_us, step);
  ask(step);
}

void Voters::consider_done(const Step& step) {
  const Attempt& attempt = *attempt_;
  const bool pulls = options_.level_mutant != LevelMutant::no_pull_to_vote;
  std::size_t done = 0;
  for (const auto& [node, begun] : attempt.let_through)
    done += !pulls || synchronizer_.has_all_of(node, begun) ? 1 : 0;
  if (!is_majority(done)) return;
  Layout with_us = layout();
  with_us.voters.push_back(membership_.self_id());
  with_us.adding = {};
  step.log(LogLevel::info,
           "this node votes, one of " + std::to_string(with_us.voters.size()) + " voters");
  learn(with_us, step);
}

// Whoever founded the cluster may be gone for good before anybody else voted.
void Voters::warn_of_silence(const Step& step) {
  const std::vector<NodeId>& nodes = layout().voters;
  const auto reachable = std::ranges::count_if(nodes, [this](NodeId node) {
    return node == membership_.self_id() || links_.link(node, LinkClass::control).has_value();
  });
  if (nodes.empty() || is_majority(static_cast<std::size_t>(reachable))) {
    silent_since_.reset();
    warned_ = false;
    return;
  }
  if (!silent_since_) silent_since_ = step.now;
  if (warned_ || step.now - *silent_since_ < silence_told_after) return;
  warned_ = true;
  step.log(LogLevel::warning,
           "only " + std::to_string(reachable) + " of " + std::to_string(nodes.size()) +
               " voters can be reached: levels above one are not given, and nobody can become a "
               "voter, until a majority of them is back");
}

void Voters::tick(const Step& step) {
  if (note_again_) note(step);
  warn_of_silence(step);
  if (!is_current()) {
    for (const ConnectionId connection : ahead_) {
      if (links_.peer_of(connection)) step.send(connection, tell(true));
    }
  }
  if (!wants_to_vote()) {
    end_attempt();
    return;
  }
  const NodeId self = membership_.self_id();
  if (attempt_ && layout().adding > attempt_->ballot && layout().adding.node != self) give_up(step);
  if (!attempt_) {
    if (may_begin(step)) begin(step);
    return;
  }
  if (step.now - attempt_->asked >= repeat_after) {
    // Some of those who were asked are away, and the others cannot tell who is next.
    if (!attempt_->accepting && is_majority(attempt_->promises.size())) return give_up(step);
    ask(step);
  }
  if (!attempt_->accepting) return;
  for (const auto& [node, begun] : attempt_->let_through) {
    if (!synchronizer_.has_all_of(node, begun)) synchronizer_.go_on_with(node, step.now);
  }
  consider_done(step);
}

}  // namespace dhrt
