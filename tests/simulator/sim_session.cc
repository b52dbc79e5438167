#include "tests/simulator/sim_session.h"

#include <algorithm>
#include <utility>

#include "storage/base/check.h"

namespace dhrt::simulator {

namespace {

// Somebody who asks for an answer gives up some time after the node should have.
constexpr Duration gives_up_after = 3s;
constexpr std::uint64_t patience_min_milliseconds = 100;
constexpr std::uint64_t patience_max_milliseconds = 2000;
constexpr Duration patience_when_whole = 10s;
// In a row; then it is tried without what is waited for (node/README.md, Sessions).
constexpr std::uint64_t timeouts_max = 4;

SessionToken token_of(const SessionRequest& request) {
  auto token = SessionToken::parse(request.token);
  check(token.has_value(), "a token is read back");
  return *std::move(token);
}

}  // namespace

void SimSession::begin() {
  world_.schedule.in(random_.between(0, sooner(5000)), [this] { next(); });
}

void SimSession::end() {
  ended_ = true;
  asking_ = false;
}

void SimSession::begin_anew() {
  token_.clear();
  floors_.clear();
  timeouts_ = 0;
}

void SimSession::violated(const std::string& what) {
  world_.history.violated("SESS", "session " + name_ + " at " +
                                      std::to_string(world_.schedule.now().since_start.count()) +
                                      " ms: " + what);
}

// What others do, too, and often the same key as before: what was written a moment ago and is
// still under way.
SessionRequest SimSession::some_request() {
  using Kind = SessionRequest::Kind;
  SessionRequest request{.collection = std::string(default_collection)};
  const std::uint64_t dice = random_.below(100);
  if (world_.options.second_collection && dice < 20) request.collection = "second";
  const std::uint64_t keys = random_.chance(0.6) ? 1 : world_.options.keys;
  request.key = "k" + std::to_string(random_.below(keys));
  const std::uint64_t does = random_.below(100);
  if (does < 28) {
    request.kind = Kind::set;
    request.value = "s" + name_ + "-" + std::to_string(++values_);
  } else if (does < 40) {
    request.kind = Kind::remove;
  } else if (world_.options.counters && dice < 35) {
    request.collection = "counters";
    request.key = "n" + std::to_string(random_.below(3));  // The next one has deadlines.
  } else if (world_.options.levels && dice < 45) {
    request.collection = "registers";
    request.key = "r" + std::to_string(random_.below(2));
  }
  if (random_.chance(0.3)) request.from = Database::ReadFrom::here;
  const auto patience = random_.between(patience_min_milliseconds, patience_max_milliseconds);
  request.until = world_.schedule.now() + Duration(static_cast<Duration::rep>(patience));
  return request;
}

void SimSession::next() {
  if (!questions_.empty()) {
    const Question question = std::move(questions_.back());
    questions_.pop_back();
    return ask(question.node, question.request);
  }
  if (ended_) return;
  const bool any_serves =
      std::ranges::any_of(world_.nodes, [](const auto& node) { return node->serves(); });
  std::uint64_t pause = random_.between(0, 25);
  if (in_a_row_ == 0 || !any_serves) {
    in_a_row_ = random_.between(3, 12);
    pause = sooner(random_.between(500, 5000));
  }
  --in_a_row_;
  world_.schedule.in(pause, [this] {
    if (ended_) return;
    const std::size_t node = random_.below(world_.nodes.size());
    if (!world_.nodes[node]->serves()) return next();
    ask(node, some_request());
  });
}

void SimSession::ask(std::size_t node, SessionRequest request) {
  request.token = token_;
  asking_ = true;
  const std::uint64_t number = ++asked_;
  world_.schedule.at(request.until + gives_up_after, [this, number] {
    if (number != asked_ || !std::exchange(asking_, false)) return;
    ++world_.totals.session_timeouts;
    next();
  });
  world_.nodes[node]->receive(request, [this, number, node, request](const SessionAnswer& answer) {
    if (number != asked_ || !std::exchange(asking_, false)) return;
    take(node, request, answer);
    next();
  });
}

void SimSession::take(std::size_t node, const SessionRequest& request,
                      const SessionAnswer& answer) {
  if (answer.kind == SessionAnswer::Kind::lost) {
    ++world_.totals.sessions_lost;
    check_lost(request, answer);
    return begin_anew();
  }
  if (answer.kind == SessionAnswer::Kind::not_yet) {
    ++world_.totals.session_timeouts;
    if (ended_)
      violated("all is well, and still node " + std::to_string(node) +
               " has not seen what the session saw in " + request.collection);
    if (++timeouts_ >= timeouts_max) begin_anew();
  }
  if (answer.kind != SessionAnswer::Kind::done) return;
  timeouts_ = 0;
  ++(answer.wrote ? world_.totals.session_writes : world_.totals.session_reads);
  token_ = answer.token;
  check_closed(request, answer);
  if (const auto wrong = floors_.take(request, answer))
    violated("by node " + std::to_string(node) + " " + *wrong);
  // What it shows is in no life of the collection that there is (node/README.md, Sessions).
  if (floors_.met_a_drop()) begin_anew();
}

// That something is nowhere is said of all nodes but those that were given up; who joined through
// one of them, or is linked with it still, may have got it there.
void SimSession::is_nowhere(const CollectionRef& collection, const Dot& dot,
                            const SessionAnswer& answer) {
  const auto has_it = [&](NodeId id) {
    const Collection* const place = world_.nodes[id - 1]->store().find(collection.name);
    return place != nullptr && place->ref() == collection && place->seen().contains(dot);
  };
  if (std::ranges::any_of(answer.evicted, has_it)) return;
  for (NodeId id = 1; id <= world_.nodes.size(); ++id) {
    if (has_it(id))
      violated("write " + std::to_string(dot.sequence) + " of node " +
               std::to_string(dot.origin.node - 1) + " in " + collection.name +
               " is said to be nowhere, but node " + std::to_string(id - 1) + " has it");
  }
}

void SimSession::check_lost(const SessionRequest& request, const SessionAnswer& answer) {
  const SessionToken token = token_of(request);
  for (const auto& [collection, tips] : token.seen()) {
    const auto tip = tips.find(answer.look.origin);
    if (collection.name == answer.look.collection && tip != tips.end())
      is_nowhere(collection, {tip->first, tip->second}, answer);
  }
}

// It was served although something before the numbers in its token is missing.
void SimSession::check_closed(const SessionRequest& request, const SessionAnswer& answer) {
  if (answer.look.sight != SessionSight::seen) return;
  const SessionToken token = token_of(request);
  for (const auto& [collection, tips] : token.seen()) {
    if (collection.name != request.collection || collection != answer.collection) continue;
    for (const auto& [origin, sequence] : tips) {
      const IntervalSet* const own = answer.seen.find(origin);
      if (own == nullptr) continue;
      for (std::uint64_t gap = own->next_absent(1); gap < sequence; gap = own->next_absent(gap + 1))
        is_nowhere(collection, {origin, gap}, answer);
    }
  }
}

void SimSession::read_everywhere() {
  for (std::size_t node = 0; node < world_.nodes.size(); ++node) {
    for (const auto& [key, floor] : floors_.floors())
      questions_.push_back({node,
                            {.collection = key.collection,
                             .key = key.key,
                             .until = world_.schedule.now() + patience_when_whole}});
  }
  next();
}

}  // namespace dhrt::simulator
