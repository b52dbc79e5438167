#include "node/level_waits.h"

#include <algorithm>
#include <string>
#include <utility>

namespace dhrt {

Status LevelWaits::admit(std::size_t bytes) const {
  if (count_ < level_waits_max && bytes_ + bytes <= level_wait_bytes_max) return {};
  if (count_ == 0) return {};  // One that is larger than all may have.
  return fail(ErrorCode::busy, std::to_string(count_) + " writes of " + std::to_string(bytes_) +
                                   " bytes wait for other nodes already; nothing was written, try "
                                   "again in a moment");
}

void LevelWaits::begin(const Write& write, Done done) {
  ++count_;
  bytes_ += write.bytes;
  queued_.push_back({write, std::move(done)});
}

void LevelWaits::durable(Position position) {
  if (!any_before(position)) return;
  std::map<std::pair<bool, CollectionRef>, std::vector<Waiting>> groups;
  for (; any_before(position); queued_.pop_front()) {
    Waiting& next = queued_.front();
    const bool is_all = next.write.level == WriteLevel::all;
    groups[{is_all, next.write.last.collection}].push_back(std::move(next));
  }
  for (auto& [key, group] : groups) {
    const std::uint64_t request = ++requests_;
    const WaitForLevel wait{
        request, key.first ? WriteLevel::all : WriteLevel::quorum, {group.back().write.last}};
    asked_[request] = std::move(group);
    ask_(wait);
  }
}

void LevelWaits::answered(const LevelReached& reached) {
  const auto found = asked_.find(reached.request);
  if (found == asked_.end()) return;
  std::vector<Waiting> group = std::move(found->second);
  asked_.erase(found);
  finish(std::move(group), reached.tally);
}

void LevelWaits::disk_failed(const Error& error) {
  std::vector<Waiting> group;
  std::ranges::move(std::exchange(queued_, {}), std::back_inserter(group));
  finish(std::move(group), tl::unexpected(error));
}

void LevelWaits::finish(std::vector<Waiting> group, const Result<Tally>& outcome) {
  count_ -= group.size();
  for (const Waiting& waiting : group)
    bytes_ -= waiting.write.bytes;
  for (const Waiting& waiting : group)
    waiting.done(outcome);
}

}  // namespace dhrt
