#include "tests/simulator/session_desk.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"
#include "tests/simulator/sim_node.h"

namespace dhrt::simulator {

namespace {

// As node/session_waits.cc has it.
constexpr std::uint64_t look_milliseconds = 5;

}  // namespace

SessionDesk::SessionDesk(SimNode& node)
    : node_(node),
      database_(
          {*node.store_, *node.catalog_, *node.writer_, *node.driver_, view_, clock_, figures_}, "",
          [this](FanoutRead read) { ask(std::move(read)); }) {}

void SessionDesk::begin_turn() {
  const Core& core = *node_.core_;
  view_.belongs.set(core.belongs());
  view_.healthy.set(core.state() == MemberState::healthy);
  view_.alone.set(std::ranges::all_of(core.members(), [&](const auto& entry) {
    return entry.first == core.self().id || entry.second.liveness >= Liveness::left;
  }));
  view_.fenced.set(core.clocks().fenced());
  clock_.show(node_.wall());
}

void SessionDesk::end_turn() {
  database_.publish();
  node_.after_turn();
}

void SessionDesk::ask(FanoutRead read) {
  const std::uint64_t request = ++node_.requests_;
  node_.reads_[request] = [this, number = read.request](const FanoutReply& reply) {
    FanoutReply own = reply;
    own.request = number;
    begin_turn();
    database_.fanout_reply(std::move(own));
    end_turn();
  };
  read.request = request;
  node_.input(std::move(read));
}

bool SessionDesk::has_ended(const Origin& origin) const {
  return has_ended_everywhere(origin, node_.core_->members(), node_.core_->agrees_with_all());
}

void SessionDesk::receive(SessionRequest request, Done done) {
  auto token = SessionToken::parse(request.token);
  check(token.has_value(), "a token is read back");
  const Number number = ++numbers_;
  open_[number] = {std::move(request), *std::move(token), std::move(done)};
  look(number);
}

void SessionDesk::end() {
  while (!open_.empty())
    answer(open_.begin()->first, SessionAnswer::Kind::cut_off);
}

// The desk ends with this start of the node.
void SessionDesk::look_again(Number number) {
  node_.world_.schedule.in(look_milliseconds, [this, &node = node_, number, life = node_.life_] {
    if (life == node.life_ && node.up()) look(number);
  });
}

// That something is lost is said to who waited, not at once.
void SessionDesk::look(Number number) {
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  Open& open = found->second;
  const Time now = node_.world_.schedule.now();
  if (now < node_.paused_until_) return look_again(number);
  if (!node_.serves()) return answer(number, SessionAnswer::Kind::refused);
  begin_turn();
  const auto ended = [this](const Origin& origin) { return has_ended(origin); };
  open.answer.look = SessionRule(database_, ended).look(open.token, {open.request.collection});
  const SessionSight sight = open.answer.look.sight;
  const bool serves =
      sight == SessionSight::seen || node_.world_.options.mutant == Mutant::session_unwaited;
  if (serves || sight == SessionSight::lost) note_sight(open);
  if (serves) return serve(number);
  if (!std::exchange(open.waited, true)) {
    ++node_.world_.totals.session_waits;
    return look_again(number);
  }
  if (sight == SessionSight::lost) return answer(number, SessionAnswer::Kind::lost);
  if (now >= open.request.until) return answer(number, SessionAnswer::Kind::not_yet);
  look_again(number);
}

void SessionDesk::note_sight(Open& open) {
  if (const Collection* const held = database_.find(open.request.collection))
    open.answer.seen = held->seen();
  for (const auto& [collection, tips] : open.token.seen()) {
    for (const auto& [origin, sequence] : tips)
      if (has_ended(origin)) open.answer.ended.insert(origin);
  }
  for (const auto& [id, member] : node_.core_->members()) {
    if (member.liveness == Liveness::evicted) open.answer.evicted.insert(id);
  }
}

void SessionDesk::serve(Number number) {
  switch (open_.at(number).request.kind) {
    case SessionRequest::Kind::get:
      get(number);
      break;
    case SessionRequest::Kind::set:
      set(number);
      break;
    case SessionRequest::Kind::remove:
      remove(number);
      break;
  }
  end_turn();
}

void SessionDesk::saw(Number number, const Dot& dot) {
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  Open& open = found->second;
  open.answer.dot = dot;
  open.answer.collection = shown_in(database_, open.request.collection);
  const bool forgets = node_.world_.options.mutant == Mutant::session_reads_forgotten;
  if (!forgets || open.answer.wrote) open.token.saw(open.answer.collection, dot);
}

void SessionDesk::get(Number number) {
  const SessionRequest& request = open_.at(number).request;
  database_.read(request.collection, request.key, request.from,
                 [this, number](const Result<Database::Found>& found) {
                   if (!found) return answer(number, SessionAnswer::Kind::refused);
                   if (const auto open = open_.find(number); open != open_.end())
                     open->second.answer.record = found->record;
                   saw(number, found->dot);
                   answer(number, SessionAnswer::Kind::done);
                 });
}

void SessionDesk::set(Number number) {
  const SessionRequest& request = open_.at(number).request;
  const auto held = node_.find(request.collection, request.key);
  // As all here make it.
  Collection* const place = view_.belongs.get() ? node_.place_for(request.collection) : nullptr;
  if (place == nullptr) return answer(number, SessionAnswer::Kind::refused);
  const auto written = database_.set(request.collection, request.key, request.value, {});
  if (!written) return answer(number, SessionAnswer::Kind::refused);
  if (const auto now = node_.find(request.collection, request.key))
    node_.check_version(*place, held, *now, 0);
  wrote(number, {request.collection, request.key}, written->dot, written->position);
}

void SessionDesk::remove(Number number) {
  const SessionRequest& request = open_.at(number).request;
  const Place where{request.collection, request.key};
  database_.remove(where.collection, where.key,
                   [this, number, where](const Result<Database::Removed>& removed) {
                     if (!removed) return answer(number, SessionAnswer::Kind::refused);
                     if (removed->position != 0)
                       return wrote(number, where, removed->dot, removed->position);
                     saw(number, removed->dot);
                     answer(number, SessionAnswer::Kind::done);
                   });
}

// It is answered when it is durable.
void SessionDesk::wrote(Number number, const Place& where, const Dot& dot, Position position) {
  const Collection* const place = database_.find(where.collection);
  const auto held = node_.find(where.collection, where.key);
  const bool is_there = place != nullptr && held && held->dot == dot;
  const bool forgets = node_.world_.options.mutant == Mutant::no_tombstone;
  check(is_there || forgets, "what was written is there");
  if (!is_there) return answer(number, SessionAnswer::Kind::refused);
  const KeyedRecord record{where.key, *held};
  node_.world_.history.assigned(place->ref(), record, place->seen(),
                                node_.core_->state() == MemberState::joining, true);
  if (const auto open = open_.find(number); open != open_.end()) open->second.answer.wrote = true;
  saw(number, dot);
  node_.waiting_.emplace(position, [this, number, record, collection = where.collection] {
    node_.world_.history.acknowledged(node_.index_, collection, record);
    answer(number, SessionAnswer::Kind::done);
  });
}

void SessionDesk::answer(Number number, SessionAnswer::Kind kind) {
  const auto found = open_.find(number);
  if (found == open_.end()) return;
  Open open = std::move(found->second);
  open_.erase(found);
  open.answer.kind = kind;
  open.answer.token = open.token.text();
  open.done(open.answer);
}

}  // namespace dhrt::simulator
