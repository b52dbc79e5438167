#include "cluster/stability.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace dhrt {

namespace {

// Contexts of one message; they are some hundred bytes each.
constexpr std::size_t vectors_per_report_max = 256;

constexpr Duration say_again_after = std::chrono::seconds(10);

}  // namespace

std::uint64_t digest_of(const Context& durable, const Context& flushed) {
  return durable.hash() ^ std::rotl(flushed.hash(), 1);
}

void Stability::tick(const std::set<NodeId>& compared, std::uint64_t root, bool clock_is_wrong,
                     const Step& step) {
  if (step.now < next_) return;
  next_ = step.now + options_.report_interval;
  const bool looks_at_all = step.now >= next_again_;
  if (looks_at_all) {
    // A report may have come before its collection. Who agrees needs none.
    next_again_ = step.now + say_again_after;
    for (auto& [peer, told] : told_) {
      const auto agreed = agreed_.find(peer);
      if (agreed != agreed_.end() && agreed->second == root) continue;
      told.digests.clear();
      told.knows_what_is_due = false;
    }
  }
  send_reports(step);
  if (clock_is_wrong) return;
  if (looks_at_all) {
    // And what was said is said again: a tombstone may have been ahead of our clock.
    for (const auto& [name, mirror] : mirrors_)
      look_at(name, mirror, compared, true, step);
  } else {
    for (const std::string& name : touched_) {
      const auto mirror = mirrors_.find(name);
      if (mirror != mirrors_.end()) look_at(name, mirror->second, compared, false, step);
    }
  }
  touched_.clear();
}

void Stability::store_changed(const std::string& name) {
  touched_.insert(name);
  for (auto& [peer, told] : told_)
    told.due.insert(name);
}

void Stability::look_at(const std::string& name, const Mirror& mirror,
                        const std::set<NodeId>& compared, bool again, const Step& step) {
  for (auto& [peer, of_peer] : heard_) {
    const auto heard = of_peer.find(name);
    if (heard != of_peer.end()) promote(heard->second, mirror.durable);
  }
  Context dots = everywhere(name, mirror, compared);
  if (dots.empty()) return;
  Said& said = said_[name];
  if (options_.remember_deletes > Duration::zero()) {
    if (!said.waits || step.now - said.everywhere_since >= options_.remember_deletes) {
      said.remembered = std::exchange(said.waits, dots).value_or(Context());
      said.everywhere_since = step.now;
    }
    // Somebody may have lost some of it, or have come.
    dots.intersect(said.remembered);
    if (dots.empty()) return;
  }
  if (said.dots == dots && !again) return;
  said.dots = dots;
  step.actions.emplace_back(ForgetTombstones{{name, mirror.generation}, std::move(dots)});
}

void Stability::send_reports(const Step& step) {
  for (const NodeId peer : links_.linked()) {
    const Member* member = membership_.find(peer);
    if (member == nullptr || !can_compare(*member)) continue;
    Told& told = told_[peer];
    if (!std::exchange(told.knows_what_is_due, true)) {
      for (const auto& [name, mirror] : mirrors_)
        told.due.insert(name);
    }
    Report report;
    while (!told.due.empty() && report.vectors.size() < vectors_per_report_max) {
      const auto next = told.due.upper_bound(told.last);
      told.last =
          std::move(told.due.extract(next != told.due.end() ? next : told.due.begin()).value());
      const std::string& name = told.last;
      const auto mirror = mirrors_.find(name);
      if (mirror == mirrors_.end()) continue;
      const Mirror& held = mirror->second;
      const auto known = told.digests.find(name);
      if (known != told.digests.end() && known->second == held.digest()) continue;
      told.digests[name] = held.digest();
      report.vectors.push_back({{name, held.generation}, held.durable});
    }
    if (!report.vectors.empty())
      step.send(*links_.link(peer, LinkClass::control), std::move(report));
  }
}

bool Stability::report(NodeId peer, const Report& report) {
  bool has_all = true;
  for (const Report::Vector& vector : report.vectors) {
    const auto mirror = mirrors_.find(vector.collection.name);
    if (mirror == mirrors_.end() || mirror->second.generation != vector.collection.generation)
      continue;
    Heard& heard = heard_[peer][vector.collection.name];
    if (heard.generation != vector.collection.generation)
      heard = {.generation = vector.collection.generation};
    touched_.insert(vector.collection.name);
    has_all = has_all && vector.durable.contains(heard.last);
    heard.last = vector.durable;
    if (options_.mutate_forget_early) {
      heard.counts = vector.durable;
      continue;
    }
    (heard.waits ? heard.behind : heard.waits) = vector.durable;
    promote(heard, mirror->second.durable);
  }
  return has_all;
}

void Stability::agrees(NodeId peer, std::uint64_t root) {
  const Member* member = membership_.find(peer);
  if (member == nullptr || !can_compare(*member)) return;
  const auto [agreed, is_new] = agreed_.try_emplace(peer, root);
  if (!is_new && std::exchange(agreed->second, root) == root) return;
  for (const auto& [name, mirror] : mirrors_) {
    heard_[peer][name] = {
        .generation = mirror.generation, .last = mirror.durable, .counts = mirror.durable};
    touched_.insert(touched_.end(), name);
  }
}

void Stability::promote(Heard& heard, const Context& durable) const {
  while (heard.waits && durable.contains(*heard.waits)) {
    heard.counts = std::move(heard.waits);
    heard.waits = std::exchange(heard.behind, std::nullopt);
  }
}

Context Stability::everywhere(const std::string& name, const Mirror& mirror,
                              const std::set<NodeId>& compared) const {
  Context dots = mirror.durable;
  for (const auto& [node, member] : membership_.members()) {
    if (node == membership_.self_id() || member.liveness == Liveness::evicted) continue;
    if (options_.mutate_forget_absent && !links_.link(node, LinkClass::control)) continue;
    const auto peer = heard_.find(node);
    if (peer == heard_.end() || !compared.contains(node)) return {};
    const auto heard = peer->second.find(name);
    const bool counts = heard != peer->second.end() &&
                        heard->second.generation == mirror.generation && heard->second.counts;
    if (!counts) return {};
    dots.intersect(*heard->second.counts);
  }
  return dots;
}

bool Stability::has_lost(NodeId peer, const CollectionRef& collection,
                         const Context& durable) const {
  const auto of_peer = heard_.find(peer);
  if (of_peer == heard_.end()) return false;
  const auto heard = of_peer->second.find(collection.name);
  return heard != of_peer->second.end() && heard->second.generation == collection.generation &&
         !durable.contains(heard->second.last);
}

void Stability::forget(NodeId peer) {
  heard_.erase(peer);
  told_.erase(peer);
  agreed_.erase(peer);
}

void Stability::link_lost(NodeId peer) {
  told_.erase(peer);
  agreed_.erase(peer);
  const auto found = heard_.find(peer);
  if (found == heard_.end()) return;
  for (auto& [name, heard] : found->second) {
    heard.counts.reset();
    heard.waits.reset();
    heard.behind.reset();
  }
}

void Stability::collection_gone(const CollectionRef& collection) {
  for (auto& [peer, of_peer] : heard_)
    of_peer.erase(collection.name);
  for (auto& [peer, told] : told_)
    told.digests.erase(collection.name);
  said_.erase(collection.name);
  agreed_.clear();
}

}  // namespace dhrt
