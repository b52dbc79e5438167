#include "storage/engine.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <sys/stat.h>
#include <utility>

#include "storage/checkpoint.h"
#include "storage/engine_collection.h"
#include "storage/engine_loop.h"
#include "storage/engine_shared.h"
#include "storage/log_mark.h"
#include "storage/recovery.h"

namespace dhrt {

namespace {

constexpr int stop_cycles_max = 10;

class WholeEngine final : public Engine {
 public:
  explicit WholeEngine(const EngineOptions& options) : shared_(options) {}
  ~WholeEngine() override;

  Status open();
  Store& store(unsigned loop) override { return *loops_[loop]; }
  const std::vector<std::string>& notes() const override { return notes_; }
  EngineFigures figures() const override;
  Status stop() override;
  Status checkpoint() override;
  Status backup(const std::string& directory,
                const std::function<void(const std::string& collection)>& progress) override;

 private:
  Status open_disk();
  Status open_logs(const std::string& directory);
  bool any_dirty() const;
  Status remove_logs(const std::vector<LogFound>& logs);

  EngineShared shared_;
  std::string log_directory_;
  std::vector<std::unique_ptr<EngineLoop>> loops_;
  std::vector<std::string> notes_;
  std::unique_ptr<Checkpoint> checkpoint_;
};

// Without stop() this is what the end of the process is: the next start replays the logs.
WholeEngine::~WholeEngine() {
  checkpoint_.reset();
  loops_.clear();
  shared_.logs.clear();
  for (const auto& loop : shared_.loops)
    loop->unpublished.clear();
}

Status WholeEngine::open() {
  if (shared_.on_disk()) {
    if (auto status = open_disk(); !status) return status;
  }
  for (unsigned loop = 0; loop < shared_.options.loops; ++loop)
    loops_.push_back(std::make_unique<EngineLoop>(shared_, loop));
  if (checkpoint_ == nullptr)
    checkpoint_ = std::make_unique<Checkpoint>(shared_, "", std::vector<LogFound>());
  checkpoint_->start();
  return {};
}

Status WholeEngine::open_disk() {
  auto directory = open_engine_directory(shared_.options.directory);
  if (!directory) return tl::unexpected(directory.error());
  shared_.directory = std::move(directory->collections);
  log_directory_ = directory->log;
  auto recovered = recover(shared_, log_directory_);
  if (!recovered) return tl::unexpected(recovered.error());
  notes_ = std::move(recovered->notes);
  for (const LogFound& log : recovered->logs) {
    if (log.id.run < shared_.options.run) continue;
    return fail(ErrorCode::precondition,
                "the log of start " + std::to_string(log.id.run) + " is in " + log_directory_ +
                    ", but this is start " + std::to_string(shared_.options.run) +
                    "; the node's identity file is older than its data: restore both together");
  }
  checkpoint_ = std::make_unique<Checkpoint>(shared_, log_directory_, std::move(recovered->logs));
  return open_logs(log_directory_);
}

Status WholeEngine::open_logs(const std::string& directory) {
  const EngineOptions& options = shared_.options;
  for (unsigned loop = 0; loop < options.loops; ++loop) {
    auto log = LogWriter::open({.directory = directory,
                                .id = {options.run, static_cast<std::uint16_t>(loop)},
                                .node = options.node,
                                .durability = options.durability,
                                .segment_bytes = options.log_segment_bytes,
                                .wake = [this, loop] { shared_.wake(loop); },
                                .before_sync = options.before_sync});
    if (!log) return tl::unexpected(log.error());
    shared_.logs.push_back(std::move(*log));
  }
  return {};
}

EngineFigures WholeEngine::figures() const {
  EngineFigures figures;
  for (std::size_t i = 0; i < shared_.logs.size(); ++i) {
    const LogWriter& log = *shared_.logs[i];
    figures.logs.push_back({.log = log.figures(),
                            .appended = shared_.loops[i]->appended.load(),
                            .synced = log.synced()});
  }
  const auto natural = [](const std::atomic<std::int64_t>& number) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(number.load(), 0));
  };
  for (const SharedCollection& collection : shared_.all()) {
    figures.records_in_memory += collection->records_in_memory();
    figures.damaged += collection->damaged().size();
    CollectionFile* file = collection->file();
    if (file == nullptr) continue;
    figures.file_bytes += file->bytes_used();
    if (auto trust = file->trust(); !trust) figures.damaged_files.push_back(trust.error().message);
  }
  for (std::size_t i = 0; i < stripe_count; ++i) {
    const Stripe& stripe = shared_.stripes[i];
    figures.cache_hits += stripe.hits.load();
    figures.cache_misses += stripe.misses.load();
    figures.evictions += stripe.evictions.load();
  }
  figures.memory_bytes = shared_.stripes.bytes();
  figures.unflushed_records = natural(shared_.unflushed_records);
  figures.unflushed_bytes = natural(shared_.unflushed_bytes);
  figures.expired = shared_.expired.load();
  figures.relocated = shared_.relocated.load();
  figures.quarantined = shared_.quarantined.load();
  figures.healed = shared_.healed.load();
  figures.scrubbed_records = shared_.scrubbed_records.load();
  figures.scrubbed_bytes = shared_.scrubbed_bytes.load();
  figures.scrub_passes = shared_.scrub_passes.load();
  figures.scrub_failures = shared_.scrub_failures.load();
  figures.checkpoints = shared_.checkpoints.load();
  figures.checkpoint_copy_bytes = shared_.checkpoint_copy_bytes.load();
  figures.checkpoint_records = shared_.checkpoint_records.load();
  figures.checkpoint_ended = shared_.checkpoint_ended.load();
  figures.checkpoint_milliseconds = shared_.checkpoint_milliseconds.load();
  figures.throttled_milliseconds = shared_.throttled_milliseconds.load();
  figures.writes_refused = shared_.writes_refused.load();
  figures.replayed_records = shared_.replayed_records.load();
  figures.torn_bytes_cut = shared_.torn_bytes_cut.load();
  return figures;
}

Status WholeEngine::checkpoint() {
  return checkpoint_->run_now();
}

bool WholeEngine::any_dirty() const {
  for (const SharedCollection& collection : shared_.all()) {
    if (collection->dirty()) return true;
  }
  return false;
}

Status WholeEngine::stop() {
  for (const auto& loop : loops_) {
    if (auto status = loop->drain(); !status) return status;
  }
  if (!shared_.on_disk()) {
    checkpoint_->stop();
    return {};
  }
  checkpoint_->hurry();
  // The loops have ended: one cycle writes everything, and a second one what that brought about.
  for (int cycles = 0; cycles == 0 || any_dirty(); ++cycles) {
    if (cycles == stop_cycles_max)
      return fail(ErrorCode::unavailable, "something is written to while the engine stops");
    if (auto status = checkpoint_->run_now(); !status) return status;
  }
  checkpoint_->stop();
  shared_.logs.clear();
  const auto logs = find_logs(log_directory_, true);
  if (!logs) return tl::unexpected(logs.error());
  if (auto status = remove_logs(*logs); !status) return status;
  LogMark::remove(log_directory_);
  return {};
}

Status WholeEngine::remove_logs(const std::vector<LogFound>& logs) {
  // If the process ends between two segments, the next start must not take it for a loss.
  if (std::ranges::any_of(logs, [](const LogFound& log) { return log.files.size() > 1; })) {
    const auto mark = LogMark::open(log_directory_);
    if (!mark) return tl::unexpected(mark.error());
    const LogCut all{.run = shared_.options.run + 1, .positions = {}};
    if (auto status = (*mark)->set(all); !status) return status;
  }
  for (const LogFound& log : logs) {
    if (auto status = remove_log(log_directory_, log); !status) return status;
  }
  return {};
}

Status WholeEngine::backup(const std::string& directory,
                           const std::function<void(const std::string& collection)>& progress) {
  if (!shared_.on_disk())
    return fail(ErrorCode::precondition, "everything is in memory; there is no file to copy");
  if (auto status = checkpoint(); !status) return status;
  const std::string files = directory + "/collections";
  for (const std::string& made : {directory, files}) {
    if (::mkdir(made.c_str(), 0700) == 0) continue;
    return fail(errno == ENOSPC ? ErrorCode::full : ErrorCode::io,
                "make " + made + ": mkdir: " + std::strerror(errno) +
                    "; name a directory that is not there yet, in one that can be written to");
  }
  for (const SharedCollection& collection : shared_.all()) {
    CollectionFile* file = collection->file();
    if (file == nullptr) continue;
    const std::string& name = collection->ref().name;
    if (auto status = file->copy_to(files + "/" + name + ".mdb"); !status) return status;
    if (progress) progress(name);
  }
  Status synced = sync_directory(files);
  if (synced) synced = sync_directory(directory);
  return synced;
}

}  // namespace

Result<std::unique_ptr<Engine>> Engine::open(const EngineOptions& options) {
  auto engine = std::make_unique<WholeEngine>(options);
  if (auto status = engine->open(); !status) return tl::unexpected(status.error());
  return engine;
}

}  // namespace dhrt
