// The log of requests: a line for each, when its reply has left.
//
//   text   2026-11-27T10:00:00.123Z dialect=http client=127.0.0.1:5040 request="GET /colour"
//          outcome=error error=404 complete_us=31 end_us=85
//   json   {"time":"…","dialect":"http","client":"…","request":"GET /colour","outcome":"error",
//          "error":"404","complete_us":31,"end_us":85}
//
// `complete_us` is how long it took until the outcome was known, `end_us` until the reply left,
// both since the request had come as a whole. What clients send is escaped: no line is theirs.
//
// A thread of its own writes, so that no client waits for a disk or for who reads a pipe. What is
// too much is left out, and counted: lines above so many a second, and those that find too much
// unwritten. A file that has reached its size is set aside as FILE.1, in the place of the one
// before.
//
// Threads: add() any; the others whoever owns it.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "node/file_descriptor.h"
#include "node/request_hooks.h"
#include "node/request_log_format.h"
#include "storage/base/bytes.h"
#include "storage/base/result.h"
#include "storage/base/time.h"

namespace dhrt {

// With its line end.
std::string request_line(const TracedRequest& request, RequestLogFormat format,
                         WallMilliseconds now);

class RequestLog {
 public:
  struct Limits {
    std::uint64_t lines_per_second = 10'000;
    std::size_t pending_bytes = std::size_t{1} << 20;
    std::uint64_t file_bytes = std::uint64_t{64} << 20;
  };
  struct Options {
    std::string path;  // "-": standard error.
    RequestLogFormat format = RequestLogFormat::text;
    Limits limits{};
  };
  // invalid_argument: the file cannot be opened, or is none.
  static Result<std::unique_ptr<RequestLog>> open(Options options);
  RequestLog(const RequestLog&) = delete;
  RequestLog& operator=(const RequestLog&) = delete;
  // Writes what is pending, but does not wait for a reader.
  ~RequestLog();

  void add(const TracedRequest& request);
  std::uint64_t dropped() const { return dropped_; }

 private:
  RequestLog(Options options, FileDescriptor file, std::uint64_t file_bytes);
  bool admits();
  void run();
  // False: not all of it.
  bool write_stderr(Bytes lines);
  bool write_file(std::string lines);
  bool tell_failure(const std::string& what);
  bool set_aside();

  const Options options_;
  FileDescriptor file_;  // Of the writer's thread, as the next three. Empty: standard error.
  std::uint64_t file_bytes_ = 0;
  bool failed_ = false;
  bool torn_ = false;  // The file ends in the middle of a line.
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<bool> stops_{false};
  std::mutex mutex_;
  std::condition_variable wakes_;
  std::string pending_;  // By mutex_, as all that follows.
  Time second_{};
  std::uint64_t lines_ = 0;
  std::thread thread_;
};

}  // namespace dhrt
