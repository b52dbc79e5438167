// A segment of a log, read from front to back through a small piece of memory.
//
// Intuition: what is asked for stands in memory already, or a window is read that begins there.
// The window stays in the processor's cache, and no page is taken from the system for what is
// looked at once: reading whole files cost several times as much as what was done with them.
//
// Bounds: 256 KiB, or twice what was asked for, and never more than the file. Errors: io: the file,
// and the byte. Threads: one.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <string>

#include "storage/log_file.h"

namespace dhrt {

class LogWindow {
 public:
  static constexpr std::size_t window_bytes = std::size_t{256} << 10;

  // Of the file as large as it is now; it is not written to meanwhile.
  static Result<LogWindow> open(const std::string& path);

  const std::string& path() const { return file_.path(); }
  LogFile& file() { return file_; }
  // Of the file.
  std::size_t size() const { return size_; }
  std::size_t behind(std::size_t offset) const { return size_ - std::min(offset, size_); }
  // What begins at `offset`: at least `bytes` of it, or up to the end of the file, and whatever
  // else is in memory. Valid until the next call.
  Result<Bytes> at(std::size_t offset, std::size_t bytes);

 private:
  explicit LogWindow(LogFile file, std::size_t size) : file_(std::move(file)), size_(size) {}
  Status load(std::size_t offset, std::size_t bytes);

  LogFile file_;
  std::size_t size_;
  std::unique_ptr<char[]> memory_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;  // Of the window, in the file.
  std::size_t count_ = 0;  // Bytes in it.
};

}  // namespace dhrt
