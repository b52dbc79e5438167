#include "cluster/failure_detector.h"

#include <algorithm>
#include <cmath>

#include "storage/base/random.h"

namespace dhrt {

Duration suspicion_timeout(const ClusterOptions& options, std::size_t members) {
  const double scale =
      std::max(1.0, std::log10(static_cast<double>(std::max<std::size_t>(1, members))));
  const double milliseconds =
      static_cast<double>(options.probe_interval.count()) * options.suspicion_multiplier * scale;
  return Duration(static_cast<Duration::rep>(milliseconds));
}

void FailureDetector::link_lost(NodeId peer) {
  if (std::ranges::find(urgent_, peer) == urgent_.end()) urgent_.push_back(peer);
}

void FailureDetector::forgive_own_stall(const Step& step) {
  // A node that starts calls those it knows; without the links it would accuse them all.
  if (!ticked_) next_probe_ = step.now + options_.first_probe_delay;
  const Duration gap = ticked_ ? step.now - *ticked_ : Duration{0};
  ticked_ = step.now;
  if (gap <= options_.probe_interval) return;
  probe_.reset();  // Its answer may be among what we have not read yet.
  for (auto& [node, suspicion] : suspects_)
    suspicion.since = suspicion.since + gap;
}

void FailureDetector::tick(std::uint64_t root, const Step& step) {
  forgive_own_stall(step);
  if (probe_ && !probe_->answered && !probe_->indirect && step.now >= probe_->direct_until)
    probe_indirectly(step);
  if (probe_ && (probe_->answered || step.now >= probe_->until)) end_probe();
  if (!probe_ && (step.now >= next_probe_ || urgent_now())) begin_probe(root, step);
  judge_suspects(step);
  std::erase_if(relays_, [&](const auto& entry) { return step.now >= entry.second.until; });
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

void FailureDetector::begin_probe(std::uint64_t root, const Step& step) {
  next_probe_ = step.now + options_.probe_interval;
  const auto target = next_target(step);
  if (!target) return;
  probe_ = Probe{.target = *target,
                 .sequence = ++sequence_,
                 .incarnation = membership_.find(*target)->incarnation,
                 .direct_until = step.now + options_.probe_timeout,
                 .until = step.now + options_.probe_interval};
  if (const auto link = links_.link(*target, LinkClass::control)) {
    step.send(*link, Ping{probe_->sequence, *target, root, membership_.updates_for(*target)});
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
}

void FailureDetector::end_probe() {
  const Probe probe = *probe_;
  probe_.reset();
  if (probe.answered) return;
  const Member* member = membership_.find(probe.target);
  if (member == nullptr || member->liveness != Liveness::alive) return;
  // It has come back or spoken up meanwhile: the silence was that of its earlier self.
  if (member->incarnation != probe.incarnation) return;
  membership_.suspect(probe.target);
}

void FailureDetector::judge_suspects(const Step& step) {
  const Duration patience = suspicion_timeout(options_, membership_.active_count());
  for (const auto& [node, member] : membership_.members()) {
    if (member.liveness != Liveness::suspect || node == membership_.self_id()) {
      suspects_.erase(node);
      if (member.liveness == Liveness::alive && state_of(member) == MemberState::healthy)
        accused_.erase(node);
      continue;
    }
    const auto [place, is_new] =
        suspects_.try_emplace(node, Suspicion{step.now, member.incarnation});
    Suspicion& suspicion = place->second;
    if (suspicion.incarnation != member.incarnation) suspicion = {step.now, member.incarnation};
    if (step.now - suspicion.since < patience) continue;
    accused_.insert(node);
    membership_.declare_dead(node);
  }
}

void FailureDetector::ping(ConnectionId from, const Ping& ping, std::uint64_t root,
                           const Step& step) {
  const auto peer = links_.peer_of(from);
  if (!peer) return;
  if (ping.target != membership_.self_id()) return;
  step.send(from, Ack{ping.sequence, ping.target, root, membership_.updates_for(*peer)});
}

void FailureDetector::ping_request(ConnectionId from, const PingRequest& request,
                                   std::uint64_t root, const Step& step) {
  constexpr std::size_t relays_max = 1024;  // Far above what our own nodes ask in an interval.
  const auto link = links_.link(request.target, LinkClass::control);
  if (!link || relays_.size() >= relays_max) {
    step.send(from, Nack{request.sequence, request.target});
    return;
  }
  const std::uint64_t sequence = ++sequence_;
  relays_[sequence] = {from, request.sequence, request.target, step.now + options_.probe_interval};
  step.send(*link, Ping{sequence, request.target, root, membership_.updates_for(request.target)});
}

void FailureDetector::ack(ConnectionId from, const Ack& ack, const Step& step) {
  if (probe_ && ack.sequence == probe_->sequence && ack.target == probe_->target) {
    probe_->answered = true;
    return;
  }
  const auto relay = relays_.find(ack.sequence);
  if (relay == relays_.end() || links_.peer_of(from) != relay->second.target) return;
  if (links_.peer_of(relay->second.requester))
    step.send(relay->second.requester, Ack{relay->second.sequence, relay->second.target, 0, {}});
  relays_.erase(relay);
}

void FailureDetector::message_coming(NodeId peer, Time now) {
  if (probe_ && probe_->target == peer) probe_->answered = true;
  if (const auto suspect = suspects_.find(peer); suspect != suspects_.end())
    suspect->second.since = now;
}

}  // namespace dhrt
