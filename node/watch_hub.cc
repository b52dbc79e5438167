#include "node/watch_hub.h"

#include <algorithm>
#include <utility>

namespace dhrt {

namespace {

// Clocks of nodes differ, and a deadline is noticed a little after it has passed.
constexpr WallMilliseconds unheard_before_milliseconds = 60000;
// Of as many collections it is remembered when a deadline passed last.
constexpr std::size_t remembered_max = 10000;

}  // namespace

void WatchHub::add(const std::string& collection, unsigned loop) {
  const std::lock_guard lock(mutex_);
  ++watched_[collection].watchers[loop];
  if (count_.fetch_add(1) > 0) return;
  // While nobody watched, a loop may have kept to itself what it wrote last: it has a turn now.
  for (unsigned each = 0; each < loops_; ++each)
    post_(each, [](Watchers&) {});
}

void WatchHub::remove(const std::string& collection, unsigned loop) {
  const std::lock_guard lock(mutex_);
  const auto found = watched_.find(collection);
  OfCollection& watched = found->second;
  --watched.watchers[loop];
  count_.fetch_sub(1);
  if (std::ranges::all_of(watched.watchers, [](std::size_t count) { return count == 0; }))
    watched_.erase(found);
}

void WatchHub::heard(const std::string& collection, unsigned loop) {
  const std::lock_guard lock(mutex_);
  const auto found = watched_.find(collection);
  if (found != watched_.end()) found->second.told[loop] = false;
}

bool WatchHub::may_have_expired_since(const std::string& collection, WallMilliseconds then) const {
  const std::lock_guard lock(mutex_);
  const auto found = last_expired_.find(collection);
  const WallMilliseconds last = found == last_expired_.end() ? started_ : found->second;
  return last + unheard_before_milliseconds >= then;
}

void WatchHub::changed(const std::string& collection) {
  if (!any()) return;
  const std::lock_guard lock(mutex_);
  const auto found = watched_.find(collection);
  if (found == watched_.end()) return;
  OfCollection& watched = found->second;
  for (unsigned loop = 0; loop < watched.watchers.size(); ++loop) {
    if (watched.watchers[loop] == 0 || std::exchange(watched.told[loop], true)) continue;
    post_(loop, [collection](Watchers& watchers) { watchers.changed(collection); });
  }
}

void WatchHub::expired(const std::string& collection, Bytes key, WallMilliseconds now) {
  const std::lock_guard lock(mutex_);
  // Of who was forgotten it is not known, as of what was before the start.
  if (last_expired_.size() >= remembered_max && !last_expired_.contains(collection)) {
    last_expired_.clear();
    started_ = now;
  }
  last_expired_[collection] = now;
  if (watched_.contains(collection)) expired_[collection].emplace_back(key);
}

void WatchHub::tell_expired() {
  const std::lock_guard lock(mutex_);
  for (auto& [collection, keys] : std::exchange(expired_, {})) {
    const auto found = watched_.find(collection);
    if (found == watched_.end()) continue;
    const auto shared = std::make_shared<const Keys>(std::move(keys));
    for (unsigned loop = 0; loop < found->second.watchers.size(); ++loop) {
      if (found->second.watchers[loop] == 0) continue;
      post_(loop,
            [name = collection, shared](Watchers& watchers) { watchers.expired(name, *shared); });
    }
  }
}

void Watchers::add(const std::string& collection, Watcher& watcher) {
  by_collection_.emplace(collection, &watcher);
  hub_.add(collection, loop_);
}

void Watchers::remove(const std::string& collection, Watcher& watcher) {
  const auto [begin, end] = by_collection_.equal_range(collection);
  const auto found =
      std::find_if(begin, end, [&](const auto& entry) { return entry.second == &watcher; });
  if (found == end) return;
  by_collection_.erase(found);
  if (queued_.erase(&watcher) > 0) std::erase(waiting_, &watcher);
  invited_.erase(&watcher);
  hub_.remove(collection, loop_);
}

bool Watchers::may_look(Watcher& watcher) {
  if (!std::exchange(ends_turn_, true))
    hub_.post(loop_, [](Watchers& watchers) { watchers.next_turn(); });
  if (invited_.erase(&watcher) > 0) return true;
  if (looks_left_ > 0 && waiting_.empty()) {
    --looks_left_;
    return true;
  }
  if (queued_.insert(&watcher).second) waiting_.push_back(&watcher);
  return false;
}

// Who does not look although it was told to is one that its client does not read from: it asks
// anew.
void Watchers::next_turn() {
  ends_turn_ = false;
  looks_left_ = looks_a_turn;
  invited_.clear();
  for (; looks_left_ > 0 && !waiting_.empty(); waiting_.pop_front()) {
    --looks_left_;
    queued_.erase(waiting_.front());
    invited_.insert(waiting_.front());
    waiting_.front()->go_on();
  }
}

void Watchers::changed(const std::string& collection) {
  hub_.heard(collection, loop_);
  const auto [begin, end] = by_collection_.equal_range(collection);
  for (auto entry = begin; entry != end; ++entry)
    entry->second->changed();
}

void Watchers::expired(const std::string& collection, const std::vector<std::string>& keys) {
  const auto [begin, end] = by_collection_.equal_range(collection);
  for (auto entry = begin; entry != end; ++entry) {
    for (const std::string& key : keys)
      entry->second->expired(key);
  }
}

}  // namespace dhrt
