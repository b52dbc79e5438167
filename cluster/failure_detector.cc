#include "cluster/failure_detector.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "storage/base/random.h"

namespace dhrt {

Duration suspicion_timeout(const ClusterOptions& options, std::size_t members,
                           std::size_t accusers) {
  const double scale =
      std::max(1.0, std::log10(static_cast<double>(std::max<std::size_t>(1, members))));
  const double shortest =
      static_cast<double>(options.probe_interval.count()) * options.suspicion_multiplier * scale;
  // Who speaks up at the last moment has to be heard.
  const auto time = [&](double milliseconds) {
    return Duration(static_cast<Duration::rep>(milliseconds)) + options.probe_timeout;
  };
  if (members < options.members_confirming_min) return time(shortest);
  // Lifeguard, section IV.B: the first accuser confirms nobody.
  const std::size_t confirmed = std::min(accusers == 0 ? 0 : accusers - 1, options.confirmations);
  const double longest = shortest * options.unconfirmed_multiplier;
  const double share = std::log(static_cast<double>(confirmed + 1)) /
                       std::log(static_cast<double>(options.confirmations + 1));
  return time(longest - (longest - shortest) * share);
}

void FailureDetector::link_lost(NodeId peer) {
  ask_soon(peer);
}

void FailureDetector::ask_soon(NodeId node) {
  if (std::ranges::find(urgent_, node) == urgent_.end()) urgent_.push_back(node);
}

void FailureDetector::seem_slower(std::size_t signs) {
  slowness_ =
      static_cast<unsigned>(std::min<std::size_t>(slowness_ + signs, options_.slowness_max));
}

void FailureDetector::forgive_own_stall(const Step& step) {
  // A node that starts calls those it knows; without the links it would accuse them all.
  if (!ticked_) next_probe_ = step.now + options_.first_probe_delay;
  const Duration gap = ticked_ ? step.now - *ticked_ : Duration{0};
  ticked_ = step.now;
  if (gap > options_.loop_lag_max) seem_slower(1);
  if (gap <= options_.probe_interval) return;
  probe_.reset();  // Its answer may be among what we have not read yet.
  for (auto& [node, suspicion] : suspects_)
    suspicion.since = suspicion.since + gap;
}

void FailureDetector::tick(const Said& said, const Step& step) {
  forgive_own_stall(step);
  if (probe_ && !probe_->answered && !probe_->indirect && step.now >= probe_->direct_until)
    probe_indirectly(step);
  if (probe_ && (probe_->answered || step.now >= probe_->until)) end_probe(step);
  if (!probe_ && (step.now >= next_probe_ || urgent_now())) begin_probe(said, step);
  judge_suspects(step);
  serve_relays(step);
}

// Who asked us hears in time that we hear nothing either: that we are there to say so tells it that
// its own ears are well.
void FailureDetector::serve_relays(const Step& step) {
  for (auto& [sequence, relay] : relays_) {
    if (relay.nacked || step.now < relay.nack_at) continue;
    relay.nacked = true;
    if (links_.peer_of(relay.requester))
      step.send(relay.requester, Nack{relay.sequence, relay.target});
  }
  std::erase_if(relays_, [&](const auto& entry) { return step.now >= entry.second.until; });
}

// How long a direct answer may take, as far as the peer is concerned.
Duration FailureDetector::answer_time(NodeId node) const {
  const auto usual = round_trips_.find(node);
  if (usual == round_trips_.end()) return options_.probe_timeout;
  return std::clamp(usual->second * options_.probe_round_trips, options_.probe_timeout,
                    std::max(options_.probe_timeout, options_.probe_interval / 2));
}

void FailureDetector::note_round_trip(const Probe& probe, Time now) {
  const Duration taken = now - probe.asked;
  const auto [place, is_new] = round_trips_.try_emplace(probe.target, taken);
  if (!is_new) place->second += (taken - place->second) / 8;  // As TCP smooths it, RFC 6298.
}

std::optional<NodeId> FailureDetector::next_target(const Step& step) {
  const auto askable = [this](NodeId node) {
    const Member* member = membership_.find(node);
    return member != nullptr && node != membership_.self_id() &&
           member->liveness <= Liveness::suspect;
  };
  while (urgent_now()) {
    const NodeId node = urgent_.front();
    urgent_.pop_front();
    if (!askable(node)) continue;
    was_urgent_ = true;
    return node;
  }
  was_urgent_ = false;
  for (int refills = 0; refills < 2; ++refills) {
    while (!round_.empty()) {
      const NodeId node = round_.back();
      round_.pop_back();
      if (askable(node)) return node;
    }
    for (const auto& [node, member] : membership_.members())
      round_.push_back(node);
    step.random.shuffle(round_);
  }
  return std::nullopt;
}

void FailureDetector::begin_probe(const Said& said, const Step& step) {
  const int patience = 1 + static_cast<int>(slowness_);
  const Duration interval = options_.probe_interval * patience;
  next_probe_ = step.now + interval;
  const auto target = next_target(step);
  if (!target) return;
  probe_ = Probe{.target = *target,
                 .sequence = ++sequence_,
                 .incarnation = membership_.find(*target)->incarnation,
                 .asked = step.now,
                 .direct_until = step.now + answer_time(*target) * patience,
                 .until = step.now + interval};
  if (const auto link = links_.link(*target, LinkClass::control)) {
    step.send(*link, Ping{probe_->sequence, *target, said.root, membership_.updates_for(*target),
                          said.layout, said.catch_up});
  } else {
    probe_indirectly(step);
  }
}

void FailureDetector::probe_indirectly(const Step& step) {
  probe_->indirect = true;
  std::vector<NodeId> helpers;
  for (const NodeId node : links_.linked()) {
    if (node != probe_->target && membership_.state(node) != MemberState::dead)
      helpers.push_back(node);
  }
  step.random.shuffle(helpers);
  if (helpers.size() > options_.indirect_probes) helpers.resize(options_.indirect_probes);
  for (const NodeId node : helpers) {
    step.send(*links_.link(node, LinkClass::control),
              PingRequest{probe_->sequence, probe_->target, membership_.updates_for(node)});
  }
  probe_->helpers = {helpers.begin(), helpers.end()};
}

void FailureDetector::end_probe(const Step& step) {
  const Probe probe = *probe_;
  probe_.reset();
  if (probe.answered) {
    if (slowness_ > 0) --slowness_;
    return;
  }
  // If helpers did not even say that they hear nothing, it may be us.
  seem_slower(probe.helpers.size());
  const Member* member = membership_.find(probe.target);
  if (member == nullptr || member->liveness > Liveness::suspect) return;
  // It has come back or spoken up meanwhile: the silence was that of its earlier self.
  if (member->incarnation != probe.incarnation) return;
  found_silent(*member, step);
}

void FailureDetector::found_silent(const Member& member, const Step& step) {
  membership_.suspect(member.id);
  if (!suspicion_of(member, step.now).accusers.insert(membership_.self_id()).second) return;
  for (const NodeId node : links_.linked()) {
    if (node != member.id)
      step.send(*links_.link(node, LinkClass::control), Accuse{member.id, member.incarnation});
  }
}

FailureDetector::Suspicion& FailureDetector::suspicion_of(const Member& member, Time now) {
  const auto [place, is_new] =
      suspects_.try_emplace(member.id, Suspicion{now, member.incarnation, {}});
  if (!is_new && place->second.incarnation != member.incarnation)
    place->second = {now, member.incarnation, {}};
  return place->second;
}

void FailureDetector::accuse(ConnectionId from, const Accuse& accuse, const Step& step) {
  const auto accuser = links_.peer_of(from);
  const Member* member = membership_.find(accuse.node);
  if (!accuser || member == nullptr || accuse.node == membership_.self_id()) return;
  if (member->liveness > Liveness::suspect || accuse.incarnation != member->incarnation) return;
  membership_.suspect(accuse.node);
  Suspicion& suspicion = suspicion_of(*member, step.now);
  if (suspicion.accusers.size() <= options_.confirmations) suspicion.accusers.insert(*accuser);
  if (!suspicion.accusers.contains(membership_.self_id())) ask_soon(accuse.node);
}

void FailureDetector::judge_suspects(const Step& step) {
  const bool is_news = std::exchange(judged_, membership_.changes()) != membership_.changes();
  if (!is_news && suspects_.empty()) return;
  const std::size_t members = membership_.active_count();
  for (const auto& [node, member] : membership_.members()) {
    if (member.liveness != Liveness::suspect || node == membership_.self_id()) {
      suspects_.erase(node);
      if (member.liveness == Liveness::alive && state_of(member) == MemberState::healthy)
        accused_.erase(node);
      continue;
    }
    const Suspicion& suspicion = suspicion_of(member, step.now);
    if (step.now - suspicion.since <
        suspicion_timeout(options_, members, suspicion.accusers.size()))
      continue;
    accused_.insert(node);
    membership_.declare_dead(node);
  }
}

void FailureDetector::ping(ConnectionId from, const Ping& ping, const Said& said,
                           const Step& step) {
  const auto peer = links_.peer_of(from);
  if (!peer) return;
  if (ping.target != membership_.self_id()) return;
  step.send(from, Ack{ping.sequence, ping.target, said.root, membership_.updates_for(*peer),
                      said.clock, said.layout, said.catch_up});
}

std::optional<Duration> FailureDetector::answered_after(ConnectionId from, const Ack& ack,
                                                        Time now) const {
  const bool is_answer = probe_ && ack.sequence == probe_->sequence &&
                         ack.target == probe_->target && links_.peer_of(from) == probe_->target;
  return is_answer ? std::optional(now - probe_->asked) : std::nullopt;
}

void FailureDetector::ping_request(ConnectionId from, const PingRequest& request, const Said& said,
                                   const Step& step) {
  constexpr std::size_t relays_max = 1024;  // Far above what our own nodes ask in an interval.
  const auto link = links_.link(request.target, LinkClass::control);
  if (!link || relays_.size() >= relays_max) {
    step.send(from, Nack{request.sequence, request.target});
    return;
  }
  const std::uint64_t sequence = ++sequence_;
  relays_[sequence] = {.requester = from,
                       .sequence = request.sequence,
                       .target = request.target,
                       .nack_at = step.now + options_.probe_timeout,
                       .until = step.now + options_.probe_interval};
  step.send(*link, Ping{sequence, request.target, said.root,
                        membership_.updates_for(request.target), said.layout, said.catch_up});
}

void FailureDetector::ack(ConnectionId from, const Ack& ack, const Step& step) {
  if (probe_ && ack.sequence == probe_->sequence && ack.target == probe_->target) {
    if (!probe_->answered && links_.peer_of(from) == probe_->target)
      note_round_trip(*probe_, step.now);
    probe_->answered = true;
    return;
  }
  const auto relay = relays_.find(ack.sequence);
  if (relay == relays_.end() || links_.peer_of(from) != relay->second.target) return;
  if (links_.peer_of(relay->second.requester))
    step.send(relay->second.requester, Ack{relay->second.sequence, relay->second.target, 0, {}});
  relays_.erase(relay);
}

void FailureDetector::nack(ConnectionId from, const Nack& nack) {
  const auto helper = links_.peer_of(from);
  if (probe_ && helper && nack.sequence == probe_->sequence) probe_->helpers.erase(*helper);
}

void FailureDetector::message_coming(NodeId peer, Time now) {
  if (probe_ && probe_->target == peer) probe_->answered = true;
  if (const auto suspect = suspects_.find(peer); suspect != suspects_.end())
    suspect->second.since = now;
}

}  // namespace dhrt
