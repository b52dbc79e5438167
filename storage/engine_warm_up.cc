// After a start the file's records come into memory by and by, so that reads need not ask the file.
#include <array>
#include <utility>

#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr std::size_t records_at_once = 256;

}  // namespace

Result<bool> EngineCollection::warm_up(std::string& from) {
  if (from.empty()) {
    departed_.store(false);
    warm_up_missed_ = false;
  }
  // What leaves memory from here on may be newer than what is read below.
  std::array<std::uint64_t, stripe_count> departures{};
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const std::lock_guard lock(shared_.stripes[i].lock);
    departures[i] = shared_.stripes[i].departures;
  }
  std::vector<std::pair<std::string, std::string>> records;
  const Status status = file()->scan(file_reader(), from, false, [&](Bytes key, Bytes encoded) {
    records.emplace_back(key, encoded);
    return records.size() < records_at_once;
  });
  if (!status) return tl::unexpected(status.error());
  const auto limit = static_cast<std::int64_t>(shared_.options.cache_bytes);
  for (const auto& [key, encoded] : records) {
    if (shared_.cache_bytes.load(std::memory_order_relaxed) >= limit) return false;
    if (!warm(key, encoded, departures)) warm_up_missed_ = true;
  }
  if (records.size() == records_at_once) {
    from = records.back().first + '\0';
    return true;
  }
  if (!warm_up_missed_) {
    set_complete(true);
    if (departed_.load()) set_complete(false);
  }
  return false;
}

// False if memory may lack it afterwards.
bool EngineCollection::warm(Bytes bytes, Bytes encoded,
                            const std::array<std::uint64_t, stripe_count>& departures) {
  const HashedKey key(bytes);
  const auto record = decode(bytes, encoded);
  const std::size_t stripe = stripe_of(key.hash);
  const std::lock_guard lock(shared_.stripes[stripe].lock);
  if (table_.find(key) != nullptr) return true;
  if (shared_.stripes[stripe].departures != departures[stripe]) return false;
  judge(bytes, record);
  if (!record) return false;
  insert_clean(key, *record);
  return true;
}

}  // namespace dhrt
