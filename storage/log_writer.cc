#include "storage/log_writer.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "storage/base/check.h"
#include "storage/base/system_clock.h"
#include "storage/log_segments.h"

namespace dhrt {

namespace {

// The newest sync counts for an eighth of the average.
constexpr std::int64_t average_weight = 8;
// When so much of a segment is written, the next one is made ready.
constexpr std::size_t prepared_at_share = 8;

// A segment that was written to and is not released.
struct UsedSegment {
  SharedSegment segment;
  Position first = 0;
  Position last = 0;
  std::uint64_t bytes = 0;
};

class Log final : public LogWriter {
 public:
  explicit Log(const LogOptions& options)
      : options_(options),
        frame_(Origin{options.node, options.id.run, options.id.loop}),
        segments_(options.directory, options.id, options.node, options.segment_bytes) {}
  ~Log() override;

  Status start();

  Status reserve(std::size_t bytes, bool is_delete) override;
  FrameBuilder& frame() override { return frame_; }
  void commit(Position position) override;
  Position written() const override { return written_.load(std::memory_order_acquire); }
  Position synced() const override { return synced_.load(std::memory_order_acquire); }
  Status sync_now() override;
  void release(Position position) override;
  Status health() const override;
  Figures figures() const override;

 private:
  // The loop's.
  bool fits_current(std::size_t bytes) const { return used_ + bytes <= current_->capacity; }
  Status make_room(std::size_t bytes);
  Status make_next(std::size_t bytes);
  Status place(std::size_t bytes);
  Status write_frame(Position position);
  void prepare_next();
  void note_written(Position position, std::size_t bytes);
  void note_empty(Position position);
  void sync_soon();

  // With sync_mutex_ held.
  Status sync_written();
  Status sync_files(const std::vector<SharedSegment>& files);

  void run_syncs();
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  Error die(const Error& error);
  void wake() const {
    if (options_.wake) options_.wake();
  }

  const LogOptions options_;

  // The loop's.
  FrameBuilder frame_;
  SharedSegment current_;
  SharedSegment next_;  // Taken over when a frame does not fit into the current one.
  std::size_t used_ = log_header_bytes;
  bool prepared_ = false;  // The segment behind this one was asked for.
  Position last_frame_ = 0;

  LogSegments segments_;
  std::atomic<Position> written_{0};
  std::atomic<Position> synced_{0};
  // The last frame at or below synced_: a position without a frame is nothing that a reader misses.
  std::atomic<Position> synced_frame_{0};
  std::atomic<bool> failed_{false};
  std::atomic<bool> on_thread_{false};
  std::atomic<std::int64_t> average_microseconds_{0};  // Of a sync.

  std::mutex sync_mutex_;  // Held while somebody syncs. Before mutex_.
  std::mutex release_mutex_;

  mutable std::mutex mutex_;  // Of everything below.
  std::condition_variable sync_asked_;
  std::deque<UsedSegment> used_segments_;  // The last one is the current one.
  std::vector<SharedSegment> unsynced_;    // Written to since the last sync began.
  bool syncing_ = false;
  bool sync_wanted_ = false;
  bool ending_ = false;
  Status health_;
  Figures figures_;

  std::thread sync_thread_;  // From when it is needed first.
};

Log::~Log() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  sync_asked_.notify_one();
  if (sync_thread_.joinable()) sync_thread_.join();
  // Best effort: a start passes over it.
  if (next_) (void)next_->file.unlink();
}

Status Log::start() {
  auto first = segments_.next(log_header_bytes);
  if (!first) return tl::unexpected(first.error());
  current_ = std::move(*first);
  return {};
}

Status Log::reserve(std::size_t bytes, bool is_delete) {
  if (failed()) [[unlikely]]
    return health();
  const std::size_t wanted = frame_.bytes() + bytes;
  if (wanted > log_frame_bytes_max) [[unlikely]] {
    return fail(ErrorCode::busy, "the log takes at most " + std::to_string(log_frame_bytes_max) +
                                     " bytes in one turn; write this in the next");
  }
  const std::size_t kept = is_delete ? 0 : std::min(options_.reserve_bytes, current_->capacity / 8);
  if (fits_current(wanted + kept)) [[likely]]
    return {};
  const Status status = make_room(log_header_bytes + wanted + kept);
  if (status || status.error().code != ErrorCode::full) return status;
  return fail(status.error().code,
              status.error().message + "; free some space, writing goes on by itself then");
}

// A segment is not left before a frame is in it: a log begins with a frame.
Status Log::make_room(std::size_t bytes) {
  return used_ == log_header_bytes ? segments_.enlarge(*current_, bytes) : make_next(bytes);
}

Status Log::make_next(std::size_t bytes) {
  if (next_) return segments_.enlarge(*next_, bytes);
  auto next = segments_.next(bytes);
  if (!next) return tl::unexpected(next.error());
  next_ = std::move(*next);
  return {};
}

void Log::commit(Position position) {
  if (failed()) {
    frame_.clear();
    return;
  }
  if (frame_.empty()) {
    note_empty(position);
    return;
  }
  check(position > written(), "positions in a log grow");
  const std::size_t bytes = frame_.bytes();
  Status status = place(bytes);
  if (status) status = write_frame(position);
  frame_.clear();
  if (!status) {
    die(status.error());
    return;
  }
  note_written(position, bytes);
  if (options_.durability == Durability::sync) sync_soon();
}

// Makes the next segment the current one if the frame does not fit.
Status Log::place(std::size_t bytes) {
  if (fits_current(bytes)) return {};
  if (Status status = make_room(log_header_bytes + bytes); !status) return status;
  if (fits_current(bytes)) return {};
  current_ = std::exchange(next_, nullptr);
  used_ = log_header_bytes;
  prepared_ = false;
  return {};
}

Status Log::write_frame(Position position) {
  const Bytes frame = frame_.finish({.log = options_.id,
                                     .segment = current_->number,
                                     .salt = current_->salt,
                                     .position = position,
                                     .previous = last_frame_,
                                     .synced_upto = synced_frame_});
  if (Status status = current_->file.write(used_, frame); !status) return status;
  used_ += frame.size();
  last_frame_ = position;
  prepare_next();
  return {};
}

// Early enough that it is ready in time, and not before: who writes little needs no other.
void Log::prepare_next() {
  if (prepared_ || used_ < current_->capacity / prepared_at_share) return;
  prepared_ = true;
  segments_.prepare();
}

void Log::note_written(Position position, std::size_t bytes) {
  const std::lock_guard lock(mutex_);
  if (used_segments_.empty() || used_segments_.back().segment != current_)
    used_segments_.push_back({current_, position, 0, 0});
  UsedSegment& used = used_segments_.back();
  used.last = position;
  used.bytes += bytes;
  if (unsynced_.empty() || unsynced_.back() != current_) unsynced_.push_back(current_);
  ++figures_.frames;
  figures_.bytes += bytes;
  written_.store(position, std::memory_order_release);
}

void Log::note_empty(Position position) {
  {
    const std::lock_guard lock(mutex_);
    if (position <= written()) return;
    written_.store(position, std::memory_order_release);
    if (unsynced_.empty() && !syncing_) {
      synced_.store(position, std::memory_order_release);
      return;
    }
  }
  if (options_.durability == Durability::sync) sync_soon();
}

void Log::sync_soon() {
  const bool quick = average_microseconds_.load(std::memory_order_relaxed) <=
                     std::chrono::microseconds(options_.inline_sync_max).count();
  const bool inlined = quick && options_.inline_sync_max.count() > 0 && !options_.before_sync;
  std::unique_lock syncing(sync_mutex_, std::defer_lock);
  if (inlined && syncing.try_lock()) {
    (void)sync_written();  // What went wrong is in health().
    syncing.unlock();
    on_thread_.store(false, std::memory_order_relaxed);
    wake();
    return;
  }
  on_thread_.store(true, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  sync_wanted_ = true;
  if (!sync_thread_.joinable()) sync_thread_ = std::thread([this] { run_syncs(); });
  sync_asked_.notify_one();
}

void Log::run_syncs() {
  std::unique_lock lock(mutex_);
  for (;;) {
    sync_asked_.wait(lock, [this] { return sync_wanted_ || ending_; });
    if (!sync_wanted_) return;
    sync_wanted_ = false;
    lock.unlock();
    (void)sync_now();
    lock.lock();
  }
}

Status Log::sync_now() {
  const Position before = synced();
  Status status;
  {
    const std::lock_guard syncing(sync_mutex_);
    status = sync_written();
  }
  if (!status || synced() != before) wake();
  return status;
}

Status Log::sync_written() {
  std::vector<SharedSegment> files;
  Position upto = 0;
  Position frame = 0;
  {
    const std::lock_guard lock(mutex_);
    if (!health_) return health_;
    upto = written();
    frame = used_segments_.empty() ? 0 : used_segments_.back().last;
    files = std::exchange(unsynced_, {});
    syncing_ = true;
  }
  const auto began = monotonic_microseconds();
  const Status status = sync_files(files);
  const std::int64_t took = (monotonic_microseconds() - began).count();
  if (!status) return tl::unexpected(die(status.error()));
  const std::lock_guard lock(mutex_);
  syncing_ = false;
  synced_frame_.store(frame, std::memory_order_relaxed);
  synced_.store(upto, std::memory_order_release);
  if (files.empty()) return {};
  const std::int64_t average = average_microseconds_.load(std::memory_order_relaxed);
  average_microseconds_.store(average + (took - average) / average_weight,
                              std::memory_order_relaxed);
  ++figures_.syncs;
  figures_.sync_microseconds += static_cast<std::uint64_t>(took);
  return {};
}

Status Log::sync_files(const std::vector<SharedSegment>& files) {
  if (options_.before_sync && !files.empty()) options_.before_sync();
  for (const SharedSegment& segment : files) {
    const Status status =
        options_.sync_file ? options_.sync_file(segment->file) : segment->file.sync();
    if (!status) return status;
  }
  return {};
}

void Log::release(Position position) {
  const std::lock_guard one_at_a_time(release_mutex_);
  // What is synced is not being synced: nobody but us looks at its segment.
  const Position safe = synced();
  position = std::min(position, safe);
  for (;;) {
    SharedSegment done;
    {
      const std::lock_guard lock(mutex_);
      if (used_segments_.size() < 2 || used_segments_.front().last > position) return;
      // A frame stays that says where the log begins: without one, a reader that finds the next
      // segment torn could not tell what was released from what is lost.
      if (used_segments_[1].first > safe) return;
      done = used_segments_.front().segment;
    }
    // In order and only one by one, so that a crash leaves no gap between the segments.
    if (!segments_.recycle(std::move(done))) return;
    const std::lock_guard lock(mutex_);
    used_segments_.pop_front();
  }
}

Error Log::die(const Error& error) {
  Error first;
  {
    const std::lock_guard lock(mutex_);
    if (health_) {
      health_ = fail(ErrorCode::io, error.message +
                                        "; nobody knows what the disk holds now, so nothing more "
                                        "is written: check the disk, then start the node again");
    }
    first = health_.error();
    failed_.store(true, std::memory_order_release);
  }
  wake();
  return first;
}

Status Log::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

LogWriter::Figures Log::figures() const {
  const std::lock_guard lock(mutex_);
  Figures figures = figures_;
  figures.sync_thread = on_thread_.load(std::memory_order_relaxed);
  figures.segments = used_segments_.size();
  for (const UsedSegment& used : used_segments_)
    figures.bytes_unreleased += used.bytes;
  return figures;
}

}  // namespace

Result<std::unique_ptr<LogWriter>> LogWriter::open(const LogOptions& options) {
  check(options.segment_bytes > log_header_bytes + log_frame_head_bytes,
        "a log segment holds a frame");
  auto log = std::make_unique<Log>(options);
  if (const Status status = log->start(); !status)
    return fail(status.error(), "open the log in " + options.directory);
  return Result<std::unique_ptr<LogWriter>>(std::move(log));
}

}  // namespace dhrt
