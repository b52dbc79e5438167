#include "cluster/membership.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace dhrt {

namespace {

// What no honest node can have said is left out; the rest of the record may still be true.
Member without_contradictions(Member record) {
  record.died = std::min(record.died, record.incarnation);
  const bool synced_ahead =
      record.synced.epoch > record.epoch || record.synced.incarnation > record.incarnation;
  if (synced_ahead) record.synced = {};
  return record;
}

}  // namespace

Membership::Membership(Member self) : self_(self.id) {
  members_.emplace(self_, std::move(self));
}

const Member* Membership::find(NodeId node) const {
  const auto found = members_.find(node);
  return found == members_.end() ? nullptr : &found->second;
}

MemberState Membership::state(NodeId node) const {
  const Member* member = find(node);
  return member == nullptr ? MemberState::evicted : state_of(*member);
}

std::size_t Membership::active_count() const {
  if (!active_count_)
    active_count_ = static_cast<std::size_t>(std::ranges::count_if(
        members_, [](const auto& entry) { return entry.second.liveness < Liveness::left; }));
  return *active_count_;
}

void Membership::changed(NodeId node) {
  ++changes_;
  active_count_.reset();
  changed_.insert(node);
  // Each rumour is passed on O(log n) times, which reaches everybody with high probability
  // (SWIM, section 4.1).
  rumours_[node] = 3 * static_cast<unsigned>(std::bit_width(members_.size()));
}

bool Membership::apply(const Member& told) {
  if (told.id == 0 || told.incarnation > incarnation_max) return false;
  const Member record = without_contradictions(told);
  if (record.id == self_) return apply_to_self(record);
  const auto [place, is_new] = members_.try_emplace(record.id, record);
  if (!is_new && !merge(place->second, record)) return false;
  changed(record.id);
  return true;
}

// Attestations are welcome, accusations are answered.
bool Membership::apply_to_self(const Member& record) {
  Member& ours = members_.at(self_);
  const Member before = ours;
  ours.synced = std::max(ours.synced, record.synced);
  ours.died = std::max(ours.died, record.died);
  const bool accused = record.liveness != Liveness::alive && ours.liveness == Liveness::alive &&
                       record.incarnation >= ours.incarnation;
  // An incarnation above ours, that we never took: the wall clock went back between two starts.
  const bool overtaken = record.incarnation > ours.incarnation;
  if (accused || overtaken) ours.incarnation = record.incarnation + 1;
  accused_ = accused_ || accused;
  // An attestation counts only from an incarnation above the one that died.
  if (ours.died != 0 && ours.died >= ours.incarnation) ours.incarnation = ours.died + 1;
  if (ours == before) return false;
  changed(self_);
  return true;
}

void Membership::suspect(NodeId node) {
  Member& member = members_.at(node);
  if (member.liveness != Liveness::alive) return;
  member.liveness = Liveness::suspect;
  changed(node);
}

void Membership::declare_dead(NodeId node) {
  Member& member = members_.at(node);
  if (member.liveness >= Liveness::dead) return;
  member.liveness = Liveness::dead;
  member.died = std::max(member.died, member.incarnation);
  changed(node);
}

void Membership::attest(NodeId node, const Attestation& attestation) {
  const auto found = members_.find(node);
  if (found == members_.end() || found->second.synced >= attestation) return;
  // About a state of the member that we have not heard of: its record comes with the attestation
  // in the attester's next rumour, or nobody was ever in that state.
  const Member& member = found->second;
  if (attestation.epoch > member.epoch || attestation.incarnation > member.incarnation) return;
  found->second.synced = attestation;
  changed(node);
}

void Membership::mark_left(NodeId node, std::uint64_t incarnation) {
  const auto found = members_.find(node);
  if (found == members_.end() || node == self_ || incarnation > incarnation_max) return;
  Member record = found->second;
  record.incarnation = incarnation;
  record.liveness = Liveness::left;
  if (merge(found->second, record)) changed(node);
}

void Membership::evict(NodeId node) {
  const auto found = members_.find(node);
  if (found == members_.end() || node == self_) return;
  Member& member = found->second;
  if (member.liveness != Liveness::dead && member.liveness != Liveness::left) return;
  member.liveness = Liveness::evicted;
  changed(node);
}

void Membership::set_own_address(const std::string& address) {
  Member& self = members_.at(self_);
  if (self.address == address) return;
  self.address = address;
  ++self.incarnation;
  changed(self_);
}

void Membership::restore(const std::vector<Member>& members) {
  for (const Member& member : members) {
    if (member.id != self_ && member.id != 0) members_.try_emplace(member.id, member);
    // That it was attested once is what lets a node vouch for itself when it starts alone.
    Member& self = members_.at(self_);
    if (member.id != self_) continue;
    self.synced = std::max(self.synced, without_contradictions(member).synced);
  }
  ++changes_;
  active_count_.reset();
}

void Membership::leave() {
  members_.at(self_).liveness = Liveness::left;
  changed(self_);
}

std::vector<Member> Membership::updates_for(NodeId to) {
  std::vector<Member> updates;
  if (const Member* accused = find(to); accused != nullptr && accused->liveness != Liveness::alive)
    updates.push_back(*accused);
  // What was told least goes first.
  std::vector<std::pair<unsigned, NodeId>> order;
  for (const auto& [node, times] : rumours_)
    order.emplace_back(times, node);
  std::ranges::sort(order, [](const auto& left, const auto& right) {
    return left.first != right.first ? left.first > right.first : left.second < right.second;
  });
  for (const auto& [times, node] : order) {
    if (updates.size() >= updates_per_message_max) break;
    if (node != to) updates.push_back(members_.at(node));
    if (times <= 1)
      rumours_.erase(node);
    else
      rumours_[node] = times - 1;
  }
  return updates;
}

std::set<NodeId> Membership::take_changed() {
  return std::exchange(changed_, {});
}

}  // namespace dhrt
