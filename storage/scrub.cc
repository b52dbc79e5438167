#include "storage/scrub.h"

#include <algorithm>
#include <utility>

#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr Duration pass_interval{std::chrono::hours(24)};
// The rate is kept on the average over this long: who was late is not late for ever.
constexpr Duration lateness_max{100};

}  // namespace

void Scrub::tick(Time now) {
  if (shared_.options.scrub_bytes_per_second == 0 || !shared_.on_disk()) return;
  if (!in_pass_ && !begins_pass(now)) return;
  if (now >= next_slice_) next_slice(now);
}

bool Scrub::begins_pass(Time now) {
  if (std::exchange(ever_, true) && now - began_ < pass_interval) return false;
  began_ = now;
  in_pass_ = true;
  next_slice_ = now;
  next_file();
  collections_.clear();
  for (const SharedCollection& collection : shared_.all()) {
    if (collection->file() != nullptr) collections_.push_back(collection->ref().name);
  }
  return true;
}

void Scrub::next_file() {
  in_records_ = false;
  place_ = {};
  from_.clear();
}

// Of the last collection of the list. False when there is nothing more to read of it.
Result<bool> Scrub::read_slice(std::size_t bytes_max, EngineCollection::Scrubbed& done) {
  const SharedCollection collection = shared_.find(collections_.back());
  if (collection == nullptr) return false;
  if (in_records_) return collection->scrub(from_, bytes_max, done);
  const auto more = collection->scrub_pages(place_, bytes_max, done);
  if (more && !*more) in_records_ = true;
  return more ? Result<bool>(true) : more;
}

void Scrub::next_slice(Time now) {
  const std::size_t rate = shared_.options.scrub_bytes_per_second;
  // A slow pass takes smaller slices rather than longer breaks.
  const std::size_t bytes_max = std::clamp<std::size_t>(rate / 10, 1, slice_bytes_max);
  EngineCollection::Scrubbed done;
  if (!collections_.empty()) {
    const auto more = read_slice(bytes_max, done);
    if (!more) shared_.scrub_failures.fetch_add(1);
    if (!more || !*more) {
      collections_.pop_back();
      next_file();
    }
  }
  shared_.scrubbed_records.fetch_add(done.records);
  shared_.scrubbed_bytes.fetch_add(done.bytes);
  const Duration taken{static_cast<std::int64_t>(done.bytes * 1000 / rate)};
  next_slice_ = std::max(next_slice_, now + (-lateness_max)) + taken;
  if (!collections_.empty()) return;
  in_pass_ = false;
  shared_.scrub_passes.fetch_add(1);
}

}  // namespace dhrt
