#include "storage/recovery.h"

#include <map>
#include <utility>
#include <vector>

#include "storage/engine_collection.h"
#include "storage/log_mark.h"

namespace dhrt {

namespace {

class Replay final : public LogVisitor {
 public:
  explicit Replay(EngineShared& shared) : shared_(shared) {}

  Status run(const LogFound& log) {
    log_ = log.id;
    const Origin own{log.node, log.id.run, log.id.loop};
    return replay_log(log, 0, [&](const FrameHead& head, Bytes body) -> Status {
      position_ = head.position;
      const Status visited = visit_frame(body, own, *this);
      apply();
      return visited ? status_ : visited;
    });
  }

  void record(const CollectionRef& ref, Bytes key, const RecordView& record,
              bool joins_seen) override {
    EngineCollection* const target = target_of(ref);
    if (target == nullptr) return;
    ++records_;
    if (waiting_.size() == applied_at_once) apply();
    waiting_.push_back({HashedKey(key), record, joins_seen});
    target->prefetch(waiting_.back().key);
  }
  void contexts(const CollectionRef& ref, const Context& seen, const Context& flushed) override {
    EngineCollection* const target = target_of(ref);
    if (target != nullptr) target->replay_contexts(seen, flushed);
  }
  void forgotten(const CollectionRef& ref, const Context& dots, std::uint64_t hlc) override {
    EngineCollection* const target = target_of(ref);
    if (target != nullptr) target->note_forgotten(dots, hlc);
  }
  void erased(const CollectionRef& ref) override {
    apply();
    const SharedCollection held = shared_.find(ref.name);
    if (held != nullptr && held->ref().generation > ref.generation) return;
    if (held != nullptr && held->cut().covers(log_, position_)) return;
    if (held != nullptr) drop(held);
    // Other loops of that time wrote to what is gone; this one knew.
    erased_[ref.name] = {.generation = ref.generation, .by = log_};
  }

  std::uint64_t records() const { return records_; }

 private:
  static constexpr std::size_t applied_at_once = 16;

  // A record of the frame that is visited, for the collection of the item before.
  struct Waiting {
    HashedKey key;
    RecordView record;
    bool joins_seen;
  };

  struct Erased {
    std::uint32_t generation = 0;
    LogId by;
  };

  // Null if the item is in the file already, or of a life that is over.
  EngineCollection* target_of(const CollectionRef& ref) {
    if (last_ != nullptr && last_->ref() == ref)
      return last_->cut().covers(log_, position_) ? nullptr : last_.get();
    apply();
    const auto gone = erased_.find(ref.name);
    if (gone != erased_.end() && ref.generation <= gone->second.generation &&
        log_.run <= gone->second.by.run && log_ != gone->second.by)
      return nullptr;
    SharedCollection held = shared_.find(ref.name);
    if (held != nullptr && held->ref().generation > ref.generation) return nullptr;
    if (held != nullptr && held->ref().generation < ref.generation) {
      drop(held);
      held = nullptr;
    }
    if (held == nullptr) {
      const std::unique_lock lock(shared_.structure);
      held = shared_.make(ref, false);
      held->begin_replay();
      held->mark_stale();
      if (shared_.directory->was_set_aside(ref.name)) held->lose_file();
    }
    last_ = held;
    return held->cut().covers(log_, position_) ? nullptr : held.get();
  }

  // Several at a time, so that the memory which they need comes meanwhile.
  void apply() {
    for (const Waiting& one : waiting_)
      last_->prefetch_record(one.key);
    for (const Waiting& one : waiting_) {
      if (auto status = last_->replay_record(one.key, one.record, one.joins_seen); !status)
        status_ = status;
    }
    waiting_.clear();
  }

  void drop(const SharedCollection& held) {
    last_ = nullptr;
    const bool has_file = held->file() != nullptr;
    {
      const std::unique_lock lock(shared_.structure);
      shared_.retire(held);
    }
    if (!has_file) return;
    if (auto status = shared_.directory->remove(held->ref().name); !status) status_ = status;
  }

  EngineShared& shared_;
  LogId log_;
  Position position_ = 0;
  SharedCollection last_;  // The collection of the item before.
  std::vector<Waiting> waiting_;
  std::map<std::string, Erased> erased_;
  std::uint64_t records_ = 0;
  Status status_;
};

Result<std::unique_ptr<CollectionFile>> open_file(const EngineShared& shared,
                                                  const std::string& name) {
  auto file = CollectionFile::open(shared.file_options(name));
  if (!file) return file;
  if ((*file)->ref().name != name) {
    return fail(ErrorCode::precondition, (*file)->path() + " holds the collection '" +
                                             (*file)->ref().name +
                                             "'; give the file that name back, or move it away");
  }
  if (const auto meta = (*file)->meta(file_reader()); !meta) return tl::unexpected(meta.error());
  // A process that was killed may have left its last transaction, or the file's name, in the page
  // cache alone. The cut in it would let the logs go that have the same on the disk.
  if (auto status = (*file)->sync(); !status) return tl::unexpected(status.error());
  if (auto status = (*file)->settle_after_crash(file_reader()); !status)
    return tl::unexpected(status.error());
  return file;
}

// Without its file a collection is as on a node that never had it: its contexts are empty, and
// peers send everything.
Status set_aside(EngineShared& shared, const std::string& name, const Error& damage,
                 std::vector<std::string>& notes) {
  const auto aside = shared.directory->set_aside(name);
  if (!aside) return fail(aside.error(), damage.message);
  const std::string what = damage.message.substr(0, damage.message.find(damaged_file_cure));
  notes.push_back(what + "it is " + *aside + " now, and the other nodes fill a new one");
  return {};
}

Status open_files(EngineShared& shared, std::vector<std::string>& notes) {
  if (auto status = shared.directory->remove_unfinished(); !status) return status;
  const auto names = shared.directory->collections();
  if (!names) return tl::unexpected(names.error());
  for (const std::string& name : *names) {
    auto file = open_file(shared, name);
    if (!file && file.error().code == ErrorCode::corrupt && shared.options.others_have_it) {
      if (auto status = set_aside(shared, name, file.error(), notes); !status) return status;
      continue;
    }
    if (!file) return tl::unexpected(file.error());
    const std::unique_lock lock(shared.structure);
    const SharedCollection made = shared.make((*file)->ref(), false);
    if (auto status = made->attach(std::move(*file)); !status) return status;
    made->begin_replay();
    // A file that took the place of a damaged one says nothing of itself before it is complete.
    if (made->cut().run == 0 && shared.directory->was_set_aside(name)) made->lose_file();
  }
  return shared.directory->sync();
}

std::string note_of(const LogFound& log) {
  return "log " + std::to_string(log.id.run) + "-" + std::to_string(log.id.loop) + " ended in " +
         std::to_string(log.bytes_cut) +
         " bytes of a write that was never complete, and never confirmed; they were cut off";
}

}  // namespace

Result<Recovered> recover(EngineShared& shared, const std::string& log_directory) {
  Recovered recovered;
  if (auto status = open_files(shared, recovered.notes); !status)
    return tl::unexpected(status.error());
  auto logs = find_logs(log_directory, true);
  if (!logs) return tl::unexpected(logs.error());
  if (auto status = check_beginnings(log_directory, *logs); !status)
    return tl::unexpected(status.error());
  Replay replay(shared);
  for (const LogFound& log : *logs) {
    if (auto status = secure_log(log_directory, log); !status)
      return tl::unexpected(status.error());
    if (auto status = replay.run(log); !status) return tl::unexpected(status.error());
    if (log.bytes_cut == 0) continue;
    recovered.notes.push_back(note_of(log));
    shared.torn_bytes_cut.fetch_add(log.bytes_cut);
  }
  std::uint64_t kept = 0;
  for (const SharedCollection& collection : shared.all()) {
    const auto records = collection->end_replay();
    if (!records) return tl::unexpected(records.error());
    kept += *records;
  }
  shared.replayed_records.store(kept);
  if (replay.records() > 0) {
    recovered.notes.push_back("the logs of earlier starts held " +
                              std::to_string(replay.records()) + " records; " +
                              std::to_string(kept) + " were not in the files yet");
  }
  recovered.logs = std::move(*logs);
  return recovered;
}

}  // namespace dhrt
