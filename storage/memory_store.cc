#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/collection_table.h"
#include "storage/memory_collection.h"
#include "storage/store.h"

namespace dhrt {

namespace {

class OrderedMemoryStore final : public MemoryStore {
 public:
  explicit OrderedMemoryStore(const MemoryStoreOptions& options) : options_(options) {}

  Result<Collection*> open(const OpenOptions& options) override;
  Status erase(Bytes name) override;
  Collection* find(Bytes name) override { return collections_.find(name); }
  std::vector<Collection*> collections() override { return collections_.all(); }
  Result<Position> append(Collection& collection, Batch batch) override;
  void forget_tombstones(Collection& collection, Forgettable what) override {
    static_cast<MemoryCollection&>(collection).forget_tombstones(std::move(what));
  }
  Status note_forgotten(Collection& collection, const Context& dots, std::uint64_t hlc) override {
    static_cast<MemoryCollection&>(collection).note_forgotten(dots, hlc);
    return {};
  }
  void commit() override {}
  Position collect() override;
  std::vector<std::string> take_changed() override { return collections_.take_changed(); }
  Status health() const override { return {}; }
  bool maintain(WallMilliseconds now, std::size_t records_max) override;
  Status drain() override;
  void release(Position position) override { released_ = std::max(released_, position); }
  void lose_unsynced() override;

 private:
  void take_out(Bytes name);

  MemoryStoreOptions options_;
  CollectionTable<MemoryCollection> collections_;
  // Those whose end is not on the disk yet, in the order in which they were erased, with the
  // position behind which it is.
  std::deque<std::pair<Position, std::unique_ptr<MemoryCollection>>> erased_;
  Position last_ = 0;
  Position released_ = 0;
};

Result<Collection*> OrderedMemoryStore::open(const OpenOptions& options) {
  MemoryCollection* held = collections_.find(options.ref.name);
  const auto verdict = judge_open(held, options.ref);
  if (!verdict) return tl::unexpected(verdict.error());
  if (*verdict == OpenAs::held) return held;
  take_out(options.ref.name);
  return collections_.insert(std::make_unique<MemoryCollection>(
      MemoryCollection::Options{.ref = options.ref,
                                .loses_unsynced = options_.held_back,
                                .forget_tombstones = options_.forget_tombstones}));
}

Status OrderedMemoryStore::erase(Bytes name) {
  take_out(name);
  return {};
}

void OrderedMemoryStore::take_out(Bytes name) {
  auto collection = collections_.erase(name);
  if (collection != nullptr && options_.held_back && last_ > released_)
    erased_.emplace_back(last_, std::move(collection));
}

Result<Position> OrderedMemoryStore::append(Collection& collection, Batch batch) {
  auto& target = static_cast<MemoryCollection&>(collection);
  target.append(++last_, std::move(batch));
  collections_.note_waiting(target);
  return last_;
}

Position OrderedMemoryStore::collect() {
  const Position durable = options_.held_back ? std::min(released_, last_) : last_;
  collections_.advance_waiting(durable);
  while (!erased_.empty() && erased_.front().first <= durable)
    erased_.pop_front();
  return durable;
}

bool OrderedMemoryStore::maintain(WallMilliseconds now, std::size_t records_max) {
  bool more = false;
  collections_.for_each(
      [&](MemoryCollection& collection) { more = collection.maintain(now, records_max) || more; });
  return more;
}

Status OrderedMemoryStore::drain() {
  release(last_);
  return {};
}

void OrderedMemoryStore::lose_unsynced() {
  // What was released is on the disk, even if nobody took notice.
  collect();
  // From the last to the first: what was there when the earliest end was decided is there again.
  for (; !erased_.empty(); erased_.pop_back()) {
    auto& collection = erased_.back().second;
    collection->advance(std::min(released_, last_));
    collections_.erase(collection->ref().name);
    collections_.insert(std::move(collection));
  }
  collections_.for_each([](MemoryCollection& collection) { collection.lose_unsynced(); });
  collections_.forget_waiting();
}

}  // namespace

std::unique_ptr<MemoryStore> make_memory_store(const MemoryStoreOptions& options) {
  return std::make_unique<OrderedMemoryStore>(options);
}

}  // namespace dhrt
