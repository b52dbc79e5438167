// The collections of one store by name, and which of them wait for the disk.
//
// `T` is the store's kind of StoredCollection.
// Order: by name wherever several are named, so that a simulated run repeats exactly.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "storage/base/result.h"
#include "storage/store.h"
#include "storage/stored_collection.h"

namespace dhrt {

template <typename T>
class CollectionTable {
 public:
  T* find(Bytes name) const {
    const auto found = collections_.find(name);
    return found == collections_.end() ? nullptr : found->second.get();
  }

  T* insert(std::unique_ptr<T> collection) {
    T* inserted = collection.get();
    collections_[inserted->ref().name] = std::move(collection);
    return inserted;
  }

  // Takes it out; null if it is not there.
  std::unique_ptr<T> erase(Bytes name) {
    const auto found = collections_.find(name);
    if (found == collections_.end()) return nullptr;
    std::unique_ptr<T> erased = std::move(found->second);
    waiting_.erase(found->first);
    changed_.erase(found->first);
    collections_.erase(found);
    return erased;
  }

  std::vector<Collection*> all() const {
    std::vector<Collection*> all;
    for (const auto& [name, collection] : collections_)
      all.push_back(collection.get());
    return all;
  }

  // Calls `visit` for each collection; `visit` may neither insert nor erase.
  void for_each(const std::function<void(T&)>& visit) const {
    for (const auto& [name, collection] : collections_)
      visit(*collection);
  }

  // Something was appended to it that is not durable yet.
  void note_waiting(T& collection) { waiting_.emplace(collection.ref().name, &collection); }
  void forget_waiting() {
    waiting_.clear();
    changed_.clear();
  }

  void advance_waiting(Position durable) {
    for (auto it = waiting_.begin(); it != waiting_.end();) {
      if (it->second->advance(durable)) changed_.insert(it->first);
      it = it->second->waiting() ? std::next(it) : waiting_.erase(it);
    }
  }

  std::vector<std::string> take_changed() {
    std::vector<std::string> names(changed_.begin(), changed_.end());
    changed_.clear();
    return names;
  }

 private:
  std::map<std::string, std::unique_ptr<T>, std::less<>> collections_;
  std::map<std::string, T*> waiting_;
  std::set<std::string> changed_;
};

// What opening `ref` means when a collection of that name is held (or null): whether to keep
// the held one, to make one in its place, or to refuse.
enum class OpenAs : std::uint8_t { held, fresh };
Result<OpenAs> judge_open(const Collection* held, const CollectionRef& ref);

}  // namespace dhrt
