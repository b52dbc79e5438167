#include "storage/checkpoint.h"

#include <algorithm>
#include <utility>

#include "storage/base/give_way.h"
#include "storage/base/system_clock.h"
#include "storage/engine_collection.h"

namespace dhrt {

namespace {

constexpr Duration tick{10};
constexpr Duration retry_after{1000};
// A loop's turn does not last longer, unless the process is being debugged.
constexpr Duration turn_max{5000};
// Copies of several small collections are made safe in the logs together.
constexpr std::size_t group_bytes = std::size_t{64} << 20;
constexpr int warm_slices_at_once = 16;

}  // namespace

Checkpoint::Checkpoint(EngineShared& shared, std::string log_directory,
                       std::vector<LogFound> old_logs)
    : shared_(shared),
      log_directory_(std::move(log_directory)),
      old_logs_(std::move(old_logs)),
      scrub_(shared) {
  for (const LogFound& log : old_logs_) {
    for (const LogFound::File& file : log.files)
      log_bytes_at_cut_ -= static_cast<std::int64_t>(file.end);
  }
}

void Checkpoint::start() {
  for (const SharedCollection& collection : shared_.all()) {
    const CollectionFile* file = collection->file();
    if (file == nullptr) continue;
    to_warm_.push_back(collection->ref().name);
    if (!file->knows_graves()) without_graves_.push_back(collection->ref().name);
  }
  next_sync_ = monotonic_now() + shared_.options.sync_interval;
  thread_ = std::thread([this] { run(); });
}

void Checkpoint::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

Status Checkpoint::run_now() {
  std::unique_lock lock(mutex_);
  const std::uint64_t mine = ++requested_;
  changed_.notify_all();
  changed_.wait(lock, [&] { return done_ >= mine || stopping_; });
  if (done_ < mine)
    return fail(ErrorCode::unavailable, "the engine is stopping; nothing was written");
  return outcome_;
}

void Checkpoint::run() {
  // While there is room on the disk; if it fails, it is tried again when it is needed.
  if (shared_.on_disk()) {
    if (auto mark = LogMark::open(log_directory_)) mark_ = std::move(*mark);
  }
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const std::uint64_t wanted = requested_;
    const bool asked = wanted > done_;
    lock.unlock();
    const Time now = monotonic_now();
    look_after_loops(now);
    const bool begins = asked || is_due(now);
    const Status outcome = begins ? cycle() : Status{};
    if (begins && !outcome) retry_at_ = monotonic_now() + retry_after;
    const bool more = warm_up() || find_graves();
    if (!begins && !more) scrub_.tick(now);
    shared_.bury_retired();
    lock.lock();
    if (begins) {
      done_ = wanted;
      outcome_ = outcome;
      changed_.notify_all();
    }
    if (!more && requested_ <= done_)
      changed_.wait_for(lock, tick, [this] { return stopping_ || requested_ > done_; });
  }
}

void Checkpoint::look_after_loops(Time now) {
  shared_.reckon_pressure();
  const bool is_time = shared_.options.durability == Durability::interval && now >= next_sync_;
  if (is_time) next_sync_ = now + shared_.options.sync_interval;
  const bool syncs = shared_.sync_wanted.exchange(false) || is_time;
  // The first loop's log last: it has the contexts that peers sent, which may rest on records that
  // the other loops wrote.
  for (unsigned loop = shared_.options.loops; loop-- > 0;) {
    if (syncs && shared_.log(loop) != nullptr) {
      // An error stays with the log, whose health() says so.
      static_cast<void>(shared_.log(loop)->sync_now());
      shared_.advance(loop);
    }
    if (shared_.loops[loop]->held_back.load()) shared_.wake(loop);
  }
}

bool Checkpoint::is_due(Time now) {
  if (!shared_.on_disk() || shared_.failed.load() || now < retry_at_) return false;
  const auto enough = static_cast<std::int64_t>(shared_.options.checkpoint_bytes);
  if (shared_.unflushed_bytes.load(std::memory_order_relaxed) >= enough) return true;
  if (log_bytes() - log_bytes_at_cut_ >= enough) return true;
  const bool is_dirty =
      !old_logs_.empty() || std::ranges::any_of(shared_.all(), [](const auto& collection) {
        return collection->dirty();
      });
  if (!std::exchange(was_dirty_, is_dirty)) clean_until_ = now;
  return is_dirty && now - clean_until_ >= shared_.options.checkpoint_age;
}

// Written by this process so far.
std::int64_t Checkpoint::log_bytes() const {
  std::uint64_t bytes = 0;
  for (const auto& log : shared_.logs)
    bytes += log->figures().bytes;
  return static_cast<std::int64_t>(bytes);
}

Status Checkpoint::cycle() {
  if (!shared_.on_disk()) return {};
  if (auto status = shared_.health(); !status) return status;
  choose_pace();
  if (shared_.options.before_checkpoint) shared_.options.before_checkpoint();
  const Time begin = monotonic_now();
  was_dirty_ = false;
  const std::int64_t log_bytes_before = log_bytes();
  // Only what is synced is below the cut: where nobody else syncs it would stay for another cycle.
  if (auto status = sync_logs(); !status) return status;
  LogCut cut{.run = shared_.options.run, .positions = {}};
  for (unsigned loop = 0; loop < shared_.options.loops; ++loop) {
    cut.positions.push_back(shared_.loops[loop]->published.load(std::memory_order_acquire));
  }
  if (auto status = write_all(cut); !status) return status;
  if (auto status = secure_erasures(); !status) return status;
  release_logs(cut);
  log_bytes_at_cut_ = log_bytes_before;
  // Whoever waited for this may write again at once.
  shared_.reckon_pressure();
  trim_cache();
  shared_.checkpoints.fetch_add(1);
  shared_.checkpoint_ended.store(wall_now());
  shared_.checkpoint_milliseconds.fetch_add(
      static_cast<std::uint64_t>((monotonic_now() - begin).count()));
  return {};
}

Status Checkpoint::write_all(const LogCut& cut) {
  const std::vector<SharedCollection> all = shared_.all();
  // At least once: the last collection may have been erased.
  std::size_t i = 0;
  Status distrust;
  do {
    std::vector<std::pair<SharedCollection, DirtyPass>> group;
    std::size_t bytes = 0;
    for (; i < all.size() && bytes < group_bytes; ++i) {
      if (!all[i]->dirty()) continue;
      const CollectionFile* file = all[i]->file();
      // A file that is not used keeps its own records from being written, and the logs from going.
      if (auto trust = file == nullptr ? Status() : file->trust(); !trust) {
        distrust = trust;
        continue;
      }
      group.emplace_back(all[i], DirtyPass{});
      choose_pace();
      all[i]->begin_pass(cut, group.back().second);
      bytes += group.back().second.bytes();
    }
    note_copied(bytes);
    Status status = secure();
    if (status) status = remove_doomed();
    for (auto& [collection, pass] : group) {
      if (status) status = write_pass(*collection, pass);
      if (!status) collection->mark_stale();
      collection->end_pass();
      pass = {};
    }
    if (!status) return status;
  } while (i < all.size());
  return distrust;
}

Status Checkpoint::write_pass(EngineCollection& collection, DirtyPass& pass) {
  for (;;) {
    const std::size_t records = pass.copy.items().size();
    if (auto status = collection.write_copy(pass); !status) return status;
    shared_.checkpoint_records.fetch_add(records);
    if (pass.is_last()) return forget(collection, pass);
    choose_pace();
    collection.copy_next(pass);
    note_copied(pass.bytes());
    if (auto status = secure(); !status) return status;
  }
}

// What is written stays so if this fails, and the logs may go. What is left if writes are slowed
// down meanwhile is for the next cycle.
Status Checkpoint::forget(EngineCollection& collection, const DirtyPass& pass) {
  Dot from;
  for (bool more = true; more;) {
    choose_pace();
    const auto forgotten = collection.forget_some(pass, from);
    if (!forgotten && forgotten.error().code == ErrorCode::full) return {};
    if (!forgotten) return tl::unexpected(forgotten.error());
    more = *forgotten;
    if (!more || gives_way()) continue;
    collection.mark_stale();
    return {};
  }
  return {};
}

// Writes that are slowed down wait for us: then it is they who give way.
void Checkpoint::choose_pace() {
  const auto slowed_from = static_cast<std::int64_t>(shared_.options.unflushed_max / 2);
  set_gives_way(!hurries_ && shared_.unflushed_bytes.load(std::memory_order_relaxed) < slowed_from);
}

void Checkpoint::note_copied(std::size_t bytes) {
  shared_.checkpoint_copy_bytes.store(std::max(shared_.checkpoint_copy_bytes.load(), bytes));
}

// Everything that was written until now survives a power cut. A copy may have records that are
// not synced yet: in the file without their log, they would have dots that nobody knows of.
Status Checkpoint::secure() {
  if (auto status = await_turn_ends(); !status) return status;
  if (auto status = sync_logs(); !status) return status;
  return shared_.health();
}

// The first loop's last: see look_after_loops().
Status Checkpoint::sync_logs() {
  for (unsigned loop = shared_.options.loops; loop-- > 0;) {
    LogWriter& log = *shared_.log(loop);
    if (log.synced() < log.written()) {
      if (auto status = log.sync_now(); !status) return status;
    }
    shared_.advance(loop);
  }
  return {};
}

Status Checkpoint::await_turn_ends() {
  std::vector<Position> appended;
  for (const auto& loop : shared_.loops)
    appended.push_back(loop->appended.load(std::memory_order_acquire));
  const Time patience = monotonic_now() + turn_max;
  const auto ended = [&] {
    for (std::size_t i = 0; i < appended.size(); ++i) {
      if (shared_.loops[i]->committed.load(std::memory_order_acquire) < appended[i]) return false;
    }
    return true;
  };
  std::unique_lock lock(mutex_);
  while (!ended()) {
    if (stopping_ || monotonic_now() >= patience) {
      return fail(ErrorCode::busy, "an event loop has not ended its turn for " +
                                       std::to_string(turn_max.count()) +
                                       " ms; the checkpoint is tried again");
    }
    changed_.wait_for(lock, Duration{1});
  }
  return {};
}

bool Checkpoint::is_durable(const EngineShared::DoomedFile& file) const {
  return file.position <= shared_.loops[file.loop]->published.load();
}

// One whose file cannot be removed stays on the list: as long as it does nothing is released, and
// the log keeps saying that the collection was erased.
Status Checkpoint::remove_doomed() {
  const auto may_go = [this](const EngineShared::DoomedFile& file) { return is_durable(file); };
  for (;;) {
    std::string name;
    {
      const std::unique_lock lock(shared_.structure);
      const auto found = std::ranges::find_if(shared_.doomed, may_go);
      if (found == shared_.doomed.end()) return {};
      name = found->name;
    }
    if (auto status = shared_.directory->remove(name); !status) return status;
    const std::unique_lock lock(shared_.structure);
    std::erase_if(shared_.doomed, [&](const EngineShared::DoomedFile& file) {
      return file.name == name && is_durable(file);
    });
  }
}

// A collection that was erased after its copy was made is not written any more. Until the erasure
// is durable the log is the only place that has the records.
Status Checkpoint::secure_erasures() {
  const auto pending = [this](const EngineShared::DoomedFile& file) { return !is_durable(file); };
  {
    const std::shared_lock lock(shared_.structure);
    if (std::ranges::none_of(shared_.doomed, pending)) return {};
  }
  return secure();
}

// Before the first segment of several goes: a start could not tell it from one that was lost.
Status Checkpoint::mark_released(const LogCut& cut) {
  bool needed =
      std::ranges::any_of(old_logs_, [](const auto& log) { return log.files.size() > 1; });
  for (const auto& log : shared_.logs)
    needed = needed || log->figures().segments > 1;
  if (!needed) return {};
  if (mark_ == nullptr) {
    auto mark = LogMark::open(log_directory_);
    if (!mark) return tl::unexpected(mark.error());
    mark_ = std::move(*mark);
  }
  return mark_->set(cut);
}

void Checkpoint::release_logs(const LogCut& cut) {
  // Without the mark the logs stay until the next cycle.
  if (!mark_released(cut)) return;
  for (unsigned loop = 0; loop < shared_.options.loops; ++loop)
    shared_.log(loop)->release(cut.positions[loop]);
  // What cannot be removed now is removed by the next cycle, or the next start.
  std::erase_if(old_logs_, [this](const LogFound& log) {
    return remove_log(log_directory_, log).has_value();
  });
}

void Checkpoint::trim_cache() {
  const auto limit = static_cast<std::int64_t>(shared_.options.cache_bytes);
  constexpr int evicted_at_once = 64;
  for (std::size_t stripe = 0; stripe < stripe_count; ++stripe) {
    for (bool more = true; more;) {
      ByteChanges changes;
      int evicted = 0;
      more = false;
      {
        const std::lock_guard lock(shared_.stripes[stripe].lock);
        EngineCollection::evict(
            shared_, stripe, false,
            [&] {
              // Every stripe gives its share of what is too much.
              const std::int64_t above = shared_.cache_bytes.load() + changes.cache_bytes - limit;
              if (above <= 0 || evicted == evicted_at_once) return false;
              more = ++evicted == evicted_at_once;
              return true;
            },
            changes);
      }
      changes.add_to(shared_);
    }
  }
}

bool Checkpoint::warm_up() {
  for (int slice = 0; slice < warm_slices_at_once && !to_warm_.empty(); ++slice) {
    const SharedCollection collection = shared_.find(to_warm_.back());
    const auto more = collection != nullptr && collection->file() != nullptr
                          ? collection->warm_up(warm_from_)
                          : Result<bool>(false);
    if (more && *more) continue;
    to_warm_.pop_back();
    warm_from_.clear();
  }
  return !to_warm_.empty();
}

// One that fails is tried again at the next start.
bool Checkpoint::find_graves() {
  if (without_graves_.empty()) return false;
  const SharedCollection collection = shared_.find(without_graves_.back());
  const auto more = collection != nullptr && collection->file() != nullptr
                        ? collection->find_graves(graves_from_)
                        : Result<bool>(false);
  if (more && *more) return true;
  without_graves_.pop_back();
  graves_from_.clear();
  return !without_graves_.empty();
}

}  // namespace dhrt
