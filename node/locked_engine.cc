#include "node/locked_engine.h"

#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace dhrt {

namespace {

using Lock = std::lock_guard<std::recursive_mutex>;

class LockedCollection final : public Collection {
 public:
  LockedCollection(std::recursive_mutex& mutex, Collection& inner)
      : mutex_(mutex), ref_(inner.ref()), in_memory_(inner.in_memory()), inner_(&inner) {}

  // Null when it was erased; a loop may hold it until its turn ends.
  Collection* inner() const { return inner_; }
  void erased() { inner_ = nullptr; }

  const CollectionRef& ref() const override { return ref_; }
  bool in_memory() const override { return in_memory_; }
  Result<std::optional<Record>> find(Bytes key) override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? Result<std::optional<Record>>() : inner_->find(key);
  }
  Result<ScanSlice> scan(const ScanRequest& request) override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? Result<ScanSlice>() : inner_->scan(request);
  }
  Result<WalkSlice> walk(const WalkRequest& request) override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? Result<WalkSlice>() : inner_->walk(request);
  }
  Context seen() const override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? Context() : inner_->seen();
  }
  Context durable() const override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? Context() : inner_->durable();
  }
  Context flushed() const override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? Context() : inner_->flushed();
  }
  CollectionCounts counts() const override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? CollectionCounts() : inner_->counts();
  }
  std::uint64_t highest_hlc() const override {
    const Lock lock(mutex_);
    return inner_ == nullptr ? 0 : inner_->highest_hlc();
  }

 private:
  std::recursive_mutex& mutex_;
  CollectionRef ref_;
  bool in_memory_;
  Collection* inner_;
};

class LockedEngine final : public Engine {
 public:
  LockedEngine() = default;
  Status start(const EngineOptions& options);
  Store& store(unsigned loop) override;
  const std::vector<std::string>& notes() const override { return notes_; }
  EngineFigures figures() const override { return {}; }
  Status stop() override {
    const Lock lock(mutex_);
    return inner_->drain();
  }
  Status checkpoint() override { return stop(); }
  Status backup(const std::string&, const std::function<void(const std::string&)>&) override {
    return fail(ErrorCode::io, "this store cannot be copied while it is used");
  }

 private:
  class View;
  LockedCollection* wrapped(Collection* inner);
  void forget(Bytes name);

  std::recursive_mutex mutex_;
  std::vector<std::string> notes_;
  std::vector<std::unique_ptr<View>> views_;
  std::set<std::string> changed_;
  std::map<std::string, std::unique_ptr<LockedCollection>, std::less<>> collections_;
  std::vector<std::unique_ptr<LockedCollection>> graveyard_;
  std::unique_ptr<Store> inner_;
};

class LockedEngine::View final : public Store {
 public:
  explicit View(LockedEngine& engine) : engine_(engine), mutex_(engine.mutex_) {}

  Result<Collection*> open(const OpenOptions& options) override {
    const Lock lock(mutex_);
    const Collection* held = inner().find(options.ref.name);
    if (held != nullptr && held->ref() != options.ref) engine_.forget(options.ref.name);
    auto opened = inner().open(options);
    if (!opened) return opened;
    return engine_.wrapped(*opened);
  }
  Status erase(Bytes name) override {
    const Lock lock(mutex_);
    engine_.forget(name);
    return inner().erase(name);
  }
  Collection* find(Bytes name) override {
    const Lock lock(mutex_);
    return engine_.wrapped(inner().find(name));
  }
  std::vector<Collection*> collections() override {
    const Lock lock(mutex_);
    std::vector<Collection*> all = inner().collections();
    for (Collection*& collection : all)
      collection = engine_.wrapped(collection);
    return all;
  }
  Result<Position> append(Collection& collection, Batch batch) override {
    const Lock lock(mutex_);
    Collection* held = static_cast<LockedCollection&>(collection).inner();
    return held == nullptr ? gone(collection) : inner().append(*held, std::move(batch));
  }
  Result<Position> update(Collection& collection, const HashedKey& key, Joins joins,
                          Decide decide) override {
    const Lock lock(mutex_);
    Collection* held = static_cast<LockedCollection&>(collection).inner();
    return held == nullptr ? gone(collection) : inner().update(*held, key, joins, decide);
  }
  void commit() override {
    const Lock lock(mutex_);
    inner().commit();
  }
  Position collect() override {
    const Lock lock(mutex_);
    const Position durable = inner().collect();
    for (std::string& name : inner().take_changed())
      engine_.changed_.insert(std::move(name));
    return durable;
  }
  std::vector<std::string> take_changed() override {
    const Lock lock(mutex_);
    const auto changed = std::exchange(engine_.changed_, {});
    return {changed.begin(), changed.end()};
  }
  Status health() const override {
    const Lock lock(mutex_);
    return inner().health();
  }
  bool maintain(WallMilliseconds now, std::size_t records_max) override {
    const Lock lock(mutex_);
    return inner().maintain(now, records_max);
  }
  Status drain() override {
    const Lock lock(mutex_);
    return inner().drain();
  }

 private:
  Store& inner() const { return *engine_.inner_; }
  static tl::unexpected<Error> gone(const Collection& collection) {
    return fail(ErrorCode::not_found, "collection '" + collection.ref().name + "' was dropped");
  }

  LockedEngine& engine_;
  std::recursive_mutex& mutex_;
};

Store& LockedEngine::store(unsigned loop) {
  return *views_[loop];
}

Status LockedEngine::start(const EngineOptions& options) {
  if (options.directory.empty()) {
    inner_ = make_memory_store({});
  } else {
    auto opened = open_lmdb_store({.directory = options.directory + "/collections",
                                   .wake =
                                       [wake = options.wake] {
                                         for (const auto& one : wake)
                                           one();
                                       },
                                   .before_sync = options.before_sync});
    if (!opened) return tl::unexpected(opened.error());
    inner_ = std::move(*opened);
  }
  for (unsigned loop = 0; loop < options.loops; ++loop)
    views_.push_back(std::make_unique<View>(*this));
  return {};
}

LockedCollection* LockedEngine::wrapped(Collection* inner) {
  if (inner == nullptr) return nullptr;
  auto& wrapper = collections_[inner->ref().name];
  if (!wrapper) wrapper = std::make_unique<LockedCollection>(mutex_, *inner);
  return wrapper.get();
}

void LockedEngine::forget(Bytes name) {
  const auto found = collections_.find(name);
  if (found == collections_.end()) return;
  found->second->erased();
  graveyard_.push_back(std::move(found->second));
  collections_.erase(found);
}

}  // namespace

Result<std::unique_ptr<Engine>> open_locked_engine(const EngineOptions& options) {
  auto engine = std::make_unique<LockedEngine>();
  if (auto status = engine->start(options); !status) return tl::unexpected(status.error());
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace dhrt
