#include "cluster/quorum_reads.h"

#include <algorithm>
#include <utility>

#include "storage/counter.h"

namespace dhrt {

namespace {

bool must_join(const Record& one, const Record& other) {
  return must_join(view_of(one), view_of(other), CounterMistake::none);
}

// Whoever holds `held` has all that `record` says.
bool has_all(const Record& held, const Record& record) {
  return compare(held, record) == 0 || (newer(held, record) && !must_join(held, record));
}

// Under the version and the dot of the newer one: it is shown, and never stored.
Record together(const Record& one, const Record& other) {
  const JoinedRecord joined = join(view_of(one), view_of(other), CounterMistake::none);
  Record record = newer(one, other) ? one : other;
  record.deleted = joined.deleted;
  record.deadline = joined.deadline;
  record.attributes = joined.attributes;
  record.value = joined.value;
  return record;
}

}  // namespace

// Who was answered only waits for others that may lack the record.
bool QuorumReads::makes_room() {
  if (pending_.size() < options_.quorum_reads_max) return true;
  if (answered_.empty()) return false;
  erase(pending_.find(*answered_.begin()));
  return true;
}

void QuorumReads::erase(All::iterator entry) {
  for (const Part& part : entry->second.newest)
    stores_.erase(part.store);
  answered_.erase(entry->first);
  pending_.erase(entry);
}

void QuorumReads::read(const FanoutRead& read, const Step& step) {
  if (!makes_room()) {
    step.actions.emplace_back(FanoutReply{.request = read.request, .tally = quorums_.asked({})});
    return;
  }
  Pending pending{.read = read, .until = step.now + options_.read_timeout};
  std::vector<ConnectionId> links;
  bool asks_ourselves = false;
  for (const NodeId node : quorums_.nodes()) {
    const auto link = links_.link(node, LinkClass::control);
    const bool is_self = node == membership_.self_id();
    asks_ourselves = asks_ourselves || is_self;
    if (!link && !is_self) continue;
    pending.silent.insert(node);
    if (link) links.push_back(*link);
  }
  const std::uint64_t request = ++requests_;
  pending_.emplace(request, std::move(pending));
  const DurableRead question{request, read.collection, read.key, read.want};
  if (asks_ourselves) local_.read({std::nullopt, request}, question, step);
  if (!links.empty())
    step.actions.emplace_back(Send{std::move(links), std::make_shared<const Message>(question)});
}

void QuorumReads::take_part(Pending& pending, Part taken) {
  for (Part& part : pending.newest) {
    if (!has_all(part.record, taken.record)) continue;
    if (compare(part.record, taken.record) == 0) part.have.merge(taken.have);
    return;
  }
  // Who has what replaces a part is counted anew: of the others nobody said so.
  std::erase_if(pending.newest,
                [&](const Part& part) { return has_all(taken.record, part.record); });
  pending.newest.push_back(std::move(taken));
}

// A life of the collection that is over has nothing to show.
void QuorumReads::take(Pending& pending, NodeId from, const DurableReadReply& reply) const {
  pending.heard.insert(from);
  if (reply.synced || options_.level_mutant == LevelMutant::joining_votes)
    pending.voted.insert(from);
  if (reply.generation > pending.generation) {
    pending.generation = reply.generation;
    pending.newest.clear();
    pending.forgotten.clear();
    pending.forgotten_hlc = 0;
  }
  if (reply.generation < pending.generation) return;
  if (reply.record)
    take_part(pending, {.record = *reply.record, .have = {from}});
  else
    pending.without.insert(from);
  if (options_.level_mutant == LevelMutant::nothing_known) return;
  pending.forgotten_hlc = std::max(pending.forgotten_hlc, reply.forgotten.hlc);
  if (!reply.forgotten.dots.empty()) pending.forgotten[from] = reply.forgotten.dots;
  bury(pending);
}

// Who has nothing has as much as the tombstone; who has an older record does not.
void QuorumReads::bury(Pending& pending) {
  for (const Part& part : std::vector<Part>(pending.newest)) {
    Part buried{.record = tombstone_of(part.record)};
    bool is_gone = false;
    for (const auto& [node, dots] : pending.forgotten) {
      if (part.have.contains(node) || !dots.contains(part.record.dot)) continue;
      is_gone = true;
      if (pending.without.contains(node)) buried.have.insert(node);
    }
    if (!is_gone) continue;
    if (part.record.deleted) buried.record = part.record;
    take_part(pending, std::move(buried));
  }
}

void QuorumReads::answer(NodeId from, const DurableReadReply& reply, const Step& step) {
  const auto found = pending_.find(reply.request);
  if (found == pending_.end() || found->second.silent.erase(from) == 0) return;
  Pending& pending = found->second;
  if (!pending.decided) {
    take(pending, from, reply);
    decide(found, step);
    return;
  }
  for (Part& part : pending.newest) {
    const bool has =
        reply.record &&
        (reply.generation > pending.generation ||
         (reply.generation == pending.generation && has_all(*reply.record, part.record)));
    if (has)
      part.have.insert(from);
    else if (part.record.deleted || !reply.forgotten.dots.contains(part.record.dot))
      bring(found, part, {from}, step);
  }
  if (const Tally tally = held(pending); !pending.answered && tally.reached)
    finish(found, tally, step);
  end_if_over(found);
}

Tally QuorumReads::held(const Pending& pending) const {
  Tally least = quorums_.asked(pending.voted);
  for (const Part& part : pending.newest) {
    least = quorums_.held(part.have);
    if (!least.reached) break;
  }
  return least;
}

void QuorumReads::decide(All::iterator entry, const Step& step) {
  Pending& pending = entry->second;
  const Tally asked = quorums_.asked(pending.voted);
  if (!asked.reached) return;
  pending.decided = true;
  const bool brings =
      pending.read.want == ReadWant::value && options_.level_mutant != LevelMutant::no_write_back;
  const bool must_hold = brings && pending.read.level == ReadLevel::linear;
  if (!must_hold)
    finish(entry, asked, step);
  else if (const Tally tally = held(pending); tally.reached)
    finish(entry, tally, step);
  if (brings) {
    for (Part& part : pending.newest)
      bring(entry, part, pending.heard, step);
  }
  end_if_over(entry);
}

void QuorumReads::bring(All::iterator entry, Part& part, const std::set<NodeId>& to,
                        const Step& step) {
  const Pending& pending = entry->second;
  if (pending.read.want == ReadWant::version) return;
  if (part.store == 0) {
    part.store = ++requests_;
    stores_[part.store] = entry->first;
  }
  const StoreRecord store{
      part.store, {pending.read.collection, pending.generation}, {pending.read.key, part.record}};
  std::vector<ConnectionId> links;
  for (const NodeId node : to) {
    if (part.have.contains(node)) continue;
    if (node == membership_.self_id())
      local_.store({std::nullopt, part.store}, store, step);
    else if (const auto link = links_.link(node, LinkClass::control))
      links.push_back(*link);
  }
  if (!links.empty())
    step.actions.emplace_back(Send{std::move(links), std::make_shared<const Message>(store)});
}

void QuorumReads::stored(NodeId from, const StoreReply& reply, const Step& step) {
  const auto store = stores_.find(reply.request);
  if (store == stores_.end() || !reply.stored) return;
  const auto found = pending_.find(store->second);
  Pending& pending = found->second;
  for (Part& part : pending.newest) {
    if (part.store == reply.request) part.have.insert(from);
  }
  if (pending.answered) return;
  if (const Tally tally = held(pending); tally.reached) finish(found, tally, step);
  end_if_over(found);
}

void QuorumReads::finish(All::iterator entry, const Tally& tally, const Step& step) {
  Pending& pending = entry->second;
  if (pending.answered) return;
  pending.answered = true;
  answered_.insert(entry->first);
  FanoutReply reply{.request = pending.read.request, .tally = tally};
  if (tally.reached) {
    reply.forgotten_hlc = pending.forgotten_hlc;
    for (const Part& part : pending.newest) {
      if (!reply.record || !must_join(*reply.record, part.record)) {
        if (!reply.record || newer(part.record, *reply.record)) reply.record = part.record;
      } else {
        reply.record = together(*reply.record, part.record);
      }
    }
  }
  step.actions.emplace_back(std::move(reply));
}

// Late answers may still show that somebody lacks the record.
void QuorumReads::end_if_over(All::iterator entry) {
  if (entry->second.answered && entry->second.silent.empty()) erase(entry);
}

// It says nothing any more.
void QuorumReads::link_lost(NodeId peer) {
  for (auto next = pending_.begin(); next != pending_.end();) {
    const auto entry = next++;
    if (entry->second.silent.erase(peer) != 0) end_if_over(entry);
  }
}

void QuorumReads::link_established(NodeId peer, const Step& step) {
  const auto link = links_.link(peer, LinkClass::control);
  const std::vector<NodeId> nodes = quorums_.nodes();
  if (!link || std::ranges::find(nodes, peer) == nodes.end()) return;
  for (auto& [request, pending] : pending_) {
    if (pending.answered || pending.decided || pending.heard.contains(peer)) continue;
    pending.silent.insert(peer);
    const FanoutRead& read = pending.read;
    step.send(*link, DurableRead{request, read.collection, read.key, read.want});
  }
}

void QuorumReads::voters_changed(const Step& step) {
  for (auto next = pending_.begin(); next != pending_.end();) {
    const auto entry = next++;
    Pending& pending = entry->second;
    if (pending.answered) continue;
    if (!pending.decided) {
      decide(entry, step);
    } else if (const Tally tally = held(pending); tally.reached) {
      finish(entry, tally, step);
      end_if_over(entry);
    }
  }
}

void QuorumReads::tick(const Step& step) {
  while (!pending_.empty() && step.now >= pending_.begin()->second.until) {
    const auto entry = pending_.begin();
    const Pending& pending = entry->second;
    finish(entry, pending.decided ? held(pending) : quorums_.asked(pending.voted), step);
    erase(entry);
  }
}

}  // namespace dhrt
