#include "cluster/synchronizer.h"

#include <algorithm>
#include <utility>

#include "storage/base/codec.h"
#include "storage/base/hash.h"
#include "storage/base/random.h"

namespace dhrt {

namespace {

Attestation state_now(const Member& member) {
  return {member.epoch, member.incarnation};
}

bool unsynced(MemberState state) {
  return state == MemberState::joining || state == MemberState::syncing;
}

// Said or begun after the member's last start and its last death.
bool since_change(const std::optional<Attestation>& said, const Member& member) {
  return said && said->epoch == member.epoch && said->incarnation > member.died;
}

}  // namespace

std::uint64_t root_hash(const std::vector<CollectionDigest>& digests) {
  std::string bytes;
  ByteWriter writer(bytes);
  for (const CollectionDigest& digest : digests) {
    writer.bytes(digest.collection.name);
    writer.u32(digest.collection.generation);
    writer.u64(digest.hash);
  }
  return hash64(bytes);
}

// --- What is durable here -------------------------------------------------------------------

std::uint64_t Synchronizer::root() const {
  if (known_root_) return *known_root_;
  std::vector<CollectionDigest> digests;
  for (const auto& [name, mirror] : mirrors_) {
    // An empty collection may not have been made everywhere yet; there is nothing to pull.
    if (mirror.durable.empty() && mirror.flushed.empty()) continue;
    digests.push_back({{name, mirror.generation}, mirror.digest()});
  }
  known_root_ = root_hash(digests);
  return *known_root_;
}

void Synchronizer::store_changed(const StoreChanged& changed) {
  mirrors_[changed.collection.name] = {.generation = changed.collection.generation,
                                       .durable = changed.durable,
                                       .flushed = changed.flushed};
  stability_.store_changed(changed.collection.name);
  known_root_.reset();
}

void Synchronizer::collection_gone(const CollectionRef& collection) {
  const auto found = mirrors_.find(collection.name);
  if (found == mirrors_.end() || found->second.generation > collection.generation) return;
  mirrors_.erase(found);
  stability_.collection_gone(collection);
  known_root_.reset();
}

bool Synchronizer::is_over(const CollectionRef& collection) const {
  const auto found = mirrors_.find(collection.name);
  return found != mirrors_.end() && found->second.generation > collection.generation;
}

const Context* Synchronizer::durable(const CollectionRef& collection) const {
  const auto found = mirrors_.find(collection.name);
  if (found == mirrors_.end() || found->second.generation != collection.generation) return nullptr;
  return &found->second.durable;
}

const Context* Synchronizer::flushed(const CollectionRef& collection) const {
  return durable(collection) == nullptr ? nullptr : &mirrors_.at(collection.name).flushed;
}

// --- When to pull, and from whom --------------------------------------------------------------

void Synchronizer::link_established(NodeId peer, LinkClass link_class) {
  if (link_class == LinkClass::control) {
    peers_[peer] = {};
    stability_.link_lost(peer);  // One may have taken the place of another.
  }
  Peer& known = peers_[peer];
  known.member = membership_.find(peer);
  known.wanted = true;
}

void Synchronizer::link_lost(NodeId peer, LinkClass link_class, const Step& step) {
  if (session_ && session_->peer == peer) abandon_session(step, "the link broke");
  if (link_class != LinkClass::control) return;
  peers_.erase(peer);
  stability_.link_lost(peer);
}

void Synchronizer::root_heard(NodeId peer, std::uint64_t root, Time now) {
  const auto found = peers_.find(peer);
  if (found == peers_.end()) return;
  found->second.agreed = root == this->root();
  if (found->second.agreed) {
    found->second.mismatch_since.reset();
    stability_.agrees(peer, root);
  } else if (!found->second.mismatch_since) {
    found->second.mismatch_since = now;
  }
}

void Synchronizer::tick(bool clock_is_wrong, const Step& step) {
  if (session_ && step.now - session_->heard > options_.pull_timeout)
    abandon_session(step, "no answer");

  const Member& self = membership_.self();
  if (!unsynced(state_of(self))) {
    unsynced_since_.reset();
  } else if (!unsynced_since_ || died_ != self.died) {
    unsynced_since_ = step.now;
    died_ = self.died;
    for (auto& [node, peer] : peers_)
      peer.wanted = true;
  }
  for (auto& [node, peer] : peers_) {
    if (peer.member == nullptr) continue;
    const bool is_unsynced = unsynced(state_of(*peer.member));
    const bool someone_unsynced = is_unsynced || unsynced_since_.has_value();
    if (is_unsynced && !since_change(peer.pulled, *peer.member)) peer.wanted = true;
    // Whoever attests has not heard of it, or its word was lost: say it again.
    if (someone_unsynced && step.now - peer.finished > options_.claim_interval) peer.wanted = true;
    if (differs_for_long(peer, step.now)) peer.wanted = true;
  }
  if (!session_) begin_session(step);
  if (!session_) begin_audit(step);
  stability_.tick(compared_, root(), clock_is_wrong, step);
  for (const auto& [node, peer] : peers_)
    consider_attesting(node, peer, step);
  consider_self(step);
}

bool Synchronizer::is_dead(NodeId node) const {
  return membership_.state(node) == MemberState::dead;
}

std::vector<NodeId> Synchronizer::donors(const Step& step) const {
  std::vector<NodeId> healthy;
  std::vector<NodeId> others;
  std::vector<NodeId> dead;
  for (const auto& [node, peer] : peers_) {
    if (!peer.wanted || step.now < peer.not_before) continue;
    const bool linked = links_.link(node, LinkClass::control) && links_.link(node, LinkClass::bulk);
    const bool will_ask = joins_by_us(node) && !peer.has_asked && !peer.has_listed;
    if (!linked || will_ask) continue;
    // A dead one may be linked, and hear us or be heard, but hardly both.
    if (is_dead(node))
      dead.push_back(node);
    else
      (membership_.state(node) == MemberState::healthy ? healthy : others).push_back(node);
  }
  if (!healthy.empty()) return healthy;
  return others.empty() ? dead : others;
}

std::optional<NodeId> Synchronizer::choose_donor(const Step& step) const {
  const std::vector<NodeId> candidates = donors(step);
  if (candidates.empty()) return std::nullopt;
  return candidates[step.random.below(candidates.size())];
}

// Who joins has nothing, and asks one healthy node after the other: if each compared with it by
// itself, all would send it everything at the same time.
bool Synchronizer::joins_by_us(NodeId peer) const {
  const Member* member = membership_.find(peer);
  return member != nullptr && member->synced.epoch == 0 && must_compare(peer) &&
         state_of(membership_.self()) == MemberState::healthy;
}

void Synchronizer::begin_session(const Step& step) {
  const auto donor = choose_donor(step);
  if (!donor) return;
  const Member* member = membership_.find(*donor);
  if (member == nullptr) return;
  Peer& peer = peers_.at(*donor);
  peer.wanted = false;
  peer.mismatch_since.reset();
  session_ = Session{.peer = *donor,
                     .request = ++numbers_.requests,
                     .heard = step.now,
                     .asked = step.now,
                     .peer_state = state_now(*member),
                     .own_state = state_now(membership_.self()),
                     .compares = must_compare(*donor),
                     .doubts = doubts_[*donor]};
  session_->number = ++sessions_begun_;
  // A comparison asks for less: if all is wanted, the pull behind it does.
  session_->asks_all = wanted_all_.contains(*donor) && !session_->compares;
  progress_.pulling = true;
  progress_.donor = *donor;
  step.send(*links_.link(*donor, LinkClass::bulk), Summary{session_->request});
}

// Many nodes that start together have one session each with all others.
void Synchronizer::go_on(const Step& step) {
  if (std::exchange(finished_one_, false) && !session_) begin_session(step);
}

void Synchronizer::abandon_session(const Step& step, const std::string& why) {
  step.log(LogLevel::debug, "a pull was given up: " + why);
  want_again(session_->peer, step);
  session_.reset();
  meter_.end();
  progress_.pulling = false;
}

// After a while: a full disk here, or there, does not get emptier by asking at once.
void Synchronizer::want_again(NodeId node, const Step& step) {
  const auto peer = peers_.find(node);
  if (peer == peers_.end()) return;
  peer->second.wanted = true;
  peer->second.not_before = step.now + options_.pull_retry_after;
}

// --- A session: the list of collections, then one transfer after the other -----------------------

void Synchronizer::summary(ConnectionId from, const Summary& summary, const Step& step) {
  SummaryReply reply{.request = summary.request};
  for (const auto& [name, mirror] : mirrors_)
    reply.digests.push_back({{name, mirror.generation}, mirror.digest()});
  if (const auto node = links_.peer_of(from)) {
    reply.doubts = doubts_[*node];
    // If it finds nothing to ask for we do, a while later; the first time counts, as it goes on.
    const auto peer = peers_.find(*node);
    if (peer != peers_.end() && joins_by_us(*node) && !std::exchange(peer->second.has_listed, true))
      peer->second.not_before = step.now + options_.pull_timeout;
  }
  step.send(from, std::move(reply));
}

void Synchronizer::summary_reply(NodeId from, const SummaryReply& reply, const Step& step) {
  if (!session_ || session_->peer != from || session_->request != reply.request || session_->listed)
    return;
  session_->listed = true;
  session_->heard = step.now;
  const std::uint64_t empty = digest_of({}, {});
  for (const CollectionDigest& theirs : reply.digests) {
    const auto ours = mirrors_.find(theirs.collection.name);
    const bool differs = (session_->asks_all && !is_over(theirs.collection)) ||
                         ours == mirrors_.end() ||
                         ours->second.generation < theirs.collection.generation ||
                         (ours->second.generation == theirs.collection.generation &&
                          ours->second.digest() != theirs.hash);
    if (session_->compares && !must_compare(from, theirs.collection)) {
      if (differs) session_->compared.push_back(theirs.collection);
      continue;
    }
    const bool is_nowhere = theirs.hash == empty && ours == mirrors_.end();
    if (session_->compares ? is_nowhere : !differs) continue;
    // The configuration first: it says which of the others are still alive.
    if (theirs.collection.name == configuration_collection)
      session_->queue.push_front(theirs.collection);
    else
      session_->queue.push_back(theirs.collection);
  }
  if (session_->compares) {
    // What only we have is compared as well; the peer makes it when it knows the configuration.
    std::set<Bytes> theirs;
    for (const CollectionDigest& digest : reply.digests)
      theirs.insert(digest.collection.name);
    for (const auto& [name, mirror] : mirrors_) {
      const CollectionRef collection{name, mirror.generation};
      if (mirror.digest() != empty && !theirs.contains(name) && must_compare(from, collection))
        session_->queue.push_back(collection);
    }
    session_->peer_doubts = reply.doubts;
    next_comparison(step);
    return;
  }
  next_transfer(step);
}

void Synchronizer::next_transfer(const Step& step) {
  session_->transfer.reset();
  if (session_->queue.empty()) {
    if (session_->unapplied.empty()) conclude_session(step);
    return;
  }
  Transfer transfer{.collection = std::move(session_->queue.front())};
  session_->queue.pop_front();
  if (const Context* ours = durable(transfer.collection)) transfer.excluded = *ours;
  session_->transfer = std::move(transfer);
  meter_.begin(step.now, session_->queue.size());
  ask(std::nullopt, step);
}

void Synchronizer::ask(std::optional<Dot> from, const Step& step) {
  const auto link = links_.link(session_->peer, LinkClass::bulk);
  if (!link) return;  // The link's end is being told to us; the session ends with it.
  Transfer& transfer = *session_->transfer;
  transfer.request = ++numbers_.requests;
  transfer.from = from;
  session_->asked = step.now;
  Pull pull{.request = transfer.request,
            .collection = transfer.collection,
            .excluded = transfer.excluded,
            .from = from,
            .bytes_max = options_.pull_slice_bytes};
  const auto mirror = mirrors_.find(transfer.collection.name);
  if (mirror != mirrors_.end() && mirror->second.generation == transfer.collection.generation)
    pull.flushed = mirror->second.flushed;
  step.send(*link, std::move(pull));
}

void Synchronizer::pull_reply(NodeId from, const PullReply& reply, const Step& step) {
  if (!session_ || session_->peer != from || !session_->transfer ||
      session_->transfer->request != reply.request ||
      session_->transfer->collection != reply.collection)
    return;
  session_->transfer->request = 0;  // Answered: a repeated answer is none.
  session_->heard = step.now;
  if (reply.uncompared) {
    set_compared(from, false);
    abandon_session(step, "the donor wants to be compared first");
    return;
  }
  if (reply.unknown) {
    next_transfer(step);
    return;
  }
  Transfer& transfer = *session_->transfer;
  if (reply.next && transfer.from && *reply.next <= *transfer.from) {
    abandon_session(step, "the donor's walk does not get on");
    return;
  }
  if (!reply.unshown.empty()) session_->unshown[reply.collection].merge(reply.unshown);
  keep_common(transfer.first_vector, reply.vector);
  keep_common(transfer.round_vector, reply.vector);
  if (options_.mutate_merge_early && transfer.rounds == 0) merge_vector(step);
  // Of what we have not seen the donor has no more than that.
  if (!transfer.from && transfer.rounds == 0)
    meter_.expect(reply.vector.count_beyond(transfer.excluded));
  meter_.add(reply.records.size(), bytes_of(reply.records));
  progress_.records_pulled += reply.records.size();
  if (reply.next) {
    // The donor walks on while these go into the store.
    transfer.round_is_one_slice = false;
    if (transfer.unapplied.has_room_for(bytes_of(reply.records), options_.unapplied_bytes_max))
      ask(reply.next, step);
    else
      transfer.waits = reply.next;
  }
  if (!reply.records.empty() || !reply.flushed.empty()) {
    const Token token = ++numbers_.tokens;
    session_->unapplied.insert(token);
    transfer.unapplied.add(token, bytes_of(reply.records));
    step.actions.emplace_back(ApplyRecords{.token = token,
                                           .collection = reply.collection,
                                           .records = reply.records,
                                           .flushed = reply.flushed,
                                           .donor = from,
                                           .vector = reply.vector});
  }
  if (!reply.next) end_round(step);
}

bool Synchronizer::differs_for_long(const Peer& peer, Time now) const {
  if (!peer.mismatch_since) return false;
  const Time latest = *peer.mismatch_since + options_.mismatch_coming_max;
  const Time since = std::max(*peer.mismatch_since, std::min(peer.coming, latest));
  return now - since > options_.mismatch_patience;
}

// A slice with a large value takes a slow link longer than silence is borne; asking anew would
// only send it once more. Answers come over the bulk link: live writes are no sign of one.
void Synchronizer::message_coming(ConnectionId from, Time now) {
  const auto peer = links_.peer_of(from);
  const auto found = peer ? peers_.find(*peer) : peers_.end();
  if (found != peers_.end() && links_.link(*peer, LinkClass::control) == from)
    found->second.coming = now;
  if (!session_ || links_.link(session_->peer, LinkClass::bulk) != from) return;
  if (now - session_->asked < options_.pull_answer_max) session_->heard = now;
}

void Synchronizer::end_round(const Step& step) {
  Transfer& transfer = *session_->transfer;
  if (transfer.round_is_one_slice) {
    transfer.ended = true;
    conclude_transfer(step);
    return;
  }
  if (++transfer.rounds >= options_.pull_rounds_max) {
    session_->incomplete = true;
    next_transfer(step);
    return;
  }
  // While the walk went on, records behind it may have been replaced: they are walked again.
  transfer.excluded.merge(*transfer.round_vector);
  transfer.round_vector.reset();
  transfer.round_is_one_slice = true;
  ask(std::nullopt, step);
}

void Synchronizer::go_on_if_stored(const Step& step) {
  Transfer& transfer = *session_->transfer;
  const bool has_room = transfer.unapplied.has_room_for(0, options_.unapplied_bytes_max);
  if (transfer.waits && has_room) ask(std::exchange(transfer.waits, std::nullopt), step);
}

// A store that is full refuses records, and takes contexts: what it has refused must not be
// claimed.
void Synchronizer::conclude_transfer(const Step& step) {
  if (!session_->transfer || !session_->transfer->ended || !session_->transfer->unapplied.empty())
    return;
  merge_vector(step);
  next_transfer(step);
}

void Synchronizer::merge_vector(const Step& step) {
  const Transfer& transfer = *session_->transfer;
  const Context* ours = durable(transfer.collection);
  if (ours != nullptr && ours->contains(*transfer.first_vector)) return;
  const Token token = ++numbers_.tokens;
  session_->unapplied.insert(token);
  step.actions.emplace_back(MergeContext{token, transfer.collection, *transfer.first_vector});
}

void Synchronizer::applied(const Applied& applied, const Step& step) {
  if (const auto ended = comparisons_.applied(applied, step)) {
    const auto peer = links_.peer_of(ended->connection);
    if (const auto found = peer ? peers_.find(*peer) : peers_.end(); found != peers_.end())
      found->second.compared.insert(ended->collection);
  }
  if (session_ && session_->comparison && session_->comparison->applied(applied, step)) {
    session_->heard = step.now;
    look_at_comparison(step);
    return;
  }
  if (!session_ || session_->unapplied.erase(applied.token) == 0) return;
  session_->heard = step.now;
  if (!applied.ok) {
    abandon_session(step, "the records could not be stored");
    return;
  }
  if (session_->transfer && session_->transfer->unapplied.erase(applied.token))
    go_on_if_stored(step);
  conclude_transfer(step);
  if (!session_) return;  // That was all.
  const bool over = session_->listed && !session_->comparison && !session_->transfer &&
                    session_->queue.empty() && session_->unapplied.empty();
  if (over) conclude_session(step);
}

// Who compares has the last word of the peer.
void Synchronizer::conclude_session(const Step& step) {
  if (!session_->compares || session_->audits || session_->incomplete) {
    finish_session(step);
    return;
  }
  if (std::exchange(session_->says_compared, true)) return;
  session_->asked = session_->heard = step.now;
  if (const auto link = links_.link(session_->peer, LinkClass::bulk))
    step.send(*link, Compared{.doubts = session_->peer_doubts});
}

void Synchronizer::finish_session(const Step& step) {
  const Session session = std::move(*session_);
  session_.reset();
  meter_.end();
  progress_.pulling = false;
  ++progress_.sessions;
  const auto found = peers_.find(session.peer);
  if (found == peers_.end()) return;
  if (session.incomplete) {
    want_again(session.peer, step);
    if (!must_compare(session.peer)) return;
    Peer& peer = found->second;
    Duration pause = options_.pull_retry_after;
    for (unsigned i = 0; i < peer.failed_comparisons && pause < options_.comparison_retry_max; ++i)
      pause *= 2;
    ++peer.failed_comparisons;
    peer.not_before = step.now + std::min(pause, options_.comparison_retry_max);
    return;
  }
  if (session.audits) return;
  pulled_from_.insert(session.peer);
  if (session.asks_all) {
    had_all_[session.peer] = {session.number, step.now, session.unshown};
    const auto wanted = wanted_all_.find(session.peer);
    if (wanted != wanted_all_.end() && wanted->second < session.number) wanted_all_.erase(wanted);
  }
  found->second.wanted = found->second.wanted || wanted_all_.contains(session.peer);
  found->second.pulled = session.peer_state;
  found->second.pulled_as = session.own_state;
  found->second.finished = step.now;
  if (const auto link = links_.link(session.peer, LinkClass::control))
    step.send(*link, Resynced{membership_.self_id(), session.own_state, 0});
  consider_attesting(session.peer, found->second, step);
  finished_one_ = !found->second.wanted;  // Whoever is wanted again waits for a tick.
}

void Synchronizer::want_all_of(NodeId peer) {
  wanted_all_[peer] = sessions_begun_;
  const auto found = peers_.find(peer);
  if (found != peers_.end()) found->second.wanted = true;
}

bool Synchronizer::has_all_of(NodeId peer, std::uint64_t after_session) const {
  const auto found = had_all_.find(peer);
  if (found == had_all_.end() || found->second.session <= after_session) return false;
  return std::ranges::all_of(found->second.unshown, [this](const auto& entry) {
    const Context* ours = durable(entry.first);
    return ours != nullptr && ours->contains(entry.second);
  });
}

// What a donor could not show it shows when what replaced it is durable.
void Synchronizer::go_on_with(NodeId peer, Time now) {
  const auto found = had_all_.find(peer);
  if (found == had_all_.end() || wanted_all_.contains(peer)) return;
  if (now - found->second.over >= options_.pull_retry_after) want_all_of(peer);
}

// --- Who is healthy ----------------------------------------------------------------------------

void Synchronizer::resynced(NodeId from, const Resynced& resynced, const Step& step) {
  if (resynced.attested_by != 0) {
    if (resynced.attested_by == from) membership_.attest(resynced.node, resynced.attestation);
    return;
  }
  const auto peer = peers_.find(from);
  if (peer == peers_.end() || resynced.node != from) return;
  peer->second.claimed = resynced.attestation;
  consider_attesting(from, peer->second, step);
}

bool Synchronizer::exchanged_since_change(const Member& member, const Peer& peer) const {
  return since_change(peer.pulled, member) && since_change(peer.claimed, member);
}

void Synchronizer::attest(NodeId node, const Step& step) {
  const Member& member = *membership_.find(node);
  const Resynced resynced{node, state_now(member), membership_.self_id()};
  membership_.attest(node, resynced.attestation);
  for (const NodeId peer : links_.linked())
    step.send(*links_.link(peer, LinkClass::control), resynced);
}

void Synchronizer::consider_attesting(NodeId node, const Peer& peer, const Step& step) {
  const MemberState own = state_of(membership_.self());
  const bool may_attest =
      own == MemberState::healthy || (own != MemberState::joining && detector_.accused_somebody());
  if (!may_attest) return;
  if (peer.member == nullptr || !unsynced(state_of(*peer.member))) return;
  if (!exchanged_since_change(*peer.member, peer)) return;
  if (own == MemberState::healthy || detector_.accused_by_us(node)) attest(node, step);
}

void Synchronizer::consider_self(const Step& step) {
  const Member& self = membership_.self();
  if (state_of(self) != MemberState::syncing || !unsynced_since_) return;
  const std::vector<NodeId> linked = links_.linked();
  const bool someone_healthy = std::ranges::any_of(
      linked, [this](NodeId node) { return membership_.state(node) == MemberState::healthy; });
  if (someone_healthy) return;
  // The dead are not waited for, linked or not: one that hears nobody calls everybody dead, so that
  // nobody is healthy, and with it nobody can exchange anything.
  const bool exchanged_with_all = std::ranges::all_of(linked, [&](NodeId node) {
    if (is_dead(node)) return true;
    const auto peer = peers_.find(node);
    return peer != peers_.end() && peer->second.pulled && peer->second.claimed &&
           since_change(peer->second.pulled_as, self);
  });
  const bool alone = membership_.active_count() == 1;
  if (alone || (exchanged_with_all && step.now - *unsynced_since_ >= options_.self_attest_after))
    attest(self.id, step);
}

}  // namespace dhrt
