#include "node/redis_figures.h"

#include <algorithm>
#include <bit>
#include <utility>

#include "node/redis_table.h"

namespace dhrt {

namespace {

constexpr std::uint64_t nanoseconds_per_microsecond = 1000;

std::size_t bucket_of(std::uint64_t nanoseconds) {
  const std::uint64_t microseconds =
      (nanoseconds + nanoseconds_per_microsecond - 1) / nanoseconds_per_microsecond;
  const auto bucket =
      static_cast<std::size_t>(std::bit_width(std::max<std::uint64_t>(microseconds, 1) - 1));
  return std::min(bucket, latency_buckets - 1);
}

void subtract(RedisCommandCounts& counts, const RedisCommandCounts& before) {
  counts.calls -= before.calls;
  counts.nanoseconds -= before.nanoseconds;
  counts.rejected -= before.rejected;
  counts.failed -= before.failed;
  for (std::size_t i = 0; i < latency_buckets; ++i)
    counts.by_time[i] -= before.by_time[i];
}

}  // namespace

void RedisLoopFigures::ran(std::size_t command, std::uint64_t calls, std::uint64_t nanoseconds,
                           bool failed) {
  if (calls == 0) return;
  OfCommand& counters = commands_[command];
  counters.calls += calls;
  counters.nanoseconds += nanoseconds;
  if (failed) ++counters.failed;
  counters.by_time[bucket_of(nanoseconds / calls)] += calls;
}

void RedisLoopFigures::add_to(std::span<RedisCommandCounts> sums) const {
  for (std::size_t command = 0; command < commands_.size(); ++command) {
    const OfCommand& counters = commands_[command];
    RedisCommandCounts& sum = sums[command];
    sum.calls += counters.calls;
    sum.nanoseconds += counters.nanoseconds;
    sum.rejected += counters.rejected;
    sum.failed += counters.failed;
    for (std::size_t i = 0; i < latency_buckets; ++i)
      sum.by_time[i] += counters.by_time[i];
  }
}

// --- Of all loops ---------------------------------------------------------------------------

RedisFigures::RedisFigures(unsigned loops) : before_(redis_commands().size()) {
  for (unsigned loop = 0; loop < loops; ++loop)
    loops_.push_back(std::make_unique<RedisLoopFigures>(redis_commands().size()));
}

std::vector<RedisCommandCounts> RedisFigures::counted() const {
  std::vector<RedisCommandCounts> sums(redis_commands().size());
  for (const auto& loop : loops_)
    loop->add_to(sums);
  return sums;
}

std::vector<RedisCommandCounts> RedisFigures::commands() const {
  const std::lock_guard lock(mutex_);
  std::vector<RedisCommandCounts> sums = counted();
  for (std::size_t i = 0; i < sums.size(); ++i)
    subtract(sums[i], before_[i]);
  return sums;
}

// The first word says what kind of error it is.
void RedisFigures::failed_with(Bytes message) {
  const std::string kind(message.substr(0, message.find(' ')));
  const std::lock_guard lock(mutex_);
  if (errors_.size() < error_kinds_max || errors_.contains(kind)) ++errors_[kind];
}

std::map<std::string, std::uint64_t> RedisFigures::errors() const {
  const std::lock_guard lock(mutex_);
  return errors_;
}

void RedisFigures::reset() {
  const std::lock_guard lock(mutex_);
  before_ = counted();
  errors_.clear();
}

// --- What is slow ---------------------------------------------------------------------------

void RedisSlowLog::add(Entry entry, std::size_t entries_max) {
  const std::lock_guard lock(mutex_);
  entry.id = ids_++;
  entries_.push_front(std::move(entry));
  while (entries_.size() > entries_max)
    entries_.pop_back();
}

std::vector<RedisSlowLog::Entry> RedisSlowLog::newest(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const auto end = entries_.begin() + static_cast<std::ptrdiff_t>(std::min(count, entries_.size()));
  return {entries_.begin(), end};
}

std::size_t RedisSlowLog::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

void RedisSlowLog::clear() {
  const std::lock_guard lock(mutex_);
  entries_.clear();
}

void RedisLatency::add(const std::string& name, Sample sample) {
  const std::lock_guard lock(mutex_);
  Event& event = events_[name];
  event.milliseconds_max = std::max(event.milliseconds_max, sample.milliseconds);
  if (!event.samples.empty() && event.samples.back().unix_seconds == sample.unix_seconds) {
    Sample& last = event.samples.back();
    last.milliseconds = std::max(last.milliseconds, sample.milliseconds);
    return;
  }
  event.samples.push_back(sample);
  if (event.samples.size() > samples_max) event.samples.pop_front();
}

std::map<std::string, RedisLatency::Event> RedisLatency::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::size_t RedisLatency::reset(const std::vector<std::string>& names) {
  const std::lock_guard lock(mutex_);
  if (names.empty()) return std::exchange(events_, {}).size();
  std::size_t count = 0;
  for (const std::string& name : names)
    count += events_.erase(name);
  return count;
}

}  // namespace dhrt
