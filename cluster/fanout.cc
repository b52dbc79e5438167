#include "cluster/fanout.h"

#include <utility>

namespace dhrt {

void Fanout::read(const FanoutRead& read, const Step& step) {
  Pending pending{.client_request = read.request,
                  .waits_for_all = read.waits_for_all,
                  .until = step.now + options_.read_timeout};
  std::vector<ConnectionId> links;
  for (const auto& [node, member] : membership_.members()) {
    if (node == membership_.self_id() || member.liveness >= Liveness::left) continue;
    const auto link = links_.link(node, LinkClass::control);
    const bool asked = link && state_of(member) == MemberState::healthy;
    // A joining node holds nothing that others do not; anybody else may.
    if (!asked && state_of(member) != MemberState::joining) pending.partial = true;
    if (!asked) continue;
    pending.silent.insert(node);
    links.push_back(*link);
  }
  if (links.empty() || pending_.size() >= options_.fanout_reads_max) {
    const bool refused = !links.empty();
    step.actions.emplace_back(FanoutReply{read.request, std::nullopt, pending.partial || refused});
    return;
  }
  const std::uint64_t request = ++requests_;
  pending_.emplace(request, std::move(pending));
  step.actions.emplace_back(Send{
      std::move(links),
      std::make_shared<const Message>(Read{request, read.collection, read.key, ReadWant::value})});
}

void Fanout::finish(std::map<std::uint64_t, Pending>::iterator pending,
                    std::optional<Record> record, const Step& step) {
  step.actions.emplace_back(
      FanoutReply{pending->second.client_request, std::move(record), pending->second.partial});
  pending_.erase(pending);
}

void Fanout::reply(NodeId from, const ReadReply& reply, const Step& step) {
  const auto found = pending_.find(reply.request);
  if (found == pending_.end() || found->second.silent.erase(from) == 0) return;
  Pending& pending = found->second;
  if (reply.record && (!pending.newest || newer(*reply.record, *pending.newest))) {
    if (!reply.record->deleted && !pending.waits_for_all) {
      finish(found, reply.record, step);
      return;
    }
    pending.newest = reply.record;
  }
  if (!reply.synced && (!reply.record || pending.waits_for_all)) pending.partial = true;
  if (pending.silent.empty()) finish(found, pending.newest, step);
}

void Fanout::link_lost(NodeId peer, const Step& step) {
  for (auto entry = pending_.begin(); entry != pending_.end();) {
    const auto current = entry++;
    Pending& pending = current->second;
    if (pending.silent.erase(peer) == 0) continue;
    pending.partial = true;
    if (pending.silent.empty()) finish(current, pending.newest, step);
  }
}

void Fanout::tick(const Step& step) {
  while (!pending_.empty() && step.now >= pending_.begin()->second.until) {
    pending_.begin()->second.partial = true;
    finish(pending_.begin(), pending_.begin()->second.newest, step);
  }
}

}  // namespace dhrt
