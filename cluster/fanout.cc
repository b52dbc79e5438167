#include "cluster/fanout.h"

#include <utility>

namespace dhrt {

void Fanout::read(const FanoutRead& read, const Step& step) {
  if (clients_ >= options_.fanout_reads_max) {
    step.actions.emplace_back(FanoutReply{read.request, std::nullopt, true});
    return;
  }
  ++clients_;
  const auto [round, fresh] =
      rounds_.try_emplace(Subject{read.collection, read.key, read.waits_for_all});
  round->second.next.push_back(read.request);
  if (fresh) ask(round, step);
}

// For all that wait. Nobody to ask: they are answered.
void Fanout::ask(Rounds::iterator round, const Step& step) {
  const std::uint64_t number = ++asked_;
  round->second.latest = number;
  Question question{.subject = round->first,
                    .clients = std::exchange(round->second.next, {}),
                    .until = step.now + options_.read_timeout};
  std::vector<ConnectionId> links;
  for (const auto& [node, member] : membership_.members()) {
    if (node == membership_.self_id() || member.liveness >= Liveness::left) continue;
    const auto link = links_.link(node, LinkClass::control);
    const bool asked = link && state_of(member) == MemberState::healthy;
    // A joining node holds nothing that others do not; anybody else may.
    if (!asked && state_of(member) != MemberState::joining) question.partial = true;
    if (!asked) continue;
    question.silent.insert(node);
    links.push_back(*link);
  }
  const auto added = questions_.emplace(number, std::move(question)).first;
  if (links.empty()) return finish(added, std::nullopt, step);
  step.actions.emplace_back(Send{
      std::move(links), std::make_shared<const Message>(Read{number, round->first.collection,
                                                             round->first.key, ReadWant::value})});
}

void Fanout::finish(Questions::iterator question, std::optional<Record> record, const Step& step) {
  const std::uint64_t number = question->first;
  const Question ended = std::move(question->second);
  questions_.erase(question);
  for (const std::uint64_t client : ended.clients)
    step.actions.emplace_back(FanoutReply{client, record, ended.partial});
  clients_ -= ended.clients.size();
  const auto round = rounds_.find(ended.subject);
  if (round == rounds_.end() || round->second.latest != number) return;
  if (round->second.next.empty())
    rounds_.erase(round);
  else
    ask(round, step);
}

void Fanout::reply(NodeId from, const ReadReply& reply, const Step& step) {
  const auto found = questions_.find(reply.request);
  if (found == questions_.end() || found->second.silent.erase(from) == 0) return;
  Question& question = found->second;
  if (reply.record && (!question.newest || newer(*reply.record, *question.newest))) {
    if (!reply.record->deleted && !question.subject.waits_for_all) {
      finish(found, reply.record, step);
      return;
    }
    question.newest = reply.record;
  }
  if (!reply.synced && (!reply.record || question.subject.waits_for_all)) question.partial = true;
  if (question.silent.empty()) finish(found, question.newest, step);
}

void Fanout::link_lost(NodeId peer, const Step& step) {
  // Those that are asked meanwhile are younger, and do not ask it: its link is gone.
  for (auto entry = questions_.begin(); entry != questions_.end();) {
    const auto current = entry++;
    Question& question = current->second;
    if (question.silent.erase(peer) == 0) continue;
    question.partial = true;
    if (question.silent.empty()) finish(current, question.newest, step);
  }
}

void Fanout::tick(const Step& step) {
  while (!questions_.empty() && step.now >= questions_.begin()->second.until) {
    questions_.begin()->second.partial = true;
    finish(questions_.begin(), questions_.begin()->second.newest, step);
  }
  // A member that does not answer holds up those that asked it, not those that came later: what
  // they look for may have been written since.
  for (auto entry = rounds_.begin(); entry != rounds_.end();) {
    const auto round = entry++;
    if (!round->second.next.empty()) ask(round, step);
  }
}

}  // namespace dhrt
