#include "cluster/voters.h"

#include <algorithm>
#include <string>

namespace dhrt {

namespace {

// Of all peers; each asks once a second.
constexpr std::size_t held_max = 1024;
// A lost answer is asked for again after this long.
constexpr Duration repeat_after = 1s;
// A change that somebody makes is waited for this long; then it is asked what is next.
constexpr Duration patience = 5s;
// Who is to be pulled from is waited for this long when its link is gone; then whoever is there is
// asked anew.
constexpr Duration link_patience = 10s;
// To retire somebody may take long, but something must be seen of it: by who does it, or by others.
constexpr Duration hold_patience = 60s;
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
  notes_.layout = {.voters = {membership_.self_id()}};
  changed_ = true;
}

void Voters::belong_to(ClusterId cluster) {
  if (notes_.cluster == cluster) return;
  notes_ = {.cluster = cluster};
  heard_ = {};
  ahead_.clear();
  next_since_.reset();
  end_attempt();
  holding_.reset();
  retiring_.clear();
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
  const auto kept = std::stable_partition(
      held_.begin(), held_.end(), [this](const Held& held) { return held.note > notes_kept_; });
  const std::vector<Held> ready(kept, held_.end());
  held_.erase(kept, held_.end());
  for (const Held& held : ready)
    reply_to(held.asker, held.reply, step);
}

void Voters::learn(const Layout& theirs, const Step& step) {
  if (theirs.stamp() <= stamp() || theirs.voters.size() > 2 * options_.members_max ||
      theirs.retired.size() > options_.retired_max)
    return;
  // Who was let in knows the first half of what is decided here, and perhaps not the second.
  if (lets_in_and_retires(notes_.accepted) && theirs.number() == layout().number() + 1) {
    if (notes_made_ == notes_kept_) learn(layout().after(notes_.accepted), step);
    return;  // Else it tells us again.
  }
  if (theirs.number() > layout().number()) {
    notes_.promised = notes_.accepted = {};
    highest_round_ = 0;
    end_attempt();
    holding_.reset();
    next_attempt_ = {};
  }
  notes_.layout = theirs;
  std::erase_if(retiring_, [&](const auto& entry) {
    return !may_retire(entry.first) && !layout().may_add(entry.first);
  });
  next_since_ = step.now;
  highest_round_ = std::max(highest_round_, theirs.next.round);
  changed_ = true;
  note(step);
  if (is_current()) ahead_.clear();
}

void Voters::link_established(ConnectionId connection, const Step& step) {
  if (!layout().voters.empty()) step.send(connection, tell(false));
}

void Voters::heard(ConnectionId connection, const LayoutStamp& theirs, bool tells,
                   const Step& step) {
  if (theirs.number == 0 && !tells) return;
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
  const bool is_for_another = request.ballot.retires == 0 && layout().contains(peer);
  if ((request.ballot.node != peer && !is_for_another) || request.ballot.none()) return;
  learn({.voters = request.voters, .next = {}, .retired = request.retired}, step);
  // The same voters may have been there before: an answer to that would be one to another question.
  if (request.voters != layout().voters || request.retired != layout().retired) {
    step.send(connection, tell(false));
    return;
  }
  const auto& [round, node, retires] = request.ballot;
  const bool is_possible =
      retires != 0 ? may_retire(retires) : !layout().contains(node) && !layout().has_retired(node);
  if (!layout().contains(membership_.self_id()) || !is_possible) return;
  if (request.phase == VotePhase::hold)
    hold(connection, request, step);
  else
    decide(connection, request, step);
}

VoteReply Voters::reply_for(const Ballot& ballot, VotePhase phase) const {
  return {.cluster = notes_.cluster,
          .number = layout().number(),
          .ballot = ballot,
          .phase = phase,
          .given = true};
}

void Voters::reply_to(std::optional<ConnectionId> asker, const VoteReply& reply, const Step& step) {
  if (!asker)
    answered(membership_.self_id(), reply, step);
  else if (links_.peer_of(*asker))
    step.send(*asker, reply);
}

void Voters::decide(std::optional<ConnectionId> asker, const VoteRequest& request,
                    const Step& step) {
  VoteReply reply = reply_for(request.ballot, request.phase);
  const bool lets_all = options_.level_mutant == LevelMutant::all_let_through;
  if (request.ballot < notes_.promised && !lets_all) {
    reply.given = false;
    reply.other = notes_.promised;
    return reply_to(asker, reply, step);
  }
  LayoutNotes after = notes_;
  after.promised = request.ballot;
  if (request.phase == VotePhase::promise) {
    reply.other = lets_all ? Ballot{} : notes_.accepted;
  } else {
    after.accepted = request.ballot;
    after.layout.next = std::max(after.layout.next, request.ballot);
  }
  if (after.layout != notes_.layout) {
    changed_ = true;
    next_since_ = step.now;
  }
  highest_round_ = std::max(highest_round_, request.ballot.round);
  if (after != notes_) {
    notes_ = std::move(after);
    note(step);
  }
  if (notes_made_ == notes_kept_ || options_.level_mutant == LevelMutant::answer_unnoted)
    reply_to(asker, reply, step);
  else if (held_.size() < held_max)
    held_.push_back({notes_made_, asker, std::move(reply)});
}

// A change that is let through by a majority is decided for ever, so this needs no note.
void Voters::hold(std::optional<ConnectionId> asker, const VoteRequest& request, const Step& step) {
  const NodeId self = membership_.self_id();
  if (request.ballot.retires == self) return;
  if (holding_ && holding_->ballot == request.ballot) {
    holding_->asker = asker;
    if (holding_->done) reply_to(asker, reply_for(request.ballot, VotePhase::hold), step);
    return;
  }
  if (holding_ && request.ballot < holding_->ballot) return;  // Who asks is to hear of that.
  holding_ = Holding{.ballot = request.ballot, .asker = asker};
  for (const NodeId node : request.let_through) {
    if (node == self || !layout().contains(node)) continue;
    holding_->from[node] = synchronizer_.sessions_begun();
    synchronizer_.want_all_of(node);
  }
  continue_holding(step);
}

void Voters::continue_holding(const Step& step) {
  if (!holding_ || holding_->done) return;
  const bool pulls =
      options_.level_mutant != (holding_->ballot.retires != 0 ? LevelMutant::no_pull_to_retire
                                                              : LevelMutant::no_pull_to_complete);
  for (const auto& [node, begun] : holding_->from) {
    if (!pulls || synchronizer_.has_all_of(node, begun)) continue;
    synchronizer_.go_on_with(node, step.now);
    return;
  }
  holding_->done = true;
  reply_to(holding_->asker, reply_for(holding_->ballot, VotePhase::hold), step);
}

// --- As somebody who wants a change ---------------------------------------------------------

bool Voters::may_change() const {
  const Belonging& belonging = links_.belonging();
  return !belonging.id.none() && !belonging.provisional && !layout().voters.empty() &&
         membership_.self().liveness == Liveness::alive && is_current();
}

bool Voters::wants_to_vote() const {
  const Member& self = membership_.self();
  return may_change() && !layout().contains(self.id) && !layout().has_retired(self.id) &&
         self.synced.epoch == self.epoch;
}

bool Voters::has_pulled_from_enough() const {
  return layout().can_decide(
      [&](NodeId node) { return synchronizer_.pulled_from().contains(node); });
}

bool Voters::is_our_vote(const Ballot& ballot) const {
  return ballot.retires == 0 && ballot.node == membership_.self_id();
}

bool Voters::lets_in_and_retires(const Ballot& ballot) const {
  return ballot.retires != 0 && layout().voters == std::vector{membership_.self_id()} &&
         !layout().contains(ballot.retires);
}

// The only one who is left cannot go. Whom the only voter let in, and who is known to nobody as a
// voter but perhaps to itself, is let in and retired in one step: it can do nothing without the
// other.
bool Voters::may_retire(NodeId node) const {
  if (layout().retired.size() >= options_.retired_max) return false;
  if (layout().voters.size() > 1) return layout().contains(node);
  return !layout().contains(node) && (layout().may_add(node) || layout().next.retires == node);
}

void Voters::retire(const RetireRequested& request) {
  if (!obstacle_to_retire(request.node) && layout().may_count(request.node))
    retiring_[request.node] = request.unless_alive;
}

// Whoever gave it up was mistaken; unless it may have been let through by then.
void Voters::forget_who_is_back() {
  std::erase_if(retiring_, [this](const auto& entry) {
    const auto& [node, unless_alive] = entry;
    const Member* const member = membership_.find(node);
    if (!unless_alive || member == nullptr || member->liveness != Liveness::alive) return false;
    if (layout().next.retires == node) return false;
    if (attempt_ && attempt_->ballot.retires == node) end_attempt();
    return true;
  });
}

std::optional<std::string> Voters::obstacle_to_retire(NodeId node) const {
  if (!layout().may_count(node)) return std::nullopt;
  if (links_.belonging().provisional)
    return "nothing was written yet: nobody but the founder votes";
  if (layout().voters.size() == 1 && layout().contains(node))
    return "it is the only voter: somebody must vote";
  if (layout().retired.size() >= options_.retired_max)
    return "this cluster has retired " + std::to_string(options_.retired_max) +
           " voters, which is as many as can be: copy its data to a new one";
  for (const auto& [id, member] : membership_.members()) {
    const bool counts = id != node && member.liveness != Liveness::evicted;
    if (counts && (member.features & feature::retires) == 0)
      return "node " + member.name + " (" + member.address +
             ") is of a version that does not know of it: upgrade it first";
  }
  return std::nullopt;
}

// What somebody else began not long ago is its own business. To retire somebody may take long, and
// would begin anew with whoever takes it over.
bool Voters::is_left_to_others(const Step& step) const {
  const Ballot& next = layout().next;
  if (next.none() || next.node == membership_.self_id() || !next_since_) return false;
  if (next.retires == 0 && retiring_.contains(next.node)) return false;  // It is given up.
  const bool goes_on = next.retires != 0 && links_.link(next.node, LinkClass::control).has_value();
  return step.now - *next_since_ < (goes_on ? hold_patience : patience);
}

// Somebody was let in, or may have been, and will not go on by itself.
bool Voters::must_complete(const Step& step) const {
  const Ballot& next = layout().next;
  const NodeId self = membership_.self_id();
  if (next.none() || next.retires != 0 || next.node == self) return false;
  if (!layout().contains(self) || layout().voters.size() == 1) return false;
  const bool is_there = links_.link(next.node, LinkClass::control).has_value();
  return !is_there || (next_since_ && step.now - *next_since_ >= hold_patience);
}

// What was begun comes first, for it may be decided; whoever began it may have ended meanwhile.
std::optional<Ballot> Voters::next_attempt(const Step& step) const {
  if (!may_change() || step.now < next_attempt_ || is_left_to_others(step)) return std::nullopt;
  const NodeId self = membership_.self_id();
  const Ballot& next = layout().next;
  Ballot ballot{.round = highest_round_ + 1, .node = self};
  if (next.retires != 0 && (layout().contains(self) || next.node == self)) {
    ballot.retires = next.retires;
    return ballot;
  }
  if (must_complete(step)) {
    ballot.node = next.node;
    return ballot;
  }
  if (retiring_.contains(next.node) && may_retire(next.node)) {
    ballot.retires = next.node;  // Before we ask the only voter to let us in as well.
    return ballot;
  }
  if (wants_to_vote() && has_pulled_from_enough()) return ballot;
  const auto due = std::ranges::find_if(
      retiring_, [this](const auto& entry) { return may_retire(entry.first); });
  if (due == retiring_.end()) return std::nullopt;
  ballot.retires = due->first;
  return ballot;
}

void Voters::ask(const Step& step) {
  Attempt& attempt = *attempt_;
  attempt.asked = step.now;
  VoteRequest request{.cluster = notes_.cluster,
                      .voters = layout().voters,
                      .ballot = attempt.ballot,
                      .phase = attempt.phase,
                      .retired = layout().retired};
  const bool holds = attempt.phase == VotePhase::hold;
  if (holds) {
    for (const auto& [node, begun] : attempt.let_through)
      if (node != attempt.ballot.retires) request.let_through.push_back(node);
  }
  const NodeId self = membership_.self_id();
  bool asks_ourselves = false;
  std::vector<ConnectionId> connections;
  for (const NodeId node : holds ? layout().after(attempt.ballot).voters : layout().voters) {
    const bool has_answered = holds ? attempt.holding.contains(node)
                              : attempt.phase == VotePhase::accept
                                  ? attempt.let_through.contains(node)
                                  : attempt.promises.contains(node);
    if (has_answered) continue;
    asks_ourselves = asks_ourselves || node == self;
    if (const auto link = links_.link(node, LinkClass::control)) connections.push_back(*link);
  }
  if (!connections.empty())
    step.actions.emplace_back(
        Send{std::move(connections), std::make_shared<const Message>(request)});
  // Last: our own answer may begin the next step, or end the attempt.
  if (!asks_ourselves) return;
  if (holds)
    hold(std::nullopt, request, step);
  else
    decide(std::nullopt, request, step);
}

void Voters::end_attempt() {
  const auto ended = std::exchange(attempt_, std::nullopt);
  // Who wants to vote wants all of others for nothing else. Voters may want it for a Holding.
  if (ended && is_our_vote(ended->ballot)) synchronizer_.want_all_of_nobody();
}

void Voters::give_up(const Step& step) {
  end_attempt();
  next_attempt_ =
      step.now + Duration(static_cast<Duration::rep>(step.random.below(retry_milliseconds_max)));
}

// Whoever began that is overtaken by each of our rounds, and would not get on if they were many.
void Voters::wait_for_what_is_next(const Step& step) {
  give_up(step);
  next_attempt_ = next_attempt_ + patience;
}

void Voters::answered(NodeId peer, const VoteReply& reply, const Step& step) {
  if (!attempt_ || reply.cluster != notes_.cluster || reply.ballot != attempt_->ballot ||
      reply.number != layout().number() || !layout().contains(peer))
    return;
  highest_round_ = std::max(highest_round_, reply.other.round);
  if (!reply.given) return give_up(step);
  Attempt& attempt = *attempt_;
  switch (reply.phase) {
    case VotePhase::promise:
      attempt.promises[peer] = reply.other;
      return consider_accepting(step);
    case VotePhase::accept:
      if (attempt.phase == VotePhase::promise) return;
      if (!attempt.let_through.try_emplace(peer, synchronizer_.sessions_begun()).second) return;
      if (!is_our_vote(attempt.ballot)) return consider_holding(step);
      return synchronizer_.want_all_of(peer);
    case VotePhase::hold:
      if (attempt.holding.insert(peer).second) attempt.progress = step.now;
      return consider_done(step);
  }
}

// The rule of Paxos: what was let through with the highest ballot that a majority knows of must be
// proposed, if it may have a majority. We propose nothing but what we want, and wait for it
// instead. It has none for sure, nor had one with a lower ballot, if too few are left that have let
// anything through.
bool Voters::something_else_may_be_next() const {
  Ballot highest;
  for (const auto& [node, accepted] : attempt_->promises)
    highest = std::max(highest, accepted);
  if (highest.none() || attempt_->ballot.proposes_all_of(highest)) return false;
  return layout().can_decide([&](NodeId node) {
    const auto promise = attempt_->promises.find(node);
    return promise == attempt_->promises.end() || !promise->second.none();
  });
}

void Voters::consider_accepting(const Step& step) {
  Attempt& attempt = *attempt_;
  if (attempt.phase != VotePhase::promise || !has_enough(attempt.promises)) return;
  if (something_else_may_be_next()) {
    // Perhaps another voter's answer says that it is not; if not, we try again later.
    if (attempt.promises.size() == layout().voters.size()) wait_for_what_is_next(step);
    return;
  }
  attempt.phase = VotePhase::accept;
  Layout changing = layout();
  changing.next = attempt.ballot;
  learn(changing, step);
  ask(step);
}

// Enough of those who vote now, and a majority of those who stay.
void Voters::consider_holding(const Step& step) {
  Attempt& attempt = *attempt_;
  if (attempt.phase != VotePhase::accept || !has_enough(attempt.let_through)) return;
  if (attempt.ballot.retires != 0) {
    const std::vector<NodeId> staying = layout().after(attempt.ballot).voters;
    const auto of_these = std::ranges::count_if(
        staying, [&](NodeId node) { return attempt.let_through.contains(node); });
    if (!is_majority_of(static_cast<std::size_t>(of_these), staying)) return;
  }
  attempt.phase = VotePhase::hold;
  attempt.all_linked = attempt.progress = step.now;
  ask(step);
}

// Somebody who is to be pulled from is gone, at least for one of those who pull.
bool Voters::must_hold_anew(const Step& step) {
  Attempt& attempt = *attempt_;
  const bool all_linked = std::ranges::all_of(attempt.let_through, [&](const auto& entry) {
    const NodeId node = entry.first;
    return node == membership_.self_id() || node == attempt.ballot.retires ||
           links_.link(node, LinkClass::control);
  });
  if (all_linked) attempt.all_linked = step.now;
  return step.now - attempt.all_linked >= link_patience ||
         step.now - attempt.progress >= hold_patience;
}

void Voters::consider_done(const Step& step) {
  const Attempt& attempt = *attempt_;
  const Layout changed = layout().after(attempt.ballot);
  const std::string count = std::to_string(changed.voters.size());
  if (!is_our_vote(attempt.ballot)) {
    if (attempt.phase != VotePhase::hold) return;
    if (!is_majority_of(attempt.holding.size(), changed.voters)) return;
    step.log(LogLevel::info, attempt.ballot.retires != 0
                                 ? "a voter is retired, " + count + " voters are left"
                                 : "who was let in and is away votes, one of " + count + " voters");
  } else {
    const bool pulls = options_.level_mutant != LevelMutant::no_pull_to_vote;
    const auto has_all_of = [&](NodeId node) {
      const auto begun = attempt.let_through.find(node);
      return begun != attempt.let_through.end() &&
             (!pulls || synchronizer_.has_all_of(node, begun->second));
    };
    if (!layout().can_decide(has_all_of)) return;
    step.log(LogLevel::info, "this node votes, one of " + count + " voters");
  }
  learn(changed, step);
}

// Whoever founded the cluster may be gone for good before anybody else voted.
void Voters::warn_of_silence(const Step& step) {
  const std::vector<NodeId>& nodes = layout().voters;
  const auto reachable = std::ranges::count_if(nodes, [this](NodeId node) {
    return node == membership_.self_id() || links_.link(node, LinkClass::control).has_value();
  });
  if (nodes.empty() || is_majority_of(static_cast<std::size_t>(reachable), nodes)) {
    silent_since_.reset();
    warned_ = false;
    return;
  }
  if (!silent_since_) silent_since_ = step.now;
  if (warned_ || step.now - *silent_since_ < silence_told_after) return;
  warned_ = true;
  step.log(LogLevel::warning,
           "only " + std::to_string(reachable) + " of " + std::to_string(nodes.size()) +
               " voters can be reached: levels above one are not given until a majority of them "
               "is back");
}

void Voters::tick(const Step& step) {
  if (note_again_) note(step);
  warn_of_silence(step);
  if (!is_current()) {
    for (const ConnectionId connection : ahead_) {
      if (links_.peer_of(connection)) step.send(connection, tell(true));
    }
  }
  continue_holding(step);
  forget_who_is_back();
  if (!layout().next.none() && !next_since_) next_since_ = step.now;  // Known from before we began.
  if (attempt_ && !(is_our_vote(attempt_->ballot) ? wants_to_vote() : may_change())) end_attempt();
  const Ballot& next = layout().next;
  const bool is_overtaken = attempt_ && next > attempt_->ballot;
  if (is_overtaken && next.node != membership_.self_id()) give_up(step);
  if (!attempt_) {
    const auto ballot = next_attempt(step);
    if (!ballot) return;
    highest_round_ = ballot->round;
    attempt_ = Attempt{.ballot = *ballot};
    return ask(step);
  }
  if (step.now - attempt_->asked >= repeat_after) {
    // Some of those who were asked are away, and the others cannot tell what is next.
    const bool is_unclear = attempt_->phase == VotePhase::promise && has_enough(attempt_->promises);
    if (is_unclear) return wait_for_what_is_next(step);
    if (attempt_->phase == VotePhase::hold && must_hold_anew(step)) return give_up(step);
    ask(step);
  }
  if (!attempt_ || !is_our_vote(attempt_->ballot) || attempt_->phase != VotePhase::accept) return;
  for (const auto& [node, begun] : attempt_->let_through) {
    if (!synchronizer_.has_all_of(node, begun)) synchronizer_.go_on_with(node, step.now);
  }
  consider_done(step);
}

}  // namespace dhrt
