#include "storage/log_segments.h"

#include <algorithm>
#include <utility>

#include "storage/base/random.h"
#include "storage/base/system_clock.h"

namespace dhrt {

namespace {

// So much is filled at once and synced, so that other syncs never wait for long.
constexpr std::size_t chunk_bytes = std::size_t{512} << 10;
// At least so much of a segment is filled before it is used.
constexpr std::size_t urgent_bytes = std::size_t{4} << 20;
constexpr Duration retry_after{100};

Status grow(LogSegment& segment, std::size_t bytes) {
  if (segment.capacity >= bytes) return {};
  Status status = segment.file.allocate(bytes);
  if (status) status = segment.file.sync();
  if (status)
    segment.capacity = bytes;
  else
    (void)segment.file.truncate(segment.capacity);  // Gives back what there was.
  return status;
}

}  // namespace

LogSegments::LogSegments(std::string directory, LogId id, NodeId node, std::size_t segment_bytes)
    : directory_(std::move(directory)), id_(id), node_(node), segment_bytes_(segment_bytes) {
  thread_ = std::thread([this] { run(); });
}

LogSegments::~LogSegments() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    urgent_ = true;
  }
  asked_.notify_all();
  thread_.join();
  // Best effort: a start passes over what is left.
  if (ready_) (void)ready_->file.unlink();
  for (const SharedSegment& spare : spares_)
    (void)spare->file.unlink();
}

void LogSegments::prepare() {
  {
    const std::lock_guard lock(mutex_);
    if (ready_ || wanted_) return;
    wanted_ = true;
  }
  asked_.notify_one();
}

Result<SharedSegment> LogSegments::next(std::size_t bytes) {
  std::unique_lock lock(mutex_);
  if (!ready_) {
    if (failed_lately()) return tl::unexpected(*failure_);
    wanted_ = true;
    urgent_ = true;
    asked_.notify_one();
    answered_.wait(lock, [this] { return !wanted_; });
    urgent_ = false;
    if (!ready_) return tl::unexpected(*failure_);
  }
  if (const Status status = enlarge_locked(*ready_, bytes); !status)
    return tl::unexpected(status.error());
  return std::exchange(ready_, nullptr);
}

Status LogSegments::enlarge(LogSegment& segment, std::size_t bytes) {
  if (segment.capacity >= bytes) return {};
  const std::lock_guard lock(mutex_);
  return enlarge_locked(segment, bytes);
}

Status LogSegments::enlarge_locked(LogSegment& segment, std::size_t bytes) {
  if (segment.capacity >= bytes) return {};
  if (failed_lately()) return tl::unexpected(*failure_);
  // A turn that is larger than a segment comes here with each record, and the disk is waited for
  // each time: it gives an eighth more than there is, if it has that.
  const std::size_t more = segment.capacity + segment.capacity / 8;
  if (bytes < more && grow(segment, more)) return {};
  Status status = grow(segment, bytes);
  if (!status) note_failure(status.error());
  return status;
}

bool LogSegments::failed_lately() const {
  return failure_ && monotonic_now() - failed_at_ < retry_after;
}

void LogSegments::note_failure(const Error& error) {
  failure_ = error;
  failed_at_ = monotonic_now();
}

Status LogSegments::recycle(SharedSegment segment) {
  if (!takes_spare(*segment)) return segment->file.unlink();
  const std::string spare = path_of(spare_file_name({id_, segment->number}));
  if (Status status = segment->file.rename(spare); !status) return status;
  const std::lock_guard lock(mutex_);
  spares_.push_back(std::move(segment));
  return {};
}

bool LogSegments::takes_spare(const LogSegment& segment) {
  const std::lock_guard lock(mutex_);
  return spares_.size() < spares_max && segment.capacity == segment_bytes_;
}

void LogSegments::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    asked_.wait(lock, [this] { return wanted_ || ending_; });
    if (ending_) return;
    lock.unlock();
    auto made = make();
    lock.lock();
    wanted_ = false;
    if (made) {
      ready_ = std::move(*made);
      failure_.reset();
    } else {
      note_failure(made.error());
    }
    answered_.notify_all();
  }
}

Result<SharedSegment> LogSegments::make() {
  const std::uint64_t number = last_number_ + 1;
  SharedSegment made = take_spare();
  if (!made) {
    auto fresh = make_new(number);
    if (!fresh) return fresh;
    made = std::move(*fresh);
  }
  if (const Status status = begin_life(*made, number); !status) {
    (void)made->file.unlink();
    return tl::unexpected(status.error());
  }
  last_number_ = number;
  return made;
}

SharedSegment LogSegments::take_spare() {
  const std::lock_guard lock(mutex_);
  if (spares_.empty()) return nullptr;
  SharedSegment spare = std::move(spares_.front());
  spares_.pop_front();
  return spare;
}

// Whatever a power cut leaves, a file of a segment's name has that segment's header.
Status LogSegments::begin_life(LogSegment& segment, std::uint64_t number) {
  const std::string path = path_of(segment_file_name({id_, number}));
  const bool is_spare = segment.file.path() != path;
  Status status;
  // On the disk it may still have its old name: with a new header it would be damage.
  if (is_spare) status = sync_directory(directory_);
  segment.number = number;
  segment.salt = random_seed();
  const std::string header =
      encode_segment_header({.log = id_, .node = node_, .segment = number, .salt = segment.salt});
  if (status) status = segment.file.write(0, header);
  if (status) status = segment.file.sync();
  if (status && is_spare) status = segment.file.rename(path);
  // A frame in it may count as synced from its first sync on: the name has to be there before.
  if (status) status = sync_directory(directory_);
  return status;
}

Result<SharedSegment> LogSegments::make_new(std::uint64_t number) {
  auto file = LogFile::create(path_of(segment_file_name({id_, number})));
  if (!file) return tl::unexpected(file.error());
  auto segment = std::make_shared<LogSegment>(LogSegment{std::move(*file), number, 0, 0});
  const std::size_t bytes = number == 1 ? std::min(first_bytes, segment_bytes_) : segment_bytes_;
  if (const Status status = fill(*segment, bytes); !status) {
    (void)segment->file.unlink();
    return tl::unexpected(status.error());
  }
  return segment;
}

Status LogSegments::fill(LogSegment& segment, std::size_t bytes) {
  if (const Status status = segment.file.allocate(bytes); !status) return status;
  const std::string zeros(std::min(chunk_bytes, bytes), '\0');
  while (segment.capacity < bytes) {
    const std::size_t count = std::min(zeros.size(), bytes - segment.capacity);
    Status status = segment.file.write(segment.capacity, Bytes(zeros).substr(0, count));
    if (status) status = segment.file.sync();
    if (!status) return status;
    segment.capacity += count;
    if (segment.capacity >= urgent_bytes && segment.capacity < bytes && is_urgent()) {
      status = segment.file.truncate(segment.capacity);
      return status ? segment.file.sync() : status;
    }
  }
  return {};
}

bool LogSegments::is_urgent() {
  const std::lock_guard lock(mutex_);
  return urgent_;
}

}  // namespace dhrt
