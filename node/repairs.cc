#include "node/repairs.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "node/log.h"

namespace dhrt {

void Repairs::look(Time now, WallMilliseconds wall) {
  now_ = now;
  wall_ = wall;
  note_new();
  if (damaged_.empty() || !parts_.view.belongs.get()) return;
  std::vector<DamagedKey> due;
  for (const auto& [key, state] : damaged_) {
    if (asked_ + due.size() >= asked_max) break;
    if (!state.asked && state.ask_at <= now) due.push_back(key);
  }
  for (const DamagedKey& key : due)
    ask(key);
}

void Repairs::note_new() {
  const std::vector<DamagedKey> found = parts_.store.take_damaged();
  if (found.empty()) return;
  for (const DamagedKey& key : found) {
    // Those for which there is no room are found again by the next start.
    if (damaged_.size() < keys_max) damaged_.try_emplace(key, State{.ask_at = now_});
  }
  log_warning("records are damaged on the disk; other nodes are asked for them",
              {{"count", std::to_string(found.size())},
               {"collection", found.front().collection},
               {"first", found.front().key}});
}

// Not if a write has replaced it, or the collection is gone.
bool Repairs::is_damaged(const DamagedKey& key) const {
  Collection* collection = parts_.store.find(key.collection);
  if (collection == nullptr) return false;
  bool damaged = false;
  const Status read = collection->read(HashedKey(key.key), [&damaged](const RecordView* held) {
    damaged = held != nullptr && held->damaged;
  });
  return damaged || !read;
}

// Nobody knows how old it is: a copy of one node may be older than what another one has.
bool Repairs::needs_all(const DamagedKey& key) const {
  Collection* collection = parts_.store.find(key.collection);
  if (collection == nullptr) return false;
  return !collection->read(HashedKey(key.key), [](const RecordView*) {});
}

void Repairs::ask(const DamagedKey& key) {
  if (!is_damaged(key)) {
    damaged_.erase(key);
    return;
  }
  if (parts_.view.alone.get()) return failed(key, false);
  damaged_[key].asked = true;
  ++asked_;
  parts_.database.ask(
      key.collection, key.key, [this, key](FanoutReply reply) { answered(key, std::move(reply)); },
      needs_all(key));
}

void Repairs::answered(const DamagedKey& key, FanoutReply reply) {
  --asked_;
  damaged_[key].asked = false;
  const bool intact = reply.record && !reply.record->damaged && !(reply.partial && needs_all(key));
  if (!intact || !apply(key, std::move(*reply.record))) return failed(key, intact || reply.partial);
  damaged_.erase(key);
  log_info("a damaged record was replaced by another node's",
           {{"collection", key.collection}, {"key", key.key}});
}

// False if it is damaged as before: what came is older, or could not be written.
bool Repairs::apply(const DamagedKey& key, Record record) {
  const Collection* collection = parts_.store.find(key.collection);
  if (collection == nullptr) return true;
  ApplyRecords pulled;
  pulled.collection = collection->ref();
  pulled.heals = true;
  pulled.records.push_back({key.key, std::move(record)});
  std::vector<Input> inputs;  // Nobody waits for it.
  parts_.driver.perform(pulled, wall_, inputs);
  return !is_damaged(key);
}

void Repairs::failed(const DamagedKey& key, bool may_be_had) {
  State& state = damaged_[key];
  const bool told = state.pause >= pause_max;
  state.pause = may_be_had ? std::min(2 * state.pause, pause_max) : pause_max;
  state.ask_at = now_ + state.pause;
  if (told || state.pause < pause_max) return;
  log_error("a damaged record cannot be replaced: no other node has an intact one",
            {{"collection", key.collection},
             {"key", key.key},
             {"do", "write or delete it, or start the node that has it"}});
}

}  // namespace dhrt
