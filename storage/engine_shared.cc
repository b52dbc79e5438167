#include "storage/engine_shared.h"

#include <limits>

#include "storage/base/check.h"
#include "storage/engine_collection.h"

namespace dhrt {

namespace {

std::unique_ptr<EvictionPolicy> make_policy(Eviction eviction, std::size_t stripe) {
  if (eviction == Eviction::none) return nullptr;
  return eviction == Eviction::lru ? make_sampled_lru(stripe + 1) : make_s3_fifo();
}

}  // namespace

unsigned file_reader() {
  static std::atomic<unsigned> threads{0};
  static thread_local const unsigned number = threads.fetch_add(1) % file_readers;
  return number;
}

EngineShared::EngineShared(const EngineOptions& with)
    : options(with), owners_(std::make_unique<std::atomic<EngineCollection*>[]>(owners_max)) {
  for (unsigned loop = 0; loop < options.loops; ++loop)
    loops.push_back(std::make_unique<LoopShared>());
  for (std::size_t i = 0; i < stripe_count; ++i) {
    // What is in a file may always leave memory.
    const bool by_recency = options.cache_eviction == Eviction::lru;
    if (on_disk())
      of_stripe[i].cache = make_policy(by_recency ? Eviction::lru : Eviction::s3fifo, i);
    of_stripe[i].memory = make_policy(options.memory_eviction, i);
  }
}

LmdbEnv::Options EngineShared::file_options(const std::string& name) const {
  return {.path = directory->file_of(name),
          .map_bytes_initial = options.map_bytes_initial,
          .readers = file_readers};
}

Status EngineShared::health() const {
  for (const auto& log : logs) {
    if (auto status = log->health(); !status) return status;
  }
  return {};
}

void EngineShared::wake(unsigned loop) const {
  if (loop < options.wake.size() && options.wake[loop]) options.wake[loop]();
}

bool EngineShared::have_published(const std::vector<Position>& positions) const {
  for (std::size_t loop = 0; loop < positions.size(); ++loop) {
    if (loops[loop]->published.load(std::memory_order_acquire) < positions[loop]) return false;
  }
  return true;
}

void EngineShared::advance(unsigned loop) {
  LoopShared& of = *loops[loop];
  const std::lock_guard lock(of.mutex);
  const Position synced =
      log(loop) != nullptr ? log(loop)->synced() : std::numeric_limits<Position>::max();
  Position published = of.published.load(std::memory_order_relaxed);
  bool tell_main = false;
  while (!of.unpublished.empty() && of.unpublished.front().logged <= synced &&
         have_published(of.unpublished.front().others)) {
    for (ContextGain& gain : of.unpublished.front().gains) {
      const SharedCollection& collection = gain.collection;
      const bool only_own = gain.seen.empty() && gain.flushed.empty();
      if (!collection->contexts().publish(loop, gain.own_last, gain.seen, gain.flushed)) continue;
      collection->mark_stale();
      note_changed(collection);
      // What a loop wrote itself is told by who wrote it, or found by loop 0 in its next turn.
      tell_main = tell_main || !only_own;
    }
    published = of.unpublished.front().position;
    of.unpublished.pop_front();
  }
  // Behind the contexts: who sees it, sees them.
  of.published.store(published, std::memory_order_release);
  if (tell_main && loop != 0) wake(0);
}

std::vector<Position> EngineShared::published() const {
  std::vector<Position> positions;
  for (const auto& loop : loops)
    positions.push_back(loop->published.load());
  return positions;
}

void EngineShared::note_changed(const SharedCollection& collection) {
  const std::lock_guard lock(changed_mutex_);
  if (!collection->erased()) changed_.insert(collection->ref().name);
}

std::vector<std::string> EngineShared::take_changed() {
  const std::lock_guard lock(changed_mutex_);
  std::vector<std::string> names(changed_.begin(), changed_.end());
  changed_.clear();
  return names;
}

void EngineShared::reckon_pressure() {
  if (!on_disk()) return;
  if (!failed.load(std::memory_order_relaxed) && !health()) failed.store(true);
  const auto limit = static_cast<std::int64_t>(options.unflushed_max);
  const bool refuses = unflushed_bytes.load(std::memory_order_relaxed) >= limit;
  if (refuses != refuses_writes.load(std::memory_order_relaxed))
    refuses_writes.store(refuses, std::memory_order_relaxed);
}

SharedCollection EngineShared::find(Bytes name) const {
  const std::shared_lock lock(structure);
  const auto found = collections.find(name);
  return found == collections.end() ? nullptr : found->second;
}

std::vector<SharedCollection> EngineShared::all() const {
  const std::shared_lock lock(structure);
  std::vector<SharedCollection> all;
  for (const auto& [name, collection] : collections)
    all.push_back(collection);
  return all;
}

SharedCollection EngineShared::make(const CollectionRef& ref, bool memory) {
  std::uint32_t number = next_owner_;
  while (owner(number) != nullptr)
    number = (number + 1) % owners_max;
  next_owner_ = (number + 1) % owners_max;
  auto made = std::make_shared<EngineCollection>(*this, ref, memory, number);
  owners_[number].store(made.get(), std::memory_order_release);
  collections[ref.name] = made;
  structure_version.fetch_add(1);
  return made;
}

void EngineShared::retire(const SharedCollection& collection) {
  collection->set_erased();
  owners_[collection->number()].store(nullptr, std::memory_order_release);
  Retired retired{.collection = collection, .turns = {}};
  const std::string name = collection->ref().name;
  collection->take_weight();
  collections.erase(name);
  // First this, then the turns: who still goes by what it knew before is in one of these turns.
  structure_version.fetch_add(1);
  for (const auto& loop : loops)
    retired.turns.push_back(loop->turns.load());
  retired_.push_back(std::move(retired));
  const std::lock_guard lock(changed_mutex_);
  changed_.erase(name);
}

void EngineShared::bury_retired() {
  std::vector<Retired> dead;
  {
    const std::unique_lock lock(structure);
    const auto passed = [this](const Retired& retired) {
      for (std::size_t i = 0; i < loops.size(); ++i) {
        if (loops[i]->turns.load() <= retired.turns[i]) return false;
      }
      return true;
    };
    for (std::size_t i = 0; i < retired_.size();) {
      if (!passed(retired_[i])) {
        ++i;
        continue;
      }
      dead.push_back(std::move(retired_[i]));
      retired_.erase(retired_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  // Their records go here, outside of the lock.
}

}  // namespace dhrt
