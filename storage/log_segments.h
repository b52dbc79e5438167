// The files that a log goes on in: the next one is made ready before it is needed.
//
// Intuition: a sync is quick when it writes data only. So a segment gets its blocks, its size and
// its name on the disk beforehand, by a thread: a new one is filled with zeros (a block that was
// only allocated costs a journal commit when it is first written), one that was released is
// renamed. Each has its header, with a new salt, before it may be written to. If the next is asked
// for before it is filled, it is cut off at what is filled by then. The first of a log is small: a
// start waits for it, and most logs of idle nodes never need another.
//
// Bounds: one segment ready and spares_max to become one; what is released beyond is removed.
// Errors: full, io: no segment could be made; asking again may work, and tries at most every
// 100 ms. Threads: any.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "storage/log_file.h"

namespace dhrt {

struct LogSegment {
  LogFile file;
  std::uint64_t number = 0;
  std::size_t capacity = 0;  // Bytes that can be written without asking the disk for space.
  std::uint64_t salt = 0;    // As its header says.
};
// Shared, because it may be synced by one thread while another is done with it.
using SharedSegment = std::shared_ptr<LogSegment>;

class LogSegments {
 public:
  static constexpr std::size_t spares_max = 2;
  static constexpr std::size_t first_bytes = std::size_t{1} << 20;  // Capacity of the first one.

  // `directory` exists.
  LogSegments(std::string directory, LogId id, NodeId node, std::size_t segment_bytes);
  LogSegments(const LogSegments&) = delete;
  LogSegments& operator=(const LogSegments&) = delete;
  // Removes what is ready and not used.
  ~LogSegments();

  // Begins to make the next one ready; does not wait.
  void prepare();
  // The next one, with a capacity of at least `bytes`; waits for it.
  Result<SharedSegment> next(std::size_t bytes);
  // Gives a segment that is not written to yet a larger capacity, if it has a smaller one.
  Status enlarge(LogSegment& segment, std::size_t bytes);
  // Nobody needs what is in it any more. In the order in which they were next,
  // and one caller at a time.
  Status recycle(SharedSegment segment);

 private:
  void run();
  Result<SharedSegment> make();
  Result<SharedSegment> make_new(std::uint64_t number);
  Status begin_life(LogSegment& segment, std::uint64_t number);
  Status fill(LogSegment& segment, std::size_t bytes);
  SharedSegment take_spare();
  bool is_urgent();
  bool takes_spare(const LogSegment& segment);
  // With the mutex held.
  Status enlarge_locked(LogSegment& segment, std::size_t bytes);
  bool failed_lately() const;
  void note_failure(const Error& error);
  std::string path_of(const std::string& file_name) const { return directory_ + "/" + file_name; }

  const std::string directory_;
  const LogId id_;
  const NodeId node_;
  const std::size_t segment_bytes_;
  std::uint64_t last_number_ = 0;  // The thread's.

  std::mutex mutex_;  // Of everything below.
  std::condition_variable asked_;
  std::condition_variable answered_;
  SharedSegment ready_;
  std::deque<SharedSegment> spares_;
  bool wanted_ = false;  // The thread is asked for one.
  bool urgent_ = false;  // Somebody waits for it.
  bool ending_ = false;
  std::optional<Error> failure_;  // Of the last attempt.
  Time failed_at_;

  std::thread thread_;
};

}  // namespace dhrt
