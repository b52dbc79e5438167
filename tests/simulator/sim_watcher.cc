#include "tests/simulator/sim_watcher.h"

#include "storage/base/check.h"

namespace dhrt::simulator {

namespace {

// No record of the simulation has a deadline.
constexpr WallMilliseconds any_time = 1;

}  // namespace

void SimWatcher::look() {
  if (feed_ == nullptr || !nodes_[at_]->up() || random_.chance(0.05)) move();
  if (nodes_[at_]->up()) step();
}

void SimWatcher::move() {
  at_ = random_.below(nodes_.size());
  // A record or two, so that a round takes many steps.
  const ChangeFeed::Options options{.limits = {.records_max = random_.between(1, 3)},
                                    .intervals_max = random_.between(2, 40)};
  if (feed_ == nullptr) {
    feed_ = std::make_unique<ChangeFeed>(options, ChangeFeed::Begin::first);
    return;
  }
  ++totals_.watchers_moved;
  const FeedSubject subject{.collection = collection_, .prefix = ""};
  const auto behind = decode_feed_token(encode_feed_token(feed_->position(), subject), subject);
  check(behind.has_value(), "a token is read back");
  feed_ = std::make_unique<ChangeFeed>(options, *behind, false);
}

bool SimWatcher::step() {
  const auto step = feed_->step(nodes_[at_]->store().find(collection_), any_time);
  check(step.has_value(), "a memory store answers");
  for (const FeedEvent& event : step->events) {
    ++totals_.watched;
    if (event.kind == FeedEvent::Kind::reset)
      held_.clear();
    else if (event.kind == FeedEvent::Kind::set)
      held_[event.key] = event.record.value;
    else
      held_.erase(event.key);
  }
  return step->more;
}

std::optional<std::string> SimWatcher::disagreement() {
  look();
  while (step()) {
  }
  std::map<std::string, std::string> there;
  if (Collection* collection = nodes_[at_]->store().find(collection_)) {
    const auto slice = collection->scan({.now = any_time, .limits = {.records_max = 100000}});
    check(slice.has_value() && !slice->next, "a memory store answers");
    for (const KeyedRecord& entry : slice->records)
      there[entry.key] = entry.record.value;
  }
  if (held_ == there) return std::nullopt;
  std::string text = collection_ + " at node " + std::to_string(at_) + ":";
  for (const auto& [key, value] : there) {
    const auto held = held_.find(key);
    if (held == held_.end() || held->second != value)
      text +=
          " " + key + " is " + value + ", told " + (held == held_.end() ? "nothing" : held->second);
  }
  for (const auto& [key, value] : held_)
    if (!there.contains(key)) text += " " + key + " is gone, told " + value;
  return text;
}

}  // namespace dhrt::simulator
