#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/collection_table.h"
#include "storage/data_directory.h"
#include "storage/lmdb_collection.h"
#include "storage/lmdb_committer.h"
#include "storage/memory_collection.h"
#include "storage/store.h"

namespace dhrt {

namespace {

class LmdbStore final : public Store {
 public:
  LmdbStore(LmdbStoreOptions options, std::unique_ptr<DataDirectory> directory)
      : options_(std::move(options)),
        directory_(std::move(directory)),
        committer_({.wake = options_.wake, .before_sync = options_.before_sync}) {}

  // Opens every file in the directory.
  Status load();

  Result<Collection*> open(const OpenOptions& options) override;
  Status erase(Bytes name) override;
  Collection* find(Bytes name) override { return collections_.find(name); }
  std::vector<Collection*> collections() override { return collections_.all(); }
  Result<Position> append(Collection& collection, Batch batch) override;
  void commit() override;
  Position collect() override;
  std::vector<std::string> take_changed() override { return collections_.take_changed(); }
  Status health() const override { return committer_.health(); }
  bool maintain(WallMilliseconds now, std::size_t records_max) override;
  Status drain() override;

 private:
  LmdbEnv::Options file_of(const std::string& name) const {
    return {.path = directory_->file_of(name), .map_bytes_initial = options_.map_bytes_initial};
  }
  Result<std::unique_ptr<StoredCollection>> make(const OpenOptions& options);
  // Null if it is not in a file.
  static LmdbCollection* in_file(Collection& collection) {
    return collection.in_memory() ? nullptr : static_cast<LmdbCollection*>(&collection);
  }

  LmdbStoreOptions options_;
  std::unique_ptr<DataDirectory> directory_;
  CollectionTable<StoredCollection> collections_;
  std::map<std::string, LmdbCollection*> uncommitted_;  // Appended to since the last commit().
  Position last_ = 0;
  Position handed_over_ = 0;
  LmdbCommitter committer_;  // Ends first: its thread uses what is above.
};

Status LmdbStore::load() {
  const auto names = directory_->collections();
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    auto collection = LmdbCollection::open(file_of(name));
    if (!collection) return tl::unexpected(collection.error());
    if (*collection == nullptr) {
      if (auto status = directory_->remove(name); !status) return status;
      continue;
    }
    if ((*collection)->ref().name != name) {
      return fail(ErrorCode::corrupt, (*collection)->path() + " holds the collection '" +
                                          (*collection)->ref().name +
                                          "'; give the file that name back, or move it away");
    }
    collections_.insert(std::move(*collection));
  }
  return {};
}

Result<std::unique_ptr<StoredCollection>> LmdbStore::make(const OpenOptions& options) {
  if (options.memory)
    return std::make_unique<MemoryCollection>(MemoryCollection::Options{.ref = options.ref});
  auto collection = LmdbCollection::create(file_of(options.ref.name), options.ref);
  if (!collection) return tl::unexpected(collection.error());
  if (auto status = directory_->sync(); !status) return tl::unexpected(status.error());
  return std::move(*collection);
}

Result<Collection*> LmdbStore::open(const OpenOptions& options) {
  StoredCollection* held = collections_.find(options.ref.name);
  const auto verdict = judge_open(held, options.ref);
  if (!verdict) return tl::unexpected(verdict.error());
  if (*verdict == OpenAs::held) return held;
  if (auto status = erase(options.ref.name); !status) return tl::unexpected(status.error());
  auto made = make(options);
  if (!made) return tl::unexpected(made.error());
  return collections_.insert(std::move(*made));
}

Status LmdbStore::erase(Bytes name) {
  const std::unique_ptr<StoredCollection> erased = collections_.erase(name);
  if (erased == nullptr || erased->in_memory()) return {};
  uncommitted_.erase(erased->ref().name);
  // The committer may still write to it: it keeps the file open, which now has no name.
  return directory_->remove(erased->ref().name);
}

Result<Position> LmdbStore::append(Collection& collection, Batch batch) {
  if (committer_.failed()) return tl::unexpected(health().error());
  if (LmdbCollection* target = in_file(collection)) {
    if (auto status = target->append(last_ + 1, std::move(batch)); !status)
      return tl::unexpected(status.error());
    if (target->changed()) uncommitted_.emplace(target->ref().name, target);
  } else {
    static_cast<MemoryCollection&>(collection).append(last_ + 1, std::move(batch));
  }
  collections_.note_waiting(static_cast<StoredCollection&>(collection));
  return ++last_;
}

void LmdbStore::commit() {
  if (handed_over_ == last_) return;
  handed_over_ = last_;
  LmdbGroup group{.position = last_, .works = {}};
  for (const auto& [name, collection] : uncommitted_)
    group.works.push_back(collection->take_work());
  uncommitted_.clear();
  committer_.submit(std::move(group));
}

Position LmdbStore::collect() {
  const Position durable = committer_.durable();
  collections_.advance_waiting(durable);
  return durable;
}

bool LmdbStore::maintain(WallMilliseconds now, std::size_t records_max) {
  bool more = false;
  collections_.for_each([&](StoredCollection& collection) {
    LmdbCollection* target = in_file(collection);
    if (target == nullptr) {
      more = static_cast<MemoryCollection&>(collection).maintain(now, records_max) || more;
      return;
    }
    auto tombstones = target->overdue(now, records_max, more);
    // Work that may wait: what cannot be read or written today is tried again tomorrow.
    if (!tombstones || tombstones->empty()) return;
    Batch batch;
    batch.puts = std::move(*tombstones);
    if (!append(collection, std::move(batch))) more = false;
  });
  return more && !committer_.failed();
}

Status LmdbStore::drain() {
  commit();
  return committer_.wait(last_);
}

}  // namespace

Result<std::unique_ptr<Store>> open_lmdb_store(const LmdbStoreOptions& options) {
  auto directory = DataDirectory::open(options.directory);
  if (!directory) return tl::unexpected(directory.error());
  auto store = std::make_unique<LmdbStore>(options, std::move(*directory));
  if (auto status = store->load(); !status) return tl::unexpected(status.error());
  return store;
}

}  // namespace dhrt
