// The part of the synchronizer that compares, when a pull is not enough: which peers, and when.
#include <algorithm>
#include <iterator>
#include <utility>

#include "cluster/synchronizer.h"
#include "storage/base/random.h"

namespace dhrt {

void Synchronizer::restore_compared(const std::vector<NodeId>& compared) {
  compared_.insert(compared.begin(), compared.end());
}

void Synchronizer::set_compared(NodeId peer, bool compared) {
  // Whatever it said before counts no longer: what it says from now on does.
  stability_.forget(peer);
  if (!compared) ++doubts_[peer].count;
  if (const auto found = peers_.find(peer); found != peers_.end()) {
    found->second.compared.clear();
    found->second.has_asked = found->second.has_listed = false;
    found->second.failed_comparisons = 0;
    // Its comparison with us is over, or was given up for ours.
    if (compared) found->second.not_before = {};
  }
  const bool changed = compared ? compared_.insert(peer).second : compared_.erase(peer) != 0;
  if (!changed) return;
  compared_changed_ = true;
  if (const auto found = peers_.find(peer); !compared && found != peers_.end())
    found->second.wanted = true;
}

void Synchronizer::evicted(NodeId peer) {
  set_compared(peer, false);
}

// A peer of a version that cannot do it has never forgotten anything, and while it is a member
// nobody does.
bool Synchronizer::must_compare(NodeId peer) const {
  const Member* member = membership_.find(peer);
  return member != nullptr && can_compare(*member) && !options_.mutate_pull_uncompared &&
         !compared_.contains(peer);
}

bool Synchronizer::must_compare(NodeId peer, const CollectionRef& collection) const {
  const auto found = peers_.find(peer);
  return must_compare(peer) &&
         (found == peers_.end() || !found->second.compared.contains(collection));
}

// Empty ones are not compared.
bool Synchronizer::has_compared_all(NodeId peer) const {
  const std::uint64_t empty = digest_of({}, {});
  return std::ranges::all_of(mirrors_, [&](const auto& held) {
    const auto& [name, mirror] = held;
    return mirror.digest() == empty || !must_compare(peer, {name, mirror.generation});
  });
}

void Synchronizer::begin_audit(const Step& step) {
  if (!next_audit_) next_audit_ = step.now + options_.audit_interval;
  if (step.now < *next_audit_ || mirrors_.empty()) return;
  next_audit_ = step.now + options_.audit_interval;
  std::vector<NodeId> candidates;
  for (const auto& [node, peer] : peers_) {
    if (compared_.contains(node) && links_.link(node, LinkClass::bulk) &&
        membership_.state(node) == MemberState::healthy)
      candidates.push_back(node);
  }
  if (candidates.empty()) return;
  const NodeId donor = candidates[step.random.below(candidates.size())];
  const auto mirror =
      std::next(mirrors_.begin(), static_cast<std::ptrdiff_t>(step.random.below(mirrors_.size())));
  session_ = Session{.peer = donor,
                     .heard = step.now,
                     .asked = step.now,
                     .compares = true,
                     .audits = true,
                     .listed = true};
  session_->queue.push_back({mirror->first, mirror->second.generation});
  progress_.donor = donor;
  next_comparison(step);
}

void Synchronizer::next_comparison(const Step& step) {
  session_->comparison.reset();
  if (!session_->queue.empty()) {
    const CollectionRef collection = std::move(session_->queue.front());
    session_->queue.pop_front();
    session_->comparison = std::make_unique<Comparison>(options_, links_, numbers_, meter_,
                                                        session_->peer, collection);
    meter_.begin(step.now, session_->queue.size() + session_->compared.size());
    const auto mirror = mirrors_.find(collection.name);
    session_->asked = step.now;
    session_->comparison->begin(mirror != mirrors_.end() ? mirror->second.flushed : Context(),
                                step);
    return;
  }
  // What was compared earlier is pulled, if it differs.
  session_->queue = std::exchange(session_->compared, {});
  next_transfer(step);
}

void Synchronizer::look_at_comparison(const Step& step) {
  switch (session_->comparison->state()) {
    case Comparison::State::under_way:
      return;
    case Comparison::State::failed:
      // One that cannot be read, or has no room, does not keep the others apart.
      step.log(LogLevel::debug, "collection " + session_->comparison->collection().name +
                                    " could not be compared; it is tried again");
      session_->incomplete = true;
      break;
    case Comparison::State::unknown:
      // Dropped there, or here: the next session knows.
      session_->incomplete = session_->incomplete || !is_over(session_->comparison->collection());
      break;
    case Comparison::State::done:
      if (const auto found = peers_.find(session_->peer); found != peers_.end())
        found->second.compared.insert(session_->comparison->collection());
      ++progress_.comparisons;
      progress_.records_mended += session_->comparison->records_mended();
      break;
  }
  next_comparison(step);
}

void Synchronizer::audit(ConnectionId from, const Audit& audit, const Step& step) {
  const auto mirror = mirrors_.find(audit.collection.name);
  const bool here =
      mirror != mirrors_.end() && mirror->second.generation == audit.collection.generation;
  const Mirror& held = here ? mirror->second : Mirror();
  if (!comparisons_.asked(from, audit, is_over(audit.collection), held.durable, held.flushed, step))
    return too_much(from, step);
  is_asked(from, step);
}

// One comparison serves both.
void Synchronizer::is_asked(ConnectionId from, const Step& step) {
  const auto node = links_.peer_of(from);
  const auto peer = node ? peers_.find(*node) : peers_.end();
  if (peer == peers_.end() || !must_compare(*node)) return;
  // Of two that have begun at once the lower one goes on.
  const bool is_first = !std::exchange(peer->second.has_asked, true);
  if (is_first && session_ && session_->peer == *node && session_->compares && !session_->audits &&
      *node < membership_.self_id())
    abandon_session(step, "the peer compares already");
  if (is_first || joins_by_us(*node)) peer->second.not_before = step.now + options_.pull_timeout;
}

void Synchronizer::fetch(ConnectionId from, const Fetch& fetch, const Step& step) {
  if (!comparisons_.asked(from, fetch, is_over(fetch.collection), step))
    return too_much(from, step);
  is_asked(from, step);
}

void Synchronizer::mend(ConnectionId from, const Mend& mend, const Step& step) {
  if (!comparisons_.asked(from, mend, is_over(mend.collection), step)) return too_much(from, step);
  is_asked(from, step);
}

void Synchronizer::ranged(const Ranged& ranged, const Step& step) {
  comparisons_.ranged(ranged, step);
  if (!session_ || !session_->comparison || !session_->comparison->ranged(ranged, step)) return;
  session_->asked = session_->heard = step.now;
  look_at_comparison(step);
}

template <typename Reply>
void Synchronizer::comparison_reply(NodeId from, const Reply& reply, const Step& step) {
  if (!session_ || session_->peer != from || !session_->comparison ||
      !session_->comparison->reply(reply, step))
    return;
  session_->asked = session_->heard = step.now;
  look_at_comparison(step);
}

void Synchronizer::audit_reply(NodeId from, const AuditReply& reply, const Step& step) {
  comparison_reply(from, reply, step);
}

void Synchronizer::fetch_reply(NodeId from, const FetchReply& reply, const Step& step) {
  comparison_reply(from, reply, step);
}

void Synchronizer::mended(NodeId from, const Mended& mended, const Step& step) {
  comparison_reply(from, mended, step);
}

void Synchronizer::compared(ConnectionId from, const Compared& compared, const Step& step) {
  const auto peer = links_.peer_of(from);
  if (!peer) return;
  // Who was given up, or has lost something, while both compared may have been deleted without.
  if (!compared.reply) {
    if (compared.doubts != doubts_[*peer] || !has_compared_all(*peer)) return;
    set_compared(*peer, true);
    step.send(from, Compared{.reply = true});
    return;
  }
  if (!session_ || session_->peer != *peer || !session_->says_compared) return;
  if (session_->doubts != doubts_[*peer]) {
    abandon_session(step, "the peer must be compared again");
    return;
  }
  set_compared(*peer, true);
  finish_session(step);
}

void Synchronizer::report(NodeId from, const Report& report, const Step& step) {
  if (stability_.report(from, report)) return;
  step.log(LogLevel::warning,
           "node " + (membership_.find(from) != nullptr ? membership_.find(from)->name : "") +
               " has lost data that it had; it is compared with this one, key by key");
  set_compared(from, false);
}

bool Synchronizer::agrees_with_all() const {
  return std::ranges::all_of(membership_.members(), [this](const auto& entry) {
    const auto& [node, member] = entry;
    if (node == membership_.self_id()) return state_of(member) == MemberState::healthy;
    if (member.liveness == Liveness::evicted) return true;
    const auto peer = peers_.find(node);
    return state_of(member) == MemberState::healthy && peer != peers_.end() && peer->second.agreed;
  });
}

}  // namespace dhrt
