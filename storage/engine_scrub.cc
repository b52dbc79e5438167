// A collection looks for damage in its file, and knows what is damaged.
//
// Intuition: a record that is not as it was written is never shown; its key is noted until
// something intact takes its place: a newer write, the same write from a peer, or the copy that
// is still in memory.
#include <algorithm>
#include <utility>

#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr std::size_t page_bytes = 4096;  // Of most machines; the others have larger slices.

}  // namespace

void EngineCollection::judge(Bytes key, const Result<RecordView>& record) {
  const bool bad = record ? record->damaged : record.error().code == ErrorCode::corrupt;
  if (!bad || !damaged_.note(key)) return;
  shared_.quarantined.fetch_add(1, std::memory_order_relaxed);
  shared_.damaged_news.store(true);
}

void EngineCollection::note_health(Part& part, const Entry& entry, bool damaged,
                                   bool held_nothing) {
  if (damaged) {
    judge(entry.key(), fail(ErrorCode::corrupt, "it came like that"));
    return;
  }
  if (damaged_.none() || !damaged_.resolve(entry.key())) return;
  shared_.healed.fetch_add(1, std::memory_order_relaxed);
  // What did not decode is not held by anybody, but is among what was counted in the file.
  if (held_nothing) part.tally.remove({.dot = entry.dot(), .deleted = false, .bytes = 0});
}

Result<bool> EngineCollection::scrub_pages(LmdbPlace& place, std::size_t bytes_max,
                                           Scrubbed& done) {
  if (file() == nullptr || erased()) return false;
  return file()->inspect(place, std::max<std::size_t>(bytes_max / page_bytes, 1), done.bytes);
}

Result<bool> EngineCollection::scrub(std::string& from, std::size_t bytes_max, Scrubbed& done) {
  if (file() == nullptr || erased()) return false;
  std::vector<std::string> suspects;
  std::string last;
  bool more = false;
  const std::uint64_t bytes_before = done.bytes;
  const auto verify = [&](Bytes key, Bytes encoded) {
    if (done.bytes - bytes_before >= bytes_max) {
      more = true;
      return false;
    }
    ++done.records;
    done.bytes += key.size() + encoded.size();
    const auto view = decode_record_view(
        encoded, key, [this](OriginAlias alias) { return origins_.origin(alias); });
    if (!view || view->damaged) suspects.emplace_back(key);
    last.assign(key);
    return true;
  };
  if (auto status = file()->scan(file_reader(), from, !from.empty(), verify); !status)
    return tl::unexpected(status.error());
  for (const std::string& key : suspects) {
    if (auto status = examine(key); !status) return tl::unexpected(status.error());
  }
  from = std::move(last);
  return more;
}

// Something is wrong with what the file holds of a key, or was a moment ago.
Status EngineCollection::examine(const std::string& bytes) {
  const HashedKey key(bytes);
  Stripe& stripe = shared_.stripes.of(key);
  std::string encoded;
  std::unique_lock lock(stripe.lock);
  for (std::uint64_t departures = stripe.departures + 1; departures != stripe.departures;) {
    departures = stripe.departures;
    lock.unlock();
    const auto found = load(bytes, encoded);
    if (!found) return tl::unexpected(found.error());
    if (!*found) return {};
    const auto record = decode(bytes, encoded);
    const bool intact = record && !record->damaged;
    if (intact) return {};
    if (!record && record.error().code != ErrorCode::corrupt) return tl::unexpected(record.error());
    lock.lock();
    Entry* const held = table_.find(key);
    if (held == nullptr) {
      if (departures == stripe.departures) judge(bytes, record);
      continue;
    }
    const RecordView view = held->view(*origins_.origin(held->dot().origin));
    // What is not in the file yet will take its place; what is damaged in memory is known.
    if (held->is(Entry::dirty) || view.damaged) return {};
    judge(bytes, record);
    // The same write, as it was before the file was damaged.
    ByteChanges changes;
    put(key, view, held->dot().origin, held->is(Entry::unseen) ? Entry::unseen : 0, {}, changes);
    changes.add_to(shared_);
    mark_stale();
    return {};
  }
  return {};
}

}  // namespace dhrt
